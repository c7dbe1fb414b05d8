"""A pool that is on its knees is not kicked: retries are bounded by what the clients ask for."""

import time

import pytest

from .balancer import site, tcp
from .crowd import Crowd
from .origin import Origin

SHARE, PER_SECOND = 0.2, 10
WINDOW = 10
"""Seconds over which pylb counts: a pool that was quiet has so much of its 10 a second to spend at once."""

RETRIES = {
    "retries": {"tries": 3, "on": ["connect", "stale", "closed", "refused_stream", "503"], "budget": "20%"}
}


def storm(serve, origins: list[Origin], *, clients: int, requests: int, passive: dict[str, object]) -> None:
    config = site(
        [one.address for one in origins], pool={**RETRIES, "passive": passive}, metrics={"bind": tcp()}
    )
    balancer = serve(config)
    began = time.monotonic()
    crowd = Crowd(
        balancer.address(), clients=clients, requests=requests, think=lambda dice: dice.uniform(0, 0.02)
    ).run()
    seconds = time.monotonic() - began
    assert set(crowd.statuses) == {503}, crowd
    asked = len(crowd.outcomes)
    executed = sum(one.count() for one in origins)
    allowed = (1 + SHARE) * asked + PER_SECOND * (seconds + WINDOW)
    assert executed <= allowed, (executed, asked, seconds)
    if passive is NEVER:
        assert executed > asked * 1.05, "nothing was retried"
        counted = balancer.metrics(requests=asked)
        assert counted.value("pylb_retries_total", reason="status") == executed - asked
        assert counted.value("pylb_retries_denied_total") > 0


NEVER = {"failures": 1_000_000}
AS_IT_COMES = {"failures": 5}


@pytest.mark.parametrize("passive", [NEVER, AS_IT_COMES], ids=["never ejected", "ejected"])
def test_all_origins_answer_503(serve, origins, passive):
    three = origins(3, lambda ask: ask.answer(503, "no"))
    storm(serve, three, clients=16, requests=2_000, passive=passive)


@pytest.mark.soak
@pytest.mark.parametrize("passive", [NEVER, AS_IT_COMES], ids=["never ejected", "ejected"])
def test_all_origins_answer_503_for_long(serve, origins, passive):
    three = origins(3, lambda ask: ask.answer(503, "no"))
    storm(serve, three, clients=64, requests=50_000, passive=passive)
