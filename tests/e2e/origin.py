"""A backend that does as it is told, and remembers everything it was asked.

`Origin(script)` listens on a port of its own; `script` is a function that gets each `Ask` and answers it,
in any manner of which a socket is capable. Without a script it answers 200 with its name. The ledger holds
every request in order, so a test can say "at most once" and mean it. `stop` closes the port and every
connection, like a process that dies; `start` opens the same port again.
"""

import contextlib
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from .patience import DEADLINE, until
from .ports import free_port
from .talk import Fields


class Gone(Exception):
    """The other side ended the connection."""


@dataclass(eq=False)
class Ask(Fields):
    """A request that an origin has got, and the means to answer it."""

    origin: "Origin"
    line: "Line"
    method: str
    target: str
    version: str
    fields: list[tuple[str, str]]
    body: bytes = b""
    trailers: list[tuple[str, str]] = field(default_factory=list)

    # ---- what was asked

    def read_body(self) -> bytes:
        """The whole body, which is kept in `body` too."""
        self.body = b"".join(iter(self.read_piece, b""))
        return self.body

    _left: int | None = None
    _ended: bool = False

    def read_piece(self) -> bytes:
        """The next piece of the body as it arrives (a chunk, or what is at hand); b"" at its end."""
        if self._ended:
            return b""
        if self.get("transfer-encoding") == "chunked":
            return self._chunk()
        if self._left is None:
            self._left = int(self.get("content-length") or 0)
        piece = self.line.some(self._left) if self._left else b""
        self._left -= len(piece)
        self._ended = not piece
        return piece

    def _chunk(self) -> bytes:
        size = int(self.line.until(b"\r\n")[:-2].split(b";")[0], 16)
        if size:
            data = self.line.exactly(size)
            assert self.line.exactly(2) == b"\r\n"
            return data
        self._ended = True
        while text := self.line.until(b"\r\n")[:-2].decode("latin-1"):
            name, _, value = text.partition(":")
            self.trailers.append((name, value.strip()))
        return b""

    # ---- how to answer

    def answer(self, status: int = 200, body: bytes | str | None = None, *lines: str) -> None:
        """A complete answer with a Content-Length."""
        content = self.origin.name if body is None else body
        data = content.encode() if isinstance(content, str) else content
        none = status in (204, 304)
        length = [] if none else [f"Content-Length: {len(data)}"]
        head = "\r\n".join([f"HTTP/1.1 {status} Fine", *length, *lines, "", ""]).encode("latin-1")
        self.send(head + (b"" if none or self.method == "HEAD" else data))

    def send(self, data: bytes | str) -> None:
        """Exactly these bytes."""
        self.line.send(data)

    def chunk(self, data: bytes | str) -> None:
        """One chunk; b"" is the last one, without trailers."""
        raw = data.encode() if isinstance(data, str) else data
        self.send(f"{len(raw):x}\r\n".encode() + raw + b"\r\n")

    def close(self) -> None:
        """FIN, as a server that has said everything."""
        self.line.close()

    def reset(self) -> None:
        """RST, as a server that was killed."""
        self.line.reset()

    def wait_until_gone(self) -> None:
        """Returns once the other side has ended the connection; whatever else it sends is thrown away."""
        with contextlib.suppress(Gone):
            while True:
                self.line.some(65536)


Script = Callable[[Ask], None]


def plain(ask: Ask) -> None:
    """Takes the body and answers 200 with the origin's name."""
    ask.read_body()
    ask.answer()


class Origin:
    """A backend in threads of this process. A context manager; starts at once."""

    def __init__(
        self,
        script: Script = plain,
        *,
        name: str = "",
        host: str = "127.0.0.1",
        port: int = 0,
        path: Path | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.script = script
        self.tls = tls
        self.host = host
        self.path = path
        self.port = 0 if path else port or free_port()
        self.name = name or self.address
        self.ledger: list[Ask] = []
        self.abandoned: list[Ask] = []
        """Requests during which the other side went away, as far as the script noticed."""
        self.faults: list[Exception] = []
        """What went wrong inside the script, assertions included; raised at the end."""
        self.refusals: list[str] = []
        """Handshakes that failed, in OpenSSL's words."""
        self.connections = 0
        self._lock = threading.Lock()
        self._lines: set[Line] = set()
        self._listening: socket.socket | None = None
        self.start()

    @property
    def address(self) -> str:
        """As a configuration names it."""
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __enter__(self) -> "Origin":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
        if error is None and self.faults:
            raise self.faults[0]

    def start(self) -> None:
        """Opens the port (again)."""
        assert self._listening is None
        family = socket.AF_UNIX if self.path else socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listening = socket.socket(family)
        if self.path:
            self.path.unlink(missing_ok=True)
            listening.bind(str(self.path))
        else:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((self.host, self.port))
        listening.listen(1024)
        self._listening = listening
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()

    def stop(self) -> None:
        """Closes the port and resets every connection; afterwards nobody is served any more."""
        self.close_port()
        with self._lock:
            lines = list(self._lines)
        for line in lines:
            line.reset()
        until("the origin's connections are over", lambda: not self._lines)

    def close_port(self) -> None:
        """Accepts no more; open connections live on."""
        listening, self._listening = self._listening, None
        if listening is not None:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                accepted, _ = listening.accept()
            except OSError:
                return
            line = Line(accepted)
            with self._lock:
                self.connections += 1
                self._lines.add(line)
                stopped = self._listening is not listening
            if stopped:
                line.reset()
            threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line: "Line") -> None:
        try:
            if self.tls is not None:
                line.secure(self.tls)
            self._converse(line)
        except Gone:
            return
        except ssl.SSLError as error:
            self.refusals.append(str(error))
        except Exception as fault:
            self.faults.append(fault)
        finally:
            line.close()
            with self._lock:
                self._lines.discard(line)

    def _converse(self, line: "Line") -> None:
        while not line.ended:
            ask = self._ask(line)
            with self._lock:
                self.ledger.append(ask)
            try:
                self.script(ask)
            except Gone:
                with self._lock:
                    self.abandoned.append(ask)
                return

    def _ask(self, line: "Line") -> Ask:
        first, *rest = line.until(b"\r\n\r\n")[:-4].decode("latin-1").split("\r\n")
        method, target, version = first.split(" ")
        fields = [(name, value.strip()) for name, _, value in (each.partition(":") for each in rest)]
        return Ask(self, line, method, target, version, fields)

    # ---- what it remembers

    def count(self, method: str | None = None, target: str | None = None) -> int:
        """Requests so far that are as wanted."""
        with self._lock:
            return sum(
                (method is None or ask.method == method) and (target is None or ask.target == target)
                for ask in self.ledger
            )

    def wait_for(self, count: int, *, seconds: float = DEADLINE) -> Ask:
        """The last request, once there have been `count` in all."""
        until(f"{count} requests at {self.name}", lambda: len(self.ledger) >= count, seconds=seconds)
        return self.ledger[-1]

    def open_connections(self) -> int:
        """Connections to it that are open now."""
        with self._lock:
            return len(self._lines)


class Line:
    """The origin's side of one connection."""

    def __init__(self, accepted: socket.socket) -> None:
        self.socket: socket.socket = accepted
        if accepted.family != socket.AF_UNIX:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ended = False
        self._ahead = bytearray()

    def secure(self, context: ssl.SSLContext) -> None:
        """The handshake of TLS; raises ssl.SSLError if it fails, Gone if the other side leaves."""
        try:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        except ssl.SSLError:
            raise
        except OSError:
            raise Gone from None

    def send(self, data: bytes | str) -> None:
        """Exactly these bytes; raises Gone if nobody is there."""
        try:
            self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)
        except OSError:
            raise Gone from None

    def until(self, mark: bytes) -> bytes:
        """Everything up to and including `mark`."""
        while (at := self._ahead.find(mark)) < 0:
            self._more(65536)
        return self._take(at + len(mark))

    def exactly(self, count: int) -> bytes:
        """The next `count` bytes."""
        while len(self._ahead) < count:
            self._more(262_144)
        return self._take(count)

    def some(self, limit: int) -> bytes:
        """What is at hand or comes next, at most `limit` bytes, at least one."""
        if not self._ahead:
            self._more(min(limit, 262_144))
        return self._take(min(limit, len(self._ahead)))

    def finish(self) -> None:
        """FIN: nothing more will be said, but what comes is still read. Over TLS close_notify, both ways."""
        with contextlib.suppress(OSError):
            if isinstance(self.socket, ssl.SSLSocket):
                self.socket = self.socket.unwrap()
            self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """FIN."""
        self._end(socket.SHUT_RDWR)

    def reset(self) -> None:
        """RST."""
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self._end(socket.SHUT_RD)

    def _end(self, how: int) -> None:
        # Only shutdown wakes a thread that waits in recv; a reset must not send the FIN of SHUT_WR.
        self.ended = True
        with contextlib.suppress(OSError):
            self.socket.shutdown(how)
        self.socket.close()

    def _more(self, limit: int) -> None:
        try:
            data = self.socket.recv(limit)
        except OSError:
            data = b""
        if not data:
            raise Gone
        self._ahead += data

    def _take(self, count: int) -> bytes:
        taken = bytes(self._ahead[:count])
        del self._ahead[:count]
        return taken


def tally(asks: list[Ask]) -> Counter[str]:
    """How many requests each origin got."""
    return Counter(ask.origin.name for ask in asks)
