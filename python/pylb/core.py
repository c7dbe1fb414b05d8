"""The door to the Rust core: nothing else imports `pylb._core`.

Facts come out of the core through an eventfd. `Feed` waits for it and hands every fact to whoever
subscribed, through channels of a fixed size: a subscriber that does not read loses the newest facts, is
told how many, and holds up nobody. What the Python layer itself finds out (health checks, reloads) goes
through the same feed, so there is one stream of things that happened.
"""

import math
import os
from collections import deque
from typing import Any

import trio

from pylb._core import BindFailed, Core, PlanInvalid, versions

__all__ = ["BindFailed", "Core", "Fact", "Feed", "PlanInvalid", "cores", "versions"]

Fact = dict[str, Any]
"""`{"fact": NAME, ...}`; `pylb.facts` lists the names and what comes with them."""

CAPACITY = 1024
"""Facts that wait for one subscriber before the newest are dropped."""


def cores() -> int:
    """How many processor cores this process may use: the number of workers for `workers: auto`."""
    return len(os.sched_getaffinity(0))


class Feed:
    """Facts, from the core and from Python, to every subscriber. What was told before anybody subscribed
    waits for the first who does."""

    def __init__(self, *, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._early: deque[Fact] | None = deque(maxlen=capacity)
        self._subscribers: list[_Subscriber] = []
        self._closed = False

    def subscribe(self) -> "trio.MemoryReceiveChannel[Fact]":
        """All facts from now on. Ends when the core has stopped; close it to unsubscribe."""
        send, receive = trio.open_memory_channel[Fact](self._capacity)
        if self._closed:
            send.close()
            return receive
        self._subscribers.append(_Subscriber(send))
        early, self._early = self._early or (), None
        for fact in early:
            self.tell(fact)
        return receive

    def tell(self, fact: Fact) -> None:
        """Hands a fact to every subscriber, without waiting for any."""
        if self._early is not None:
            self._early.append(fact)
        self._subscribers = [each for each in self._subscribers if each.take(fact)]

    async def pump(self, core: Core) -> None:
        """Passes on what the core reports, for ever."""
        while True:
            await trio.lowlevel.wait_readable(core.fileno())
            self.drain(core)

    def drain(self, core: Core) -> None:
        """Passes on what the core has reported by now."""
        for fact in core.facts():
            self.tell(fact)

    def close(self) -> None:
        """Ends every subscription, after what still waits in it."""
        for subscriber in self._subscribers:
            subscriber.close()
        self._subscribers = []
        self._closed = True


class _Subscriber:
    def __init__(self, send: "trio.MemorySendChannel[Fact]") -> None:
        self._send = send
        self._dropped = 0

    def take(self, fact: Fact) -> bool:
        """Queues a fact or counts it as dropped; False once nobody listens any more."""
        try:
            if self._dropped and self._room() > 1:
                self._send.send_nowait({"fact": "facts_dropped", "count": self._dropped})
                self._dropped = 0
            self._send.send_nowait(fact)
        except trio.WouldBlock:
            self._dropped += 1
        except trio.BrokenResourceError:
            return False
        return True

    def _room(self) -> float:
        waiting = self._send.statistics()
        return (
            math.inf
            if waiting.tasks_waiting_receive
            else waiting.max_buffer_size - waiting.current_buffer_used
        )

    def close(self) -> None:
        self._send.close()
