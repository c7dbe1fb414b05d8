"""The feed: every subscriber hears everything, and a slow one holds up nobody."""

import pytest
import trio
from pylb.core import Fact, Feed

pytestmark = pytest.mark.trio


def waiting(channel: "trio.MemoryReceiveChannel[Fact]") -> list[Fact]:
    """What can be had without waiting."""
    found = []
    while True:
        try:
            found.append(channel.receive_nowait())
        except (trio.WouldBlock, trio.EndOfChannel):
            return found


def numbered(*numbers: int) -> list[Fact]:
    return [{"fact": "n", "n": number} for number in numbers]


async def test_every_subscriber_hears_everything_from_then_on() -> None:
    feed = Feed()
    first = feed.subscribe()
    feed.tell({"fact": "n", "n": 1})
    second = feed.subscribe()
    feed.tell({"fact": "n", "n": 2})
    assert waiting(first) == numbered(1, 2)
    assert waiting(second) == numbered(2)


async def test_what_happened_before_waits_for_the_first() -> None:
    feed = Feed()
    feed.tell({"fact": "n", "n": 1})
    assert waiting(feed.subscribe()) == numbered(1)
    assert waiting(feed.subscribe()) == []


async def test_a_slow_one_loses_the_newest_and_learns_how_many() -> None:
    feed = Feed(capacity=3)
    slow, other = feed.subscribe(), feed.subscribe()
    for number in range(5):
        feed.tell({"fact": "n", "n": number})
        assert waiting(other) == numbered(number)
    assert waiting(slow) == numbered(0, 1, 2)
    feed.tell({"fact": "n", "n": 5})
    assert waiting(slow) == [{"fact": "facts_dropped", "count": 2}, *numbered(5)]


async def test_whoever_leaves_is_forgotten() -> None:
    feed = Feed()
    gone, stays = feed.subscribe(), feed.subscribe()
    gone.close()
    feed.tell({"fact": "n", "n": 1})
    assert waiting(stays) == numbered(1)


async def test_the_end_comes_after_what_waits() -> None:
    feed = Feed()
    facts = feed.subscribe()
    feed.tell({"fact": "n", "n": 1})
    feed.close()
    assert [fact async for fact in facts] == numbered(1)
    assert [fact async for fact in feed.subscribe()] == []
