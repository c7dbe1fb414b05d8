"""Clients that ask without pause and never ask twice.

Each keeps its connection as long as the other side lets it. Every request ends in exactly one of three
ways:

- `ok`: the answer that was wanted, complete;
- `cut`: an answer had begun and ended visibly early, the only honest thing when a backend dies in
  mid-answer;
- `failed`: anything else, and above all a connection that ended with a request unanswered. A browser would
  quietly try again; these clients report it.

A connection that pylb closed with notice (`Connection: close`) is replaced. One closed while idle without
notice is replaced too only if the close was seen before the next request went out; it is counted in
`quiet_closes`.
"""

import select
import socket
import threading
from collections import Counter
from collections.abc import Callable
from types import TracebackType

from .patience import until
from .talk import Address, Cut, Response, Talk

Check = Callable[[Response], bool]


def is_ok(response: Response) -> bool:
    """A 200."""
    return response.status == 200


class Load:
    """Some clients in threads. As a context manager they run inside the block, and have ended behind it."""

    def __init__(
        self,
        address: Address,
        *,
        connections: int = 8,
        requests: int | None = None,
        target: str | Callable[[int], str] = "/",
        method: str = "GET",
        lines: tuple[str, ...] = (),
        body: bytes = b"",
        check: Check = is_ok,
        seconds: float = 10.0,
    ) -> None:
        self.address = address
        self.target = target if callable(target) else lambda number, always=target: always
        self.method = method
        self.lines = lines
        self.body = body
        self.check = check
        self.seconds = seconds
        self.quota = requests
        self.outcomes: Counter[str] = Counter()
        self.why: Counter[str] = Counter()
        self.quiet_closes = 0
        self._begun = 0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._client, daemon=True) for _ in range(connections)]

    def __enter__(self) -> "Load":
        return self.start()

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> "Load":
        """Sends the clients off."""
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> "Load":
        """Lets every client finish what it has begun."""
        self._over.set()
        return self.join()

    def join(self, seconds: float = 120) -> "Load":
        """Waits until the clients have done their number of requests."""
        for thread in self._threads:
            thread.join(seconds)
            assert not thread.is_alive(), "a client hangs"
        return self

    def run(self) -> "Load":
        """All requests, to the end."""
        return self.start().join()

    @property
    def total(self) -> int:
        """Requests that are over."""
        with self._lock:
            return self.outcomes.total()

    def wait_for_more(self, count: int) -> None:
        """Returns once `count` further requests are over: the clients are at it, whatever just happened."""
        goal = self.total + count
        until(f"{count} more requests ({self})", lambda: self.total >= goal, seconds=30)

    def __repr__(self) -> str:
        return f"{dict(self.outcomes)}, because {dict(self.why)}"

    def all_ok(self) -> bool:
        """Whether nothing but `ok` has happened, and something did."""
        return set(self.outcomes) == {"ok"}

    # ---- one client

    def _client(self) -> None:
        talk: Talk | None = None
        while (number := self._next()) is not None:
            if talk is not None and self._has_ended(talk):
                talk.close()
                talk = None
            talk = self._once(talk, number)
        if talk is not None:
            talk.close()

    def _next(self) -> int | None:
        with self._lock:
            if self._over.is_set() or (self.quota is not None and self._begun >= self.quota):
                return None
            self._begun += 1
            return self._begun

    def _has_ended(self, talk: Talk) -> bool:
        readable, _, _ = select.select([talk.socket], [], [], 0)
        if not readable:
            return False
        assert not talk.socket.recv(1, socket.MSG_PEEK), "bytes nobody asked for"
        with self._lock:
            self.quiet_closes += 1
        return True

    def _once(self, talk: Talk | None, number: int) -> Talk | None:
        """One request; returns the connection if it lives on."""
        try:
            talk = talk or Talk(self.address, seconds=self.seconds)
            talk.request(self.method, self.target(number), *self.lines, body=self.body)
        except OSError as error:
            self._note("failed", f"send: {type(error).__name__}")
            return None
        try:
            head = talk.head()
        except (Cut, OSError) as error:
            begun = isinstance(error, Cut) and error.got
            self._note(
                "cut" if begun else "failed", f"no head: {getattr(error, 'how', type(error).__name__)}"
            )
            talk.close()
            return None
        try:
            response = talk.body_of(head, self.method)
        except Cut:
            self._note("cut", "in the body")
            talk.close()
            return None
        except OSError as error:
            self._note("failed", f"body: {type(error).__name__}")
            talk.close()
            return None
        good = self.check(response)
        self._note("ok" if good else "failed", "" if good else f"{response.status} {response.body[:80]!r}")
        if response.get("connection") == "close":
            talk.close()
            return None
        return talk

    def _note(self, outcome: str, why: str) -> None:
        with self._lock:
            self.outcomes[outcome] += 1
            if why:
                self.why[f"{outcome}: {why}"] += 1
