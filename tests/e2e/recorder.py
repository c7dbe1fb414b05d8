"""A backend that takes pylb at its word: every byte it gets is read by the letter of the protocol and kept.

Where `origin` is lenient, so that tests can be short, a `Recorder` believes nothing: a line without CR, a
length beside chunks or a chunk size in another form than ours is an error of pylb and kept in `broken`. One
thread serves all connections, so `settle` can say that everything sent so far has been seen: on the
loopback, bytes have arrived once send(2) returns.
"""

import contextlib
import re
import selectors
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType


@dataclass(eq=False)
class Message:
    """A request as it came: lines without their CR LF, the body without chunk framing."""

    connection: int
    lines: list[bytes]
    body: bytes = b""
    trailers: list[bytes] = field(default_factory=list)
    complete: bool = False
    cut: bool = False
    """The connection ended within it."""

    @property
    def line(self) -> bytes:
        """The request line."""
        return self.lines[0]

    @property
    def fields(self) -> list[bytes]:
        """Field lines."""
        return self.lines[1:]

    def values(self, name: bytes) -> list[bytes]:
        """What fields of this lower-case name say."""
        split = (line.partition(b":") for line in self.fields)
        return [value.strip() for key, _, value in split if key.lower() == name]


@dataclass(frozen=True)
class Answer:
    """What to send, when, and whether to close then."""

    data: bytes
    at_head: bool = False
    """As soon as the head is there, whether or not a body follows."""
    close: bool = False


FINE = Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine")


class Recorder:
    """Listens on a port of 127.0.0.1 from the start; a context manager."""

    def __init__(self, answer: Callable[[Message], Answer] = lambda message: FINE) -> None:
        self.answer = answer
        self.messages: list[Message] = []
        self.broken: list[str] = []
        self.connections = 0
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._listening.setblocking(False)
        self.address = "{}:{}".format(*self._listening.getsockname())
        self._asleep, self._waker = socket.socketpair()
        self._quiet = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listening, selectors.EVENT_READ, self._accept)
        self._selector.register(self._asleep, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._waker.close()
        self._thread.join(10)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]

    def settle(self) -> None:
        """Returns once everything that had arrived is recorded."""
        self._quiet.clear()
        self._waker.send(b"?")
        assert self._quiet.wait(10), "the recorder hangs"

    def take(self) -> list[Message]:
        """All messages since the last time, complete or not."""
        self.settle()
        taken, self.messages = self.messages, []
        return taken

    def _serve(self) -> None:
        asked = False
        while True:
            ready = self._selector.select(0 if asked else None)
            work = [key for key, _ in ready if key.fileobj is not self._asleep]
            for key in work:
                key.data()
            if len(work) < len(ready):
                if not self._asleep.recv(64):
                    return
                asked = True
            elif asked and not work:
                asked = False
                self._quiet.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            accepted, _ = self._listening.accept()
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            side = _Side(self, accepted, self.connections)
            self._selector.register(accepted, selectors.EVENT_READ, side.ready)

    def _leave(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        connection.close()


class _Side:
    """One connection: bytes into messages."""

    def __init__(self, recorder: Recorder, connection: socket.socket, number: int) -> None:
        self._recorder = recorder
        self._socket = connection
        self._number = number
        self._ahead = b""
        self._open: Message | None = None
        self._due = FINE

    def ready(self) -> None:
        """Something came, or the end."""
        try:
            data = self._socket.recv(262_144)
        except OSError:
            data = b""
        if not data:
            self._end()
            return
        self._ahead += data
        try:
            while self._socket.fileno() >= 0 and self._step():
                pass
        except _Broken as broken:
            self._recorder.broken.append(f"{broken}: {self._ahead[:200]!r}")
            self._end()

    def _end(self) -> None:
        if self._open is not None:
            self._open.cut = True
        elif self._ahead:
            self._recorder.broken.append(f"the connection ended within a head: {self._ahead[:200]!r}")
        self._recorder._leave(self._socket)

    def _step(self) -> bool:
        """Takes the next part of a message; False if it is not there yet."""
        if self._open is None:
            end = self._ahead.find(b"\r\n\r\n")
            if end < 0:
                return False
            self._open = Message(self._number, self._lines(end + 4))
            self._recorder.messages.append(self._open)
            self._due = self._recorder.answer(self._open)
            self._answer(at_head=True)
            if self._open is None:
                return False
        done = self._chunks(self._open) if self._is_chunked(self._open) else self._length(self._open)
        if done:
            self._open.complete = True
            self._open = None
            self._answer(at_head=False)
        return done and bool(self._ahead)

    def _answer(self, *, at_head: bool) -> None:
        if self._due.at_head is at_head:
            with contextlib.suppress(OSError):
                self._socket.sendall(self._due.data)
            if self._due.close:
                self._open = None
                self._ahead = b""
                self._end()

    def _lines(self, count: int) -> list[bytes]:
        """The lines in the next bytes, the last of which is empty."""
        raw, self._ahead = self._ahead[:count], self._ahead[count:]
        lines = raw.removesuffix(b"\r\n").split(b"\r\n")[:-1]
        for line in lines:
            if re.search(rb"[\r\n\0]", line):
                raise _Broken(f"a line holds what no line may: {line!r}")
        return lines

    def _is_chunked(self, message: Message) -> bool:
        codings, lengths = message.values(b"transfer-encoding"), message.values(b"content-length")
        if codings not in ([], [b"chunked"]) or len(lengths) > 1 or (codings and lengths):
            raise _Broken(f"framing by {codings} and {lengths}")
        return bool(codings)

    def _length(self, message: Message) -> bool:
        (length,) = message.values(b"content-length") or [b"0"]
        if not re.fullmatch(rb"0|[1-9]\d*", length):
            raise _Broken(f"a length of {length!r}")
        missing = int(length) - len(message.body)
        message.body += self._ahead[:missing]
        self._ahead = self._ahead[missing:]
        return len(message.body) == int(length)

    def _chunks(self, message: Message) -> bool:
        while True:
            size, end, rest = self._ahead.partition(b"\r\n")
            if not end:
                return False
            if not re.fullmatch(rb"0|[1-9a-f][0-9a-f]*", size):
                raise _Broken(f"a chunk size of {size!r}")
            if size == b"0":
                return self._trailers(message, rest)
            count = int(size, 16)
            if len(rest) < count + 2:
                return False
            if rest[count : count + 2] != b"\r\n":
                raise _Broken("data is not followed by CR LF")
            message.body += rest[:count]
            self._ahead = rest[count + 2 :]

    def _trailers(self, message: Message, rest: bytes) -> bool:
        end = 2 if rest.startswith(b"\r\n") else rest.find(b"\r\n\r\n") + 4
        if end < 4 and not rest.startswith(b"\r\n"):
            return False
        self._ahead = rest
        message.trailers = self._lines(end)
        return True


class _Broken(Exception):
    """What came is not what pylb may send."""
