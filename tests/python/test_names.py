"""Names that are looked up again: what changes is learned, what fails changes nothing."""

from collections.abc import Callable, Sequence
from threading import Event
from typing import Any

import pytest
import trio
from pylb.errors import PylbError
from pylb.names import Names


class World:
    """Stands in for the resolver and for whoever learns; `found` is what names have now."""

    def __init__(self, **found: list[str]) -> None:
        self.found: dict[str, list[str] | Exception] = dict(found)
        self.learned: list[tuple[str, list[str]]] = []
        self.told: list[dict[str, Any]] = []
        self.asked: list[tuple[str, float]] = []
        self.refuses: Exception | None = None
        self.names = Names(self.learn, tell=self.told.append, resolve=self.resolve)

    def resolve(self, host: str) -> list[str]:
        found = self.found[host]
        if isinstance(found, Exception):
            raise found
        return found

    async def learn(self, host: str, addresses: Sequence[str]) -> None:
        if self.refuses:
            raise self.refuses
        self.asked.append((host, trio.current_time()))
        self.learned.append((host, list(addresses)))


@pytest.fixture
def clock() -> trio.testing.MockClock:
    return trio.testing.MockClock(autojump_threshold=0.1)


def run(world: World, clock: trio.testing.MockClock, scenario: Callable[[], Any]) -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.names.run)
            await scenario()
            nursery.cancel_scope.cancel()

    trio.run(main, clock=clock)


def test_each_name_is_looked_up_at_its_own_pace_and_not_at_once(clock: trio.testing.MockClock) -> None:
    world = World(a=["10.0.0.1"], b=["10.0.0.2"])

    async def scenario() -> None:
        world.names.reconcile({"a": 10, "b": 30})
        await trio.sleep(35)

    run(world, clock, scenario)
    assert world.asked == [("a", 10), ("a", 20), ("b", 30), ("a", 30)] or world.asked == [
        ("a", 10),
        ("a", 20),
        ("a", 30),
        ("b", 30),
    ]


def test_a_failure_changes_nothing_and_is_told_once_until_it_is_over(clock: trio.testing.MockClock) -> None:
    world = World(a=["10.0.0.1"])

    async def scenario() -> None:
        world.names.reconcile({"a": 10})
        await trio.sleep(15)
        world.found["a"] = OSError(-3, "Temporary failure in name resolution")
        await trio.sleep(30)
        assert world.names.failing == {"a": "it has no address (Temporary failure in name resolution)"}
        world.found["a"] = ["10.0.0.2"]
        await trio.sleep(10)

    run(world, clock, scenario)
    assert world.learned == [("a", ["10.0.0.1"]), ("a", ["10.0.0.2"])]
    assert world.told == [
        {
            "fact": "name_failed",
            "name": "a",
            "why": "it has no address (Temporary failure in name resolution)",
        },
        {"fact": "name_resolved", "name": "a"},
    ]
    assert world.names.failing == {}


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (PylbError("too many"), "its addresses 10.0.0.1, 10.0.0.2 cannot be used (too many)"),
        (KeyError("a"), "its addresses 10.0.0.1, 10.0.0.2 cannot be used (fault inside pylb: KeyError('a'))"),
    ],
)
def test_a_set_that_cannot_be_used_is_told_once_and_ends_nothing(
    clock: trio.testing.MockClock, error: Exception, why: str
) -> None:
    world = World(a=["10.0.0.1", "10.0.0.2"])
    world.refuses = error

    async def scenario() -> None:
        world.names.reconcile({"a": 10})
        await trio.sleep(35)
        world.refuses = None
        await trio.sleep(10)

    run(world, clock, scenario)
    assert world.told == [
        {"fact": "name_failed", "name": "a", "why": why},
        {"fact": "name_resolved", "name": "a"},
    ]
    assert world.learned == [("a", ["10.0.0.1", "10.0.0.2"])]


@pytest.mark.parametrize("nothing", [[], UnicodeError("label too long")], ids=["empty", "no name"])
def test_nothing_is_a_failure(clock: trio.testing.MockClock, nothing: Any) -> None:
    world = World(a=nothing)

    async def scenario() -> None:
        world.names.reconcile({"a": 10})
        await trio.sleep(15)

    run(world, clock, scenario)
    assert world.learned == []
    assert list(world.names.failing) == ["a"]


def test_what_did_not_change_goes_on_and_what_is_gone_ends(clock: trio.testing.MockClock) -> None:
    world = World(a=["10.0.0.1"], b=["10.0.0.2"])

    async def scenario() -> None:
        world.names.reconcile({"a": 10, "b": 10})
        await trio.sleep(5)
        world.names.reconcile({"a": 10})
        await trio.sleep(10)
        world.names.reconcile({"a": 2})
        await trio.sleep(3)

    run(world, clock, scenario)
    assert world.asked == [("a", 10), ("a", 17)]


def test_a_resolver_that_hangs_holds_up_its_own_name_only() -> None:
    release = Event()
    world = World(b=["10.0.0.2"])
    resolve = world.resolve

    def hanging(host: str) -> list[str]:
        if host == "a":
            release.wait(60)
            return ["10.0.0.1"]
        return resolve(host)

    async def main() -> None:
        learned = trio.Event()

        async def learn(host: str, addresses: Sequence[str]) -> None:
            assert host == "b"
            learned.set()

        names = Names(learn, tell=world.told.append, resolve=hanging)
        names.reconcile({"a": 0.01, "b": 0.01})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(names.run)
            with trio.fail_after(30):
                await learned.wait()
            nursery.cancel_scope.cancel()

    try:
        trio.run(main)
    finally:
        release.set()
