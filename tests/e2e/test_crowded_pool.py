"""More clients than the backends may have at once: a hard limit, one fair queue, and prompt refusals.

The origins count what they do at the same time themselves, so a moment that was missed does not exist.
"""

import threading
from collections import Counter

import pytest

from .balancer import Balancer, site
from .crowd import Crowd, Outcome, percentile
from .origin import Ask, Origin
from .patience import pause, until

EACH = 4
CLIENTS = 200
GRAIN = 0.05
"""The grain of pylb's deadlines, in seconds."""


class Busy:
    """A script whose answers take a while, and that knows the most it ever did at once."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.now = self.most = self.done = 0
        self.lock = threading.Lock()

    def __call__(self, ask: Ask) -> None:
        ask.read_body()
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        pause(self.seconds)
        with self.lock:
            self.now -= 1
            self.done += 1
        ask.answer()


def crowded(serve, origin, *, work: float, **queue: object) -> tuple[Balancer, list[Busy]]:
    """Two backends that take four requests each, and how they fared."""
    busy = [Busy(work), Busy(work)]
    two: list[Origin] = [origin(script) for script in busy]
    backends = [{"address": one.address, "max_in_flight": EACH} for one in two]
    return serve(site(backends, pool={"balance": "two_choices", "queue": queue})), busy


def refusals(outcomes: list[Outcome]) -> list[Outcome]:
    """Those that did not get in; all of them say why, and when to come again."""
    refused = [one for one in outcomes if one.status != 200]
    assert {one.status for one in refused} <= {503}, Counter(one.why for one in refused)
    for one in refused:
        assert one.get("proxy-status") == "pylb; error=connection_limit_reached", one
        assert int(one.get("retry-after") or 0) >= 1, one
    return refused


def on_time(balancer: Balancer, refused: list[Outcome], requests: int, limit: float) -> None:
    """By pylb's clock all refusals came in time; by the clients', which may be who sleeps, as good as all."""
    lines = balancer.access_log(requests)
    assert max(line["ms"]["total"] for line in lines if line["status"] == 503) <= limit * 1_000
    assert percentile([one.seconds for one in refused], 0.999) <= limit


def fair_share(serve, origin, *, requests: int) -> None:
    balancer, busy = crowded(serve, origin, work=0.01, size=1_000, timeout="5s")
    crowd = Crowd(balancer.address(), clients=CLIENTS, requests=requests).run()
    assert set(crowd.statuses) == {200}, crowd
    assert [one.most for one in busy] == [EACH, EACH]
    assert max(one.seconds for one in crowd.outcomes) <= 5 + GRAIN
    # First come, first served: in a closed crowd everybody gets as often a turn as everybody else.
    turns = Counter(one.client for one in crowd.outcomes)
    fair = requests / CLIENTS
    assert len(turns) == CLIENTS
    assert min(turns.values()) >= fair - 3, turns.most_common()[-3:]
    assert max(turns.values()) <= fair + 3, turns.most_common(3)


def test_two_hundred_clients_take_turns(serve, origin):
    fair_share(serve, origin, requests=2_000)


@pytest.mark.soak
def test_two_hundred_clients_take_many_turns(serve, origin):
    fair_share(serve, origin, requests=40_000)


def prompt(serve, origin, *, requests: int) -> None:
    """A queue of 20 and 200 clients: whoever finds it full is told at once, the others are served."""
    balancer, busy = crowded(serve, origin, work=0.05, size=20, timeout="5s")
    crowd = Crowd(
        balancer.address(), clients=CLIENTS, requests=requests, think=lambda dice: dice.uniform(0.1, 0.5)
    ).run()
    refused = refusals(crowd.outcomes)
    assert len(refused) > requests / 10, crowd
    on_time(balancer, refused, requests, 0.05)
    assert [one.most for one in busy] == [EACH, EACH]
    # At most 20 before it, 8 at a time, 50 ms each: a wait of 3 or 4 rounds.
    assert max(one.seconds for one in crowd.outcomes if one.status == 200) < 1


def test_who_finds_the_queue_full_is_refused_at_once(serve, origin):
    prompt(serve, origin, requests=2_000)


@pytest.mark.soak
def test_who_finds_the_queue_full_is_refused_at_once_for_long(serve, origin):
    prompt(serve, origin, requests=40_000)


def deadline(serve, origin, *, requests: int) -> None:
    """Nobody waits longer than the queue says, and whoever gets in before that is served."""
    balancer, busy = crowded(serve, origin, work=0.05, size=1_000, timeout="300ms")
    crowd = Crowd(balancer.address(), clients=CLIENTS, requests=requests).run()
    refused = refusals(crowd.outcomes)
    assert refused, crowd
    assert min(one.seconds for one in refused) >= 0.3 * 0.9
    on_time(balancer, refused, requests, 0.3 * 1.1 + GRAIN)
    assert [one.most for one in busy] == [EACH, EACH]
    waits = [line["ms"]["queue"] for line in balancer.access_log(requests) if line["status"] == 200]
    assert max(wait or 0 for wait in waits) <= (0.3 * 1.1 + GRAIN) * 1_000
    assert crowd.statuses[200] == sum(one.done for one in busy)


def test_nobody_waits_beyond_the_deadline(serve, origin):
    deadline(serve, origin, requests=1_000)


@pytest.mark.soak
def test_nobody_waits_beyond_the_deadline_for_long(serve, origin):
    deadline(serve, origin, requests=20_000)


def test_who_leaves_the_queue_leaves_no_gap(serve, origin):
    """Half of those who wait go away: the others move up, and nothing is sent for the absent."""
    balancer, busy = crowded(serve, origin, work=0.3, size=1_000, timeout="5s")
    talks = [balancer.talk() for _ in range(48)]
    first, leaving, staying = talks[:8], talks[8::2], talks[9::2]
    for talk in first:
        talk.request("GET")
    until("the backends are full", lambda: [one.now for one in busy] == [EACH, EACH])
    for talk in talks[8:]:
        talk.request("GET")
    for talk in leaving:
        talk.close()
    assert [talk.response().status for talk in first + staying] == [200] * len(first + staying)
    for talk in first + staying:
        talk.close()
    assert [one.most for one in busy] == [EACH, EACH]
    assert sum(one.done for one in busy) == len(first + staying)
    until("nobody is left", lambda: balancer.status()["clients"] == 0)
