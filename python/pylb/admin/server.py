"""HTTP/1.1 on the admin socket: one request per connection, answered as JSON.

h11 keeps the protocol. A client that sends nonsense, or nothing, costs one task for ten seconds and gets an
answer if it can be given; a handler that fails is a 500 and a traceback in the log, and the next client is
served.
"""

import json
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import h11
import trio

logger = logging.getLogger(__name__)

PATIENCE = 10
"""Seconds for a client to send its request, and again to take the answer."""


@dataclass(frozen=True)
class Answer:
    """A status and what becomes its JSON."""

    status: int
    body: Mapping[str, Any]


Handler = Callable[[], Awaitable[Answer]]
Routes = Mapping[tuple[str, str], Handler]
"""(method, path) -> what answers it."""


async def serve(listening: socket.socket, routes: Routes) -> None:
    """Answers on a listening socket until cancelled."""
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))

    async def connection(stream: trio.SocketStream) -> None:
        await converse(stream, routes)

    await trio.serve_listeners(connection, [listener])


async def converse(stream: trio.abc.Stream, routes: Routes) -> None:
    """One connection: a request, its answer, the end."""
    talk = h11.Connection(h11.SERVER, max_incomplete_event_size=16384)
    async with stream:
        try:
            with trio.fail_after(PATIENCE):
                request = await _request(stream, talk)
            if request is not None:
                answer = await _handle(request, routes)
                with trio.fail_after(PATIENCE):
                    await _send(stream, talk, answer)
        except h11.RemoteProtocolError as error:
            with trio.move_on_after(PATIENCE):
                await _refuse(stream, talk, str(error))
        except (trio.BrokenResourceError, trio.TooSlowError):
            return


async def _request(stream: trio.abc.Stream, talk: h11.Connection) -> h11.Request | None:
    """The request, its body read and forgotten; None if the client left without one."""
    request = None
    while True:
        event = talk.next_event()
        if event is h11.NEED_DATA:
            talk.receive_data(bytes(await stream.receive_some(16384)))
        elif isinstance(event, h11.Request):
            request = event
            if talk.they_are_waiting_for_100_continue:
                await stream.send_all(_bytes(talk, h11.InformationalResponse(status_code=100, headers=[])))
        elif isinstance(event, h11.EndOfMessage):
            return request
        elif isinstance(event, h11.ConnectionClosed):
            return None


async def _handle(request: h11.Request, routes: Routes) -> Answer:
    method, path = request.method.decode(), request.target.decode().partition("?")[0]
    handler = routes.get((method, path))
    if handler is None:
        known = [verb for verb, known in routes if known == path]
        if known:
            return Answer(405, {"error": f"{path} answers {', '.join(known)}, not {method}"})
        return Answer(404, {"error": f"there is no {path} here"})
    try:
        return await handler()
    except Exception:
        logger.exception("the admin request %s %s failed", method, path)
        return Answer(500, {"error": "this failed inside pylb; its log says why"})


async def _send(stream: trio.abc.Stream, talk: h11.Connection, answer: Answer) -> None:
    body = json.dumps(answer.body).encode() + b"\n"
    headers = [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("Connection", "close"),
    ]
    head = _bytes(talk, h11.Response(status_code=answer.status, headers=headers))
    await stream.send_all(head + _bytes(talk, h11.Data(data=body)) + _bytes(talk, h11.EndOfMessage()))


async def _refuse(stream: trio.abc.Stream, talk: h11.Connection, reason: str) -> None:
    """Says what was wrong with a request that is not HTTP, if the conversation still allows an answer."""
    if talk.our_state in (h11.IDLE, h11.SEND_RESPONSE):
        try:
            await _send(stream, talk, Answer(400, {"error": reason}))
        except trio.BrokenResourceError:
            return


def _bytes(talk: h11.Connection, event: h11.Event) -> bytes:
    return talk.send(event) or b""
