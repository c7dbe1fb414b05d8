"""Many clients that know exactly how long each answer took, all in one thread.

As in `load` nobody asks twice, but here every request is kept: who asked, when, for how long, and what came.
A request without a complete answer has status 0 and says why.
"""

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType

from .patience import until
from .talk import Address

LIMIT = 30.0
"""Seconds after which a client gives an answer up."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request, over."""

    client: int
    number: int
    began: float
    """On the clock of time.monotonic()."""
    seconds: float
    status: int
    head: bytes = b""
    body: bytes = b""
    why: str = ""

    def get(self, name: str) -> str | None:
        """The first value of a field."""
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return None


class Crowd:
    """`clients` that ask until `requests` have begun or the block is over. A context manager.

    `request` makes the bytes of a request from its number, `think` draws the seconds a client waits before
    its next one.
    """

    def __init__(
        self,
        address: Address,
        *,
        clients: int,
        requests: int | None = None,
        request: Callable[[int], bytes] = lambda number: get(number),
        think: Callable[[random.Random], float] | None = None,
        seed: int = 1,
    ) -> None:
        assert isinstance(address, tuple)
        self.address = address
        self.clients = clients
        self.quota = requests
        self.request = request
        self.think = think
        self.seed = seed
        self.outcomes: list[Outcome] = []
        self._begun = 0
        self._over = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Crowd":
        return self.start()

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> "Crowd":
        """Sends the clients off."""
        self._thread.start()
        return self

    def stop(self) -> "Crowd":
        """Lets every client finish what it has begun."""
        self._over = True
        return self.join()

    def join(self, seconds: float = 1_200) -> "Crowd":
        """Waits until the clients have done their number of requests."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "a client hangs"
        if self._error is not None:
            raise self._error
        return self

    def run(self) -> "Crowd":
        """All requests, to the end."""
        return self.start().join()

    def wait_for_more(self, count: int) -> None:
        """Returns once `count` further requests are over."""
        goal = len(self.outcomes) + count
        until(f"{count} more requests ({self})", lambda: len(self.outcomes) >= goal, seconds=60)

    @property
    def statuses(self) -> Counter[int]:
        """How many requests ended how."""
        return Counter(one.status for one in self.outcomes)

    def __repr__(self) -> str:
        return f"{dict(self.statuses)}, because {dict(Counter(one.why for one in self.outcomes if one.why))}"

    # ---- the clients

    def _run(self) -> None:
        try:
            asyncio.run(self._all())
        except BaseException as error:
            self._error = error

    async def _all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for client in range(self.clients):
                group.create_task(self._client(client))

    async def _client(self, client: int) -> None:
        dice = random.Random(self.seed * 100_003 + client)
        line: _Line | None = None
        while not self._over and (self.quota is None or self._begun < self.quota):
            self._begun += 1
            number = self._begun
            if self.think is not None:
                await asyncio.sleep(self.think(dice))
            if line is None or line.reader.at_eof():
                line = await _Line.open(self.address)
            began = time.monotonic()
            status, head, body, why = await line.ask(self.request(number))
            took = time.monotonic() - began
            self.outcomes.append(Outcome(client, number, began, took, status, head, body, why))
            if not status or b"connection: close" in head.lower():
                line.writer.close()
                line = None
        if line is not None:
            line.writer.close()


@dataclass
class _Line:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, address: tuple[str, int]) -> "_Line":
        return cls(*await asyncio.open_connection(*address))

    async def ask(self, request: bytes) -> tuple[int, bytes, bytes, str]:
        head = b""
        try:
            async with asyncio.timeout(LIMIT):
                self.writer.write(request)
                head = (await self.reader.readuntil(b"\r\n\r\n"))[:-4]
                length = next(
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length:")
                )
                return int(head[9:12]), head, await self.reader.readexactly(length), ""
        except (OSError, EOFError, TimeoutError) as error:
            return 0, head, b"", f"{type(error).__name__} {'in the body' if head else 'before the answer'}"


def get(number: int) -> bytes:
    """A GET whose path is its number."""
    return b"GET /%d HTTP/1.1\r\nHost: test\r\n\r\n" % number


def post(number: int) -> bytes:
    """A POST whose path is its number, with a small body."""
    body = b"pay %d" % number
    return b"POST /%d HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n%s" % (number, len(body), body)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of them lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
