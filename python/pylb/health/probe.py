"""Asks one backend one question: are you fit to serve?

An HTTP check sends one GET on a connection of its own and looks at the status; a TCP check only connects,
and makes the handshake where the pool has TLS.
What came back becomes an `Answer` that a user can read, with the cause when it was not good: the status,
the first line of the body, the error of the socket.

What surprises: a question that could not be asked is not an answer. If this process has no descriptor left,
or its event loop was held up so long (a program that embeds pylb may block it) that the deadline passed
unobserved, the backend is not to blame; `Unasked` says so, and nothing is concluded.
"""

import errno
import os
import ssl
from dataclasses import dataclass

import h11
import trio

from pylb.health.secure import Secure, reason, secured

LATE = 0.1
"""Seconds past its deadline at which a timeout is our own fault: nobody looked in time."""

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]

_OURS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
_POLITE = 65536
"""Bytes of a body that are taken before hanging up, so that a backend can finish what it began to send."""
_EXCERPT = 120
"""Characters of a body that a reason quotes."""
_HOST_REFUSED = (400, 421)


@dataclass(frozen=True, slots=True)
class Request:
    """The GET of an HTTP check, and the statuses that count as good (both ends included)."""

    path: str
    host: str
    headers: tuple[tuple[str, str], ...]
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Question:
    """Whom to ask (`IP:PORT`, `[IPv6]:PORT`, `unix:PATH`), what (None: only connect), and for how many
    seconds. `preface` comes before everything else, TLS included."""

    address: str
    request: Request | None
    timeout: float
    secure: Secure | None = None
    preface: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `why` is one line and None if it was good; `latency` is seconds to the head of the
    answer."""

    good: bool
    why: str | None = None
    status: int | None = None
    latency: float | None = None

    def describe(self) -> str:
        """As in "503 in 1.2 ms: expected 200-399"."""
        parts = [] if self.status is None else [str(self.status)]
        if self.latency is not None:
            parts.append(f"in {self.latency * 1000:.1f} ms")
        measured = " ".join(parts)
        return ": ".join(part for part in (measured, self.why) if part)


class Unasked(Exception):
    """The question could not be asked, for a reason on our side."""


async def ask(question: Question) -> Answer:
    """Connects, asks, hangs up. Raises Unasked if nothing can be concluded."""
    started = trio.current_time()
    with trio.move_on_after(question.timeout) as patience:
        try:
            return await _converse(question, started, patience)
        except OSError as error:
            if error.errno in _OURS and not isinstance(error, ssl.SSLError):
                raise Unasked(error.strerror) from None
            return Answer(False, _reason(error, question))
        except trio.BrokenResourceError as error:
            cause = error.__cause__
            return Answer(
                False, _reason(cause, question) if isinstance(cause, OSError) else "closed the connection"
            )
        except h11.RemoteProtocolError as error:
            return Answer(False, f"does not speak HTTP/1: {error}")
        except h11.LocalProtocolError as error:
            return Answer(False, f"the `headers:` of this check make no request: {error}")
    late = trio.current_time() - patience.deadline
    if late > LATE:
        raise Unasked(f"the control loop was busy for {late:.1f} s")
    return Answer(False, f"no answer within {question.timeout:g} s")


async def _converse(question: Question, started: float, patience: trio.CancelScope) -> Answer:
    async with await _open(question) as stream:
        request = question.request
        if request is None:
            return Answer(True, latency=trio.current_time() - started)
        talk = h11.Connection(h11.CLIENT)
        await stream.send_all(_render(talk, request))
        head = await _head(stream, talk)
        if head is None:
            return Answer(False, "closed the connection without an answer")
        latency = trio.current_time() - started
        if request.first <= head.status_code <= request.last:
            await _body(stream, talk, patience)
            return Answer(True, None, head.status_code, latency)
        body = await _body(stream, talk, patience)
        return Answer(False, _unexpected(head.status_code, body, request), head.status_code, latency)


async def _open(question: Question) -> Stream:
    stream = await _connect(question.address)
    try:
        if question.preface:
            await stream.send_all(question.preface)
        return await secured(stream, question.secure) if question.secure else stream
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise


async def _connect(address: str) -> trio.SocketStream:
    if address.startswith("unix:"):
        return await trio.open_unix_socket(address.removeprefix("unix:"))
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = trio.socket.AF_INET6 if ":" in host else trio.socket.AF_INET
    connection = trio.socket.socket(family, trio.socket.SOCK_STREAM)
    try:
        await connection.connect((host, int(port)))
    except BaseException:
        connection.close()
        raise
    return trio.SocketStream(connection)


def _render(talk: h11.Connection, request: Request) -> bytes:
    given = {name.lower() for name, _ in request.headers}
    own = (("host", request.host), ("user-agent", "pylb-health"), ("accept", "*/*"), ("connection", "close"))
    pairs = [*(pair for pair in own if pair[0] not in given), *request.headers]
    headers = [(name.encode(), value.encode()) for name, value in pairs]
    head = talk.send(h11.Request(method="GET", target=request.path, headers=headers))
    return (head or b"") + (talk.send(h11.EndOfMessage()) or b"")


async def _head(stream: Stream, talk: h11.Connection) -> h11.Response | None:
    """The final head; None if the backend hung up before it."""
    while True:
        event = talk.next_event()
        if event is h11.NEED_DATA:
            received = await stream.receive_some(65536)
            if not received:
                return None
            talk.receive_data(bytes(received))
        elif isinstance(event, h11.Response):
            return event


async def _body(stream: Stream, talk: h11.Connection, patience: trio.CancelScope) -> bytes:
    """As much of the body as comes soon; its end, and how it ends, changes nothing."""
    body = b""
    with trio.move_on_at(min(patience.deadline - LATE, trio.current_time() + 1)):
        try:
            while len(body) < _POLITE:
                event = talk.next_event()
                if event is h11.NEED_DATA:
                    talk.receive_data(bytes(await stream.receive_some(65536)))
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                else:
                    break
        except (h11.RemoteProtocolError, trio.BrokenResourceError):
            pass
    return body


def _unexpected(status: int, body: bytes, request: Request) -> str:
    wanted = str(request.first) if request.first == request.last else f"{request.first}-{request.last}"
    text = f"expected {wanted}"
    line = " ".join(body[: 4 * _EXCERPT].decode("utf-8", "replace").split())
    if line:
        printable = "".join(char if char.isprintable() else "?" for char in line)
        text += f', it says "{printable[:_EXCERPT]}"'
    if status in _HOST_REFUSED:
        text += f'; it may refuse the Host "{request.host}": set `host:` in the health check'
    return text


def _reason(error: OSError, question: Question) -> str:
    if isinstance(error, ssl.SSLError) and question.secure is not None:
        return reason(error, question.secure)
    text = os.strerror(error.errno) if error.errno else str(error)
    return text[:1].lower() + text[1:]
