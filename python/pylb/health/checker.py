"""Keeps one task per backend that has an active check, and the core's word about each of them true.

`reconcile` gets the whole desired set, at every plan: what is new starts, what is gone ends, and what did
not change lives on, its task and its standing. A backend whose check changed starts a new task with the old
standing, because the core kept its health too. The core is told after every answer, not only at a change:
writing the word again costs nothing, and a word that was lost is right again a moment later.
"""

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import trio

from pylb.core import Fact
from pylb.health.probe import Answer, Question, Unasked, ask
from pylb.health.threshold import Standing, after

JITTER = 0.1
"""The part of an interval by which it varies, so that many checks do not fall into step."""
HURRY = 1.0
"""Seconds between two checks while the outcome is changing."""

Key = tuple[str, str]
"""(pool, backend), the backend as the user wrote it."""


@dataclass(frozen=True, slots=True)
class Check:
    """A question, how often it is asked (seconds), and how many answers in a row change what is believed."""

    question: Question
    interval: float
    rise: int
    fall: int


class Core(Protocol):
    """What a checker needs of the core."""

    def set_health(self, pool: str, backend: str, up: bool) -> bool: ...


@dataclass(slots=True)
class Seen:
    """What is known of one backend: its standing, the last answer and when it came (trio's clock)."""

    standing: Standing = field(default_factory=Standing)
    answer: Answer | None = None
    at: float = 0.0


@dataclass(slots=True)
class _Watched:
    check: Check
    seen: Seen
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)


class Checker:
    """The tasks, while `run` runs. `tell` gets the facts backend_up, backend_down and check_skipped."""

    def __init__(
        self,
        core: Core,
        *,
        tell: Callable[[Fact], None],
        ask: Callable[[Question], Awaitable[Answer]] = ask,
        dice: random.Random | None = None,
    ) -> None:
        self._core = core
        self._ask = ask
        self._tell = tell
        self._dice = dice or random.Random()
        self._watched: dict[Key, _Watched] = {}
        self._nursery: trio.Nursery | None = None

    async def run(self) -> None:
        """Checks until cancelled."""
        async with trio.open_nursery() as self._nursery:
            for key in self._watched:
                self._start(key)
            await trio.sleep_forever()

    def reconcile(self, checks: Mapping[Key, Check]) -> None:
        """Makes the running tasks those of `checks`."""
        for key in self._watched.keys() - checks.keys():
            self._watched.pop(key).scope.cancel()
        for key, check in checks.items():
            known = self._watched.get(key)
            if known is not None and known.check == check:
                continue
            if known is not None:
                known.scope.cancel()
            self._watched[key] = _Watched(check, known.seen if known else Seen())
            self._start(key)

    def seen(self, pool: str, backend: str) -> Seen | None:
        """The last answer of a backend; None if it has no check."""
        watched = self._watched.get((pool, backend))
        return watched.seen if watched else None

    def _start(self, key: Key) -> None:
        if self._nursery is not None:
            self._nursery.start_soon(self._watch, key, self._watched[key], name=f"health of {' '.join(key)}")

    async def _watch(self, key: Key, watched: _Watched) -> None:
        check, seen = watched.check, watched.seen
        skipped = False
        with watched.scope:
            await trio.sleep(self._dice.uniform(0, JITTER * min(check.interval, HURRY)))
            while True:
                started = trio.current_time()
                try:
                    answer = await self._ask(check.question)
                except Exception as reason:
                    # Whatever it is, the backend is not to blame, and a check must not end the load balancer.
                    if not skipped:
                        why = str(reason) if isinstance(reason, Unasked) else f"fault inside pylb: {reason!r}"
                        self._tell(_fact("check_skipped", key, why=why))
                    skipped = True
                else:
                    skipped = False
                    self._learn(key, watched, answer)
                pause = min(check.interval, HURRY) if seen.standing.is_changing else check.interval
                await trio.sleep_until(started + pause * self._dice.uniform(1 - JITTER, 1 + JITTER))

    def _learn(self, key: Key, watched: _Watched, answer: Answer) -> None:
        seen, check = watched.seen, watched.check
        before = seen.standing.up
        seen.standing = after(seen.standing, answer.good, rise=check.rise, fall=check.fall)
        seen.answer, seen.at = answer, trio.current_time()
        up = seen.standing.up
        if up is None:
            return
        self._core.set_health(*key, up)
        if up is not before:
            name = "backend_up" if up else "backend_down"
            self._tell(_fact(name, key, why=answer.why, status=answer.status, latency=answer.latency))


def _fact(name: str, key: Key, **details: object) -> Fact:
    return {"fact": name, "pool": key[0], "backend": key[1], **details}
