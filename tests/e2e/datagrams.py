"""Datagrams: a backend that says who it is and whom it answers, and clients that believe nothing else.

Every datagram carries the number of its client and of the question, so a reply that reaches a wrong client,
or a client twice, is seen. On the loopback a datagram is lost only where a buffer is full: clients ask
again, a few at a time.
"""

import contextlib
import selectors
import socket
import struct
import threading
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType

from .patience import until
from .ports import free_port
from .talk import Address

_QUESTION = struct.Struct(">II")


class Reflector:
    """Answers each datagram with its name, the port that it came from, and the same bytes."""

    def __init__(self, name: str = "", *, host: str = "127.0.0.1") -> None:
        self.host = host
        self.port = free_port()
        self.address = f"{host}:{self.port}"
        self.name = name or self.address
        self.askers: Counter[int] = Counter()
        """How many datagrams came from which port: pylb has one for each flow."""
        self._socket: socket.socket | None = None
        self.start()

    def start(self) -> None:
        """Opens the port (again)."""
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        opened.bind((self.host, self.port))
        self._socket = opened
        self._thread = threading.Thread(target=self._serve, args=(opened,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Closes the port; the kernel then says to whoever asks that nobody is there."""
        opened, self._socket = self._socket, None
        if opened is not None:
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
            self._thread.join(10)
            opened.close()

    def __enter__(self) -> "Reflector":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _serve(self, opened: socket.socket) -> None:
        while self._socket is opened:
            try:
                data, asker = opened.recvfrom(65_536)
                if data:
                    self.askers[asker[1]] += 1
                    opened.sendto(b"%s|%d|%s" % (self.name.encode(), asker[1], data), asker)
            except OSError:
                continue


@dataclass(frozen=True)
class Reply:
    """What came back."""

    backend: str
    flow: int
    """The port from which pylb asked the backend."""
    client: int
    number: int


@dataclass(eq=False)
class Asker:
    """One client: a socket of its own."""

    client: int
    address: Address
    replies: list[Reply] = field(default_factory=list)
    foreign: list[bytes] = field(default_factory=list)
    """Datagrams that were meant for somebody else, or that nobody asked for."""

    def __post_init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        assert isinstance(self.address, tuple)
        self.socket.connect(self.address)
        self.number = 0

    def ask(self, *, again: bool = False) -> None:
        """Sends the next question, or the last one again."""
        self.number += not again
        with contextlib.suppress(OSError):
            self.socket.send(_QUESTION.pack(self.client, self.number))

    def hear(self) -> bool:
        """Takes what came; True if the last question has its answer."""
        while True:
            try:
                data = self.socket.recv(65_536)
            except OSError:
                break
            backend, _, rest = data.partition(b"|")
            flow, _, question = rest.partition(b"|")
            client, number = _QUESTION.unpack(question)
            if client != self.client or number > self.number:
                self.foreign.append(data)
            else:
                self.replies.append(Reply(backend.decode(), int(flow), client, number))
        return bool(self.replies) and self.replies[-1].number == self.number

    def close(self) -> None:
        """Leaves."""
        self.socket.close()


class Askers:
    """Many clients in the caller's thread. A context manager."""

    def __init__(self, address: Address, count: int) -> None:
        self.all = [Asker(client, address) for client in range(count)]

    def __enter__(self) -> "Askers":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for asker in self.all:
            asker.close()

    def round(self, *, at_once: int = 100) -> None:
        """Every client asks once and gets its answer, `at_once` at a time."""
        for start in range(0, len(self.all), at_once):
            self._some(self.all[start : start + at_once])

    def _some(self, some: list[Asker]) -> None:
        with selectors.DefaultSelector() as selector:
            for asker in some:
                selector.register(asker.socket, selectors.EVENT_READ, asker)
                asker.ask()

            def heard() -> bool:
                ready = selector.select(0.2)
                for key, _ in ready:
                    if key.data.hear():
                        selector.unregister(key.fileobj)
                if not ready:
                    for key in selector.get_map().values():
                        key.data.ask(again=True)
                return not selector.get_map()

            until("every client has its answer", heard, seconds=20)

    @property
    def foreign(self) -> list[bytes]:
        """All that reached a wrong client."""
        for asker in self.all:
            asker.hear()
        return [data for asker in self.all for data in asker.foreign]
