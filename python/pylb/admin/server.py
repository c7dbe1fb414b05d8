"""HTTP/1.1 for operators: one request per connection, answered as JSON.

h11 keeps the protocol. A client that sends nonsense, or nothing, costs one task for ten seconds and gets an
answer if it can be given. Over TCP nobody needs a token to be silent, so where many are, the one that came
first makes room for the next. A handler that fails is a 500 and a traceback in the log, and the next client
is served. What a user got wrong (an unknown backend, a weight that is none) is an answer with the reason.

On a unix socket the file's mode says who may ask. On TCP anybody can connect, so every request must show the
token, whatever it asks for, before its path is even looked at.
"""

import hmac
import json
import logging
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import h11
import trio

from pylb.admin.routing import Answer, Ask, Routes, answer_to

logger = logging.getLogger(__name__)

PATIENCE = 10
"""Seconds for a client to send its request, and again to take the answer."""
LARGEST_BODY = 65536
"""Bytes; nothing that is asked for here is near that."""
AT_ONCE = 64
"""Requests that are answered at the same time (more wait), and clients that may be about to ask."""


@dataclass
class Server:
    """Answers with `routes`; to everybody who gets through, or only to who shows the token that is valid
    then."""

    routes: Routes
    token: Callable[[], str] | None = None
    turns: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(AT_ONCE))
    silent: dict[trio.CancelScope, None] = field(default_factory=dict)
    """Who has not asked yet, in the order of their coming."""

    async def serve(self, listening: socket.socket) -> None:
        """Answers on a listening socket until cancelled."""
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
        await trio.serve_listeners(self.converse, [listener])

    async def converse(self, stream: trio.abc.Stream) -> None:
        """One connection: a request, its answer, the end."""
        talk = h11.Connection(h11.SERVER, max_incomplete_event_size=16384)
        async with stream:
            request = None
            try:
                with trio.fail_after(PATIENCE), self._while_silent():
                    request = await self._request(stream, talk)
                if request is not None:
                    async with self.turns:
                        answer = await self._answer(*request)
                        with trio.fail_after(PATIENCE):
                            await _send(stream, talk, answer)
            except h11.RemoteProtocolError as error:
                with trio.move_on_after(PATIENCE):
                    await _refuse(stream, talk, error)
            except (trio.BrokenResourceError, trio.TooSlowError):
                return

    @contextmanager
    def _while_silent(self) -> Iterator[None]:
        """Ends early when as many came later and have not asked either."""
        if len(self.silent) >= AT_ONCE:
            oldest = next(iter(self.silent))
            del self.silent[oldest]
            oldest.cancel()
        with trio.CancelScope() as scope:
            self.silent[scope] = None
            try:
                yield
            finally:
                self.silent.pop(scope, None)

    async def _request(
        self, stream: trio.abc.Stream, talk: h11.Connection
    ) -> tuple[h11.Request, bytes] | None:
        """A whole request; None if the client left without one."""
        request, body = None, b""
        while True:
            event = talk.next_event()
            if event is h11.NEED_DATA:
                talk.receive_data(bytes(await stream.receive_some(16384)))
            elif isinstance(event, h11.Request):
                request = event
                if not self._admits(request):
                    return request, b""
                if talk.they_are_waiting_for_100_continue:
                    carry_on = h11.InformationalResponse(status_code=100, headers=[])
                    await stream.send_all(_bytes(talk, carry_on))
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
                if len(body) > LARGEST_BODY:
                    raise h11.RemoteProtocolError("the body is too large", error_status_hint=413)
            elif isinstance(event, h11.EndOfMessage):
                assert request is not None, "h11 gives a request before its end"
                return request, body
            elif isinstance(event, h11.ConnectionClosed):
                return None

    def _admits(self, request: h11.Request) -> bool:
        """Whether a request shows the token. The comparison takes as long whatever is shown."""
        if self.token is None:
            return True
        shown = dict(request.headers).get(b"authorization", b"")
        scheme, _, token = shown.partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), self.token().encode())

    async def _answer(self, request: h11.Request, body: bytes) -> Answer:
        if not self._admits(request):
            challenge = {"WWW-Authenticate": 'Bearer realm="pylb"'}
            return Answer(401, {"error": "show the admin token: Authorization: Bearer TOKEN"}, challenge)
        method, path = request.method.decode(), request.target.decode().partition("?")[0]
        try:
            return await answer_to(Ask(method, path, body), self.routes)
        except Exception:
            logger.exception("the admin request %s %s failed", method, path)
            return Answer(500, {"error": "this failed inside pylb; its log says why"})


async def _send(stream: trio.abc.Stream, talk: h11.Connection, answer: Answer) -> None:
    body = json.dumps(answer.body).encode() + b"\n"
    headers: Mapping[str, str] = {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        **answer.headers,
    }
    head = _bytes(talk, h11.Response(status_code=answer.status, headers=list(headers.items())))
    await stream.send_all(head + _bytes(talk, h11.Data(data=body)) + _bytes(talk, h11.EndOfMessage()))


async def _refuse(stream: trio.abc.Stream, talk: h11.Connection, error: h11.RemoteProtocolError) -> None:
    """Says what was wrong with a request that is not HTTP, if the conversation still allows an answer."""
    if talk.our_state in (h11.IDLE, h11.SEND_RESPONSE):
        try:
            await _send(stream, talk, Answer(error.error_status_hint, {"error": str(error)}))
        except trio.BrokenResourceError:
            return


def _bytes(talk: h11.Connection, event: h11.Event) -> bytes:
    return talk.send(event) or b""
