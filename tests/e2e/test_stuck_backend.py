"""One of four backends accepts and never answers: its requests end on time, and soon it gets none."""

import time

import pytest

from .balancer import Balancer, Config, site
from .crowd import Crowd, Outcome, get, percentile
from .origin import Ask

HEAD, TICK = 0.5, 0.05
"""response_head, and the grain of pylb's clock."""
CLIENTS = 64


def stuck(ask: Ask) -> None:
    """Takes the request, and that was it."""
    ask.wait_until_gone()


def config(addresses: list[str]) -> Config:
    routes = [{"pool": "app", "timeouts": {"response_head": "500ms"}}]
    return site(addresses, listener={"routes": routes})


def load(balancer: Balancer, requests: int) -> list[Outcome]:
    """Some 600 requests a second in all: what is measured is pylb, not the client."""
    return (
        Crowd(
            balancer.address(),
            clients=CLIENTS,
            requests=requests,
            request=get,
            think=lambda dice: dice.uniform(0, 0.2),
        )
        .run()
        .outcomes
    )


def one_of_four(serve, programs, origin, folder, *, requests: int) -> None:
    four = programs(4, "ledger.py", "{port}", str(folder / "{port}.ledger"))
    healthy = serve(config([one.address for one in four]))
    load(healthy, 500)
    before = percentile([one.seconds for one in load(healthy, requests)], 0.99)
    healthy.stop()

    bad = origin(stuck)
    balancer = serve(config([*(one.address for one in four[:3]), bad.address]))
    began = time.monotonic()
    outcomes = load(balancer, requests)
    late = [one for one in outcomes if one.status != 200]
    assert {one.status for one in late} == {504}
    for one in late:
        assert one.get("proxy-status") == "pylb; error=http_response_timeout"
        assert HEAD * 0.9 <= one.seconds <= HEAD * 1.1 + TICK, one
    first = min(one.began + one.seconds for one in late)
    ejected = balancer.said(r"is out for")
    assert bad.address in ejected
    last = max(one.began for one in late)
    assert last - first < 5, f"it still got requests {last - first:.1f} s later"
    assert balancer.backend("app", bad.address)["state"] == "ejected" or time.monotonic() - began > 10
    after = percentile([one.seconds for one in outcomes if one.status == 200], 0.99)
    assert after <= 1.2 * before + 0.001, f"p99 of the others {before:.4f} s -> {after:.4f} s"


def test_one_of_four_never_answers(serve, programs, origin, tmp_path):
    one_of_four(serve, programs, origin, tmp_path, requests=2_000)


@pytest.mark.soak
def test_one_of_four_never_answers_for_longer(serve, programs, origin, tmp_path):
    one_of_four(serve, programs, origin, tmp_path, requests=5_000)
