"""Tasks that check, on a virtual clock, with backends that answer as the test says."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
import trio
from pylb.core import Fact
from pylb.health.checker import Check, Checker, Key
from pylb.health.probe import Answer, Question, Unasked
from trio.testing import MockClock

pytestmark = pytest.mark.trio

A: Key = ("web", "a:1")
B: Key = ("web", "b:1")
GOOD = Answer(True, None, 200, 0.001)
BAD = Answer(False, "expected 200-399", 503, 0.002)


@dataclass
class World:
    """Backends by address, and everything that the checker did to it."""

    answers: dict[str, Answer | Exception] = field(default_factory=dict)
    asked: list[tuple[str, float]] = field(default_factory=list)
    health: dict[Key, bool] = field(default_factory=dict)
    facts: list[Fact] = field(default_factory=list)

    async def ask(self, question: Question) -> Answer:
        self.asked.append((question.address, trio.current_time()))
        answer = self.answers[question.address]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def set_health(self, pool: str, backend: str, up: bool) -> bool:
        self.health[pool, backend] = up
        return True

    def names(self) -> list[tuple[str, str]]:
        return [(fact["fact"], fact["backend"]) for fact in self.facts]

    def pauses(self, address: str) -> list[float]:
        times = [at for asked, at in self.asked if asked == address]
        return [later - earlier for earlier, later in pairwise(times)]


def check(address: str, interval: float = 5) -> Check:
    return Check(Question(address, None, 2), interval, rise=2, fall=3)


@asynccontextmanager
async def checking(world: World) -> AsyncIterator[Checker]:
    async with trio.open_nursery() as nursery:
        checker = Checker(world, tell=world.facts.append, ask=world.ask, dice=random.Random(7))
        nursery.start_soon(checker.run)
        yield checker
        nursery.cancel_scope.cancel()


async def test_a_backend_comes_up_at_its_first_good_answer(autojump_clock: MockClock) -> None:
    world = World({"a": GOOD})
    async with checking(world) as checker:
        checker.reconcile({A: check("a")})
        await trio.sleep(1)
    assert world.health == {A: True}
    assert world.facts == [
        {"fact": "backend_up", "pool": "web", "backend": "a:1", "why": None, "status": 200, "latency": 0.001}
    ]


async def test_checks_given_before_it_runs_start_with_it(autojump_clock: MockClock) -> None:
    world = World({"a": GOOD})
    checker = Checker(world, tell=world.facts.append, ask=world.ask)
    checker.reconcile({A: check("a")})
    with trio.move_on_after(1):
        await checker.run()
    assert world.health == {A: True}


async def test_out_and_in_again(autojump_clock: MockClock) -> None:
    world = World({"a": GOOD})
    async with checking(world) as checker:
        checker.reconcile({A: check("a")})
        await trio.sleep(20)
        world.answers["a"] = BAD
        await trio.sleep(20)
        assert world.health == {A: False}
        world.answers["a"] = GOOD
        await trio.sleep(20)
    assert world.health == {A: True}
    assert [fact["fact"] for fact in world.facts] == ["backend_up", "backend_down", "backend_up"]
    assert world.facts[1]["why"] == "expected 200-399"
    assert world.facts[1]["status"] == 503


async def test_intervals_vary_by_a_tenth(autojump_clock: MockClock) -> None:
    world = World({"a": GOOD})
    async with checking(world) as checker:
        checker.reconcile({A: check("a")})
        await trio.sleep(1000)
    pauses = world.pauses("a")
    assert all(4.5 <= pause <= 5.5 for pause in pauses)
    assert max(pauses) - min(pauses) > 0.5


async def test_while_the_outcome_is_changing_it_asks_every_second(autojump_clock: MockClock) -> None:
    world = World({"a": GOOD})
    async with checking(world) as checker:
        checker.reconcile({A: check("a")})
        await trio.sleep(1)
        world.answers["a"] = BAD
        await trio.sleep(20)
    first, *rest = world.pauses("a")
    assert first >= 4.5
    assert all(pause <= 1.1 for pause in rest[:2])
    assert all(pause >= 4.5 for pause in rest[2:])


async def test_a_short_interval_stays_short_while_changing(autojump_clock: MockClock) -> None:
    world = World({"a": BAD})
    async with checking(world) as checker:
        checker.reconcile({A: check("a", interval=0.2)})
        await trio.sleep(5)
    assert all(pause <= 0.22 for pause in world.pauses("a"))


async def test_what_did_not_change_lives_on(autojump_clock: MockClock) -> None:
    world = World({"a": GOOD, "b": GOOD})
    async with checking(world) as checker:
        for _ in range(50):
            checker.reconcile({A: check("a"), B: check("b")})
            await trio.sleep(0.5)
    assert world.names() == [("backend_up", "a:1"), ("backend_up", "b:1")] or world.names() == [
        ("backend_up", "b:1"),
        ("backend_up", "a:1"),
    ]
    assert all(pause >= 4.5 for pause in world.pauses("a"))


async def test_a_changed_check_keeps_the_standing(autojump_clock: MockClock) -> None:
    world = World({"a": BAD, "elsewhere": GOOD})
    async with checking(world) as checker:
        checker.reconcile({A: check("a")})
        await trio.sleep(10)
        assert world.health == {A: False}
        checker.reconcile({A: replace(check("elsewhere"), rise=1)})
        await trio.sleep(1)
    assert world.names() == [("backend_down", "a:1"), ("backend_up", "a:1")]
    assert world.asked[-1][0] == "elsewhere"


async def test_what_is_gone_is_not_asked_and_starts_anew_when_it_is_back(autojump_clock: MockClock) -> None:
    world = World({"a": GOOD})
    async with checking(world) as checker:
        checker.reconcile({A: check("a")})
        await trio.sleep(1)
        checker.reconcile({})
        asked = len(world.asked)
        await trio.sleep(100)
        assert len(world.asked) == asked
        assert checker.seen(*A) is None
        checker.reconcile({A: check("a")})
        await trio.sleep(1)
    assert [fact["fact"] for fact in world.facts] == ["backend_up", "backend_up"]


@pytest.mark.parametrize("reason", [Unasked("Too many open files"), TypeError("a fault of ours")])
async def test_what_could_not_be_asked_changes_nothing_and_is_told_once(
    autojump_clock: MockClock, reason: Exception
) -> None:
    world = World({"a": GOOD})
    async with checking(world) as checker:
        checker.reconcile({A: check("a")})
        await trio.sleep(1)
        world.answers["a"] = reason
        await trio.sleep(100)
        assert world.health == {A: True}
        world.answers["a"] = GOOD
        await trio.sleep(10)
    assert [fact["fact"] for fact in world.facts] == ["backend_up", "check_skipped"]
    assert str(reason) in world.facts[1]["why"]


async def test_the_last_answer_can_be_seen(autojump_clock: MockClock) -> None:
    world = World({"a": BAD})
    async with checking(world) as checker:
        checker.reconcile({A: check("a")})
        await trio.sleep(1)
        seen = checker.seen(*A)
    assert seen is not None
    assert seen.answer == BAD
    assert seen.standing.up is None
