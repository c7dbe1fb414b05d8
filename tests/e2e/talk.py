"""A client that says exact bytes and reads exactly what comes.

It reads strictly, on purpose without an HTTP library: what is wrong with an answer must not be repaired on
the way to the assertion. A connection that ends where it must not raises `Cut`; one that is reset says so.
"""

import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

Address = tuple[str, int] | Path

SECONDS = 10.0


class Cut(Exception):
    """The connection ended in the middle of a message. `got` holds what had come of it."""

    def __init__(self, how: str, got: bytes) -> None:
        super().__init__(f"{how} after {got[-200:]!r}")
        self.how = how
        self.got = got


class Fields:
    """Looks fields up by name, whatever their case."""

    fields: list[tuple[str, str]]

    def get(self, name: str) -> str | None:
        """The one value of a field, None if there is none; two are an error."""
        found = self.all(name)
        assert len(found) <= 1, f"{name} came {len(found)} times: {found}"
        return found[0] if found else None

    def all(self, name: str) -> list[str]:
        """Every value of a field."""
        return [value for key, value in self.fields if key.lower() == name.lower()]


@dataclass(frozen=True)
class Response(Fields):
    """An answer as it came: interim answers before it are in `interims`."""

    status: int
    reason: str
    fields: list[tuple[str, str]]
    body: bytes = b""
    trailers: list[tuple[str, str]] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)
    interims: "list[Response]" = field(default_factory=list)


class Talk:
    """One connection to an address. A context manager."""

    def __init__(
        self,
        address: Address,
        *,
        source: str | None = None,
        seconds: float = SECONDS,
        receive_buffer: int | None = None,
        tls: ssl.SSLContext | None = None,
        name: str | None = None,
        session: ssl.SSLSession | None = None,
        first: bytes = b"",
    ) -> None:
        """`first` is said before all else, then comes the handshake, if there is `tls`; `name` is its SNI."""
        self.socket: socket.socket
        if isinstance(address, Path):
            self.socket = socket.socket(socket.AF_UNIX)
        else:
            self.socket = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(seconds)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            if source is not None:
                self.socket.bind((source, 0))
            self.socket.connect(str(address) if isinstance(address, Path) else address)
            self.socket.sendall(first)
            if tls is not None:
                self.socket = tls.wrap_socket(
                    self.socket, server_hostname=name, session=session, suppress_ragged_eofs=False
                )
        except OSError:
            self.socket.close()
            raise
        self._ahead = bytearray()

    def __enter__(self) -> "Talk":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def secured(self) -> ssl.SSLSocket:
        """The connection over TLS: its certificate, its version, its session."""
        assert isinstance(self.socket, ssl.SSLSocket)
        return self.socket

    # ---- saying

    def send(self, data: bytes | str) -> "Talk":
        """Sends exactly this."""
        self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)
        return self

    def request(self, method: str, target: str = "/", *lines: str, body: bytes = b"") -> "Talk":
        """Sends a request with `Host: test`, unless a line names another."""
        own = [] if any(line.lower().startswith("host:") for line in lines) else ["Host: test"]
        length = [f"Content-Length: {len(body)}"] if body else []
        head = "\r\n".join([f"{method} {target} HTTP/1.1", *own, *lines, *length, "", ""])
        return self.send(head.encode("latin-1") + body)

    def get(self, target: str = "/", *lines: str) -> Response:
        """A GET and its answer."""
        return self.request("GET", target, *lines).response()

    def finish(self) -> None:
        """FIN: nothing more will be said, but the answer is still read."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def close(self) -> None:
        """Leaves."""
        self.socket.close()

    # ---- hearing

    def response(self, *, to: str = "GET") -> Response:
        """The next final answer, whole; `to` is the method it answers."""
        interims = []
        while True:
            head = self.head()
            if head.status >= 200 or head.status == 101:
                break
            interims.append(head)
        return self.body_of(head, to, interims)

    def head(self) -> Response:
        """The next head, interim or final."""
        raw = self.until(b"\r\n\r\n")
        first, *lines = raw[:-4].decode("latin-1").split("\r\n")
        version, status, reason = first.split(" ", 2)
        assert version == "HTTP/1.1", first
        assert len(status) == 3, first
        return Response(int(status), reason, [_field(line) for line in lines])

    def body_of(self, head: Response, to: str = "GET", interims: "list[Response] | None" = None) -> Response:
        """The whole answer that begins with this head."""
        body, trailers, chunks = self._body(head, to)
        return Response(head.status, head.reason, head.fields, body, trailers, chunks, interims or [])

    def _body(self, head: Response, to: str) -> tuple[bytes, list[tuple[str, str]], list[bytes]]:
        length, coding = head.get("content-length"), head.get("transfer-encoding")
        assert length is None or coding is None, "both framing fields"
        if to == "HEAD" or head.status in (204, 304):
            return b"", [], []
        if coding is not None:
            assert coding == "chunked"
            chunks = list(iter(self.chunk, b""))
            return b"".join(chunks), self._trailers(), chunks
        if length is not None:
            return self.exactly(int(length)), [], []
        return self.rest(), [], []

    def chunk(self) -> bytes:
        """The data of the next chunk; b"" for the last one, whose trailers are still to come."""
        size = int(self.until(b"\r\n")[:-2], 16)
        if size == 0:
            return b""
        data = self.exactly(size)
        assert self.exactly(2) == b"\r\n"
        return data

    def _trailers(self) -> list[tuple[str, str]]:
        trailers = []
        while line := self.until(b"\r\n")[:-2].decode("latin-1"):
            trailers.append(_field(line))
        return trailers

    def until(self, mark: bytes) -> bytes:
        """Everything up to and including `mark`."""
        start = 0
        while (at := self._ahead.find(mark, start)) < 0:
            start = max(0, len(self._ahead) - len(mark) + 1)
            self._more()
        return self._take(at + len(mark))

    def exactly(self, count: int) -> bytes:
        """The next `count` bytes."""
        while len(self._ahead) < count:
            self._more()
        return self._take(count)

    def rest(self) -> bytes:
        """Everything up to a clean end of the connection."""
        while data := self._receive():
            self._ahead += data
        return self._take(len(self._ahead))

    def closed(self) -> bool:
        """True if the connection ends cleanly and without another byte."""
        return self.rest() == b""

    def _more(self) -> None:
        data = self._receive()
        if not data:
            raise Cut("closed", bytes(self._ahead))
        self._ahead += data

    def _receive(self) -> bytes:
        try:
            return self.socket.recv(262_144)
        except ConnectionResetError:
            raise Cut("reset", bytes(self._ahead)) from None
        except ssl.SSLError as error:
            raise Cut(error.reason or "broken TLS", bytes(self._ahead)) from None

    def _take(self, count: int) -> bytes:
        taken = bytes(self._ahead[:count])
        del self._ahead[:count]
        return taken


def _field(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    assert colon, f"not a field: {line!r}"
    return name, value.strip()
