"""A pool at its limits: who waits, who is served next, and what everybody else is told.

The origins count whom they serve at once; `max_in_flight` is a promise about them, not about pylb.
"""

import threading
import time
from collections import Counter
from typing import Any

import pytest

from .balancer import site, tcp
from .crowd import Crowd, percentile
from .origin import Ask
from .patience import until

LIMIT = 4


class Gauge:
    """An origin's script that takes its time and knows the most requests it ever had at once."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()

    def __call__(self, ask: Ask) -> None:
        self._count(1)
        ask.read_body()
        time.sleep(self.seconds)
        self._count(-1)
        ask.answer()

    def _count(self, more: int) -> None:
        with self._lock:
            self._now += more
            self.most = max(self.most, self._now)


class Gate:
    """An origin's script that answers nobody until it opens."""

    def __init__(self) -> None:
        self.opened = threading.Event()

    def __call__(self, ask: Ask) -> None:
        self.opened.wait(30)
        ask.answer()


def limited(*addresses: str, queue: dict[str, object], limit: int = LIMIT, **top):
    backends = [{"address": address, "max_in_flight": limit} for address in addresses]
    return site(backends, pool={"queue": queue}, **top)


def queue_of(balancer) -> dict[str, Any]:
    return balancer.status()["pools"]["app"]["queue"]


def in_flight(balancer) -> int:
    return sum(backend["in_flight"] for backend in balancer.status()["pools"]["app"]["backends"])


def test_the_limit_holds_and_the_line_is_fair(serve, origin):
    gauges = [Gauge(0.01), Gauge(0.01)]
    addresses = [origin(gauge).address for gauge in gauges]
    balancer = serve(limited(*addresses, queue={"size": 1000, "timeout": "10s"}, metrics={"bind": tcp()}))
    with Crowd(balancer.address(), clients=100) as crowd:
        until("somebody waits", lambda: queue_of(balancer)["waiting"] > 50)
        depth = balancer.metrics().value("pylb_queue_depth", pool="app")
        crowd.wait_for_more(1_500)
    assert depth > 50
    assert set(crowd.statuses) == {200}, crowd
    assert max(gauge.most for gauge in gauges) <= LIMIT
    served = Counter(one.client for one in crowd.outcomes)
    assert max(served.values()) - min(served.values()) <= 4, served
    assert queue_of(balancer)["waiting"] == 0
    waited = sum(line["ms"]["queue"] is not None for line in balancer.access_log(len(crowd.outcomes)))
    assert waited > len(crowd.outcomes) * 0.8


def test_a_full_line_is_said_at_once(serve, origin):
    gauges = [Gauge(0.02), Gauge(0.02)]
    addresses = [origin(gauge).address for gauge in gauges]
    balancer = serve(limited(*addresses, queue={"size": 20, "timeout": "10s"}))
    with Crowd(balancer.address(), clients=60, think=lambda dice: dice.uniform(0, 0.05)) as crowd:
        crowd.wait_for_more(1_500)
    assert set(crowd.statuses) == {200, 503}, crowd
    refused = [one for one in crowd.outcomes if one.status == 503]
    for one in refused:
        assert one.get("proxy-status") == "pylb; error=connection_limit_reached"
        assert one.get("retry-after") == "1"
    assert percentile([one.seconds for one in refused], 0.95) < 0.05
    assert max(gauge.most for gauge in gauges) <= LIMIT


def test_nobody_waits_beyond_the_deadline(serve, origin):
    gate = Gate()
    balancer = serve(limited(origin(gate).address, queue={"size": 10, "timeout": "300ms"}, limit=1))
    with balancer.talk() as first, balancer.talk() as second:
        first.request("GET")
        until("the place is taken", lambda: in_flight(balancer) == 1)
        began = time.monotonic()
        answer = second.get()
        waited = time.monotonic() - began
        gate.opened.set()
        assert first.response().status == 200
    assert (answer.status, answer.get("proxy-status")) == (503, "pylb; error=connection_limit_reached")
    assert 0.28 <= waited < 1.0
    assert queue_of(balancer)["late"] == 1


def test_a_client_that_hangs_up_leaves_the_line(serve, origin):
    gate = Gate()
    one = origin(gate)
    balancer = serve(limited(one.address, queue={"size": 1, "timeout": "20s"}, limit=1))
    with balancer.talk() as first, balancer.talk() as second:
        first.request("GET")
        until("the place is taken", lambda: in_flight(balancer) == 1)
        with balancer.talk() as leaver:
            leaver.request("POST", body=b"nobody reads this")
            until("it waits", lambda: queue_of(balancer)["waiting"] == 1)
        until("it has left", lambda: queue_of(balancer)["waiting"] == 0)
        second.request("GET")
        until("the next waits", lambda: queue_of(balancer)["waiting"] == 1)
        gate.opened.set()
        assert [first.response().status, second.response().status] == [200, 200]
    assert one.count() == 2
    assert 499 in [line["status"] for line in balancer.access_log(3)]


def test_a_reload_with_a_higher_limit_wakes_the_line(serve, origin):
    gate = Gate()
    one = origin(gate)
    config = limited(one.address, queue={"size": 10, "timeout": "20s"}, limit=1)
    balancer = serve(config)
    talks = [balancer.talk() for _ in range(4)]
    for talk in talks:
        talk.request("GET")
    until("three wait", lambda: queue_of(balancer)["waiting"] == 3)
    config["pools"]["app"]["backends"][0]["max_in_flight"] = 4
    balancer.load(config)
    until("all are there", lambda: one.count() == 4)
    gate.opened.set()
    assert [talk.response().status for talk in talks] == [200] * 4
    for talk in talks:
        talk.close()


@pytest.mark.soak
def test_two_backends_of_four_places_and_two_hundred_clients(serve, origin):
    """The contract's own figures: the limit holds, waits end, refusals are prompt, and nobody starves."""
    gauges = [Gauge(0.02), Gauge(0.02)]
    addresses = [origin(gauge).address for gauge in gauges]
    balancer = serve(limited(*addresses, queue={"size": 150, "timeout": "1s"}))
    with Crowd(balancer.address(), clients=200, think=lambda dice: dice.uniform(0, 0.1)) as crowd:
        crowd.wait_for_more(10_000)
    served = [one for one in crowd.outcomes if one.status == 200]
    refused = [one for one in crowd.outcomes if one.status == 503]
    prompt = [one.seconds for one in refused if one.seconds <= 0.9]
    by_client = Counter(one.client for one in served)
    assert len(served) + len(refused) == len(crowd.outcomes), crowd
    assert max(gauge.most for gauge in gauges) <= LIMIT
    assert max(one.seconds for one in crowd.outcomes) < 1.2
    assert percentile(prompt, 0.99) < 0.05
    assert len(by_client) == 200
    assert min(by_client.values()) > 0.5 * len(served) / 200
