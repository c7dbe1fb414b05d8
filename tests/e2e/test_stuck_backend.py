"""One of four backends accepts and never answers: its requests end on time, and soon it gets none."""

import pytest

from .balancer import Balancer, Config, site
from .crowd import Crowd, get, percentile
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


def load(balancer: Balancer, requests: int) -> Crowd:
    """Some 300 requests a second in all: what is measured is pylb, not the client."""
    return Crowd(
        balancer.address(),
        clients=CLIENTS,
        requests=requests,
        request=get,
        think=lambda dice: dice.uniform(0, 0.4),
    )


def one_of_four(serve, programs, origin, folder, *, requests: int, share: float) -> None:
    """Beside it runs a pylb whose four backends all answer: whatever the machine does, it does to both."""
    four = programs(4, "ledger.py", "{port}", str(folder / "{port}.ledger"))
    bad = origin(stuck)
    healthy = serve(config([one.address for one in four]))
    balancer = serve(config([*(one.address for one in four[:3]), bad.address]))
    with load(healthy, requests) as before:
        outcomes = load(balancer, requests).run().outcomes

    late = [one for one in outcomes if one.status != 200]
    assert {one.status for one in late} == {504}
    for one in late:
        assert one.get("proxy-status") == "pylb; error=http_response_timeout"
        assert HEAD * 0.9 <= one.seconds <= HEAD * 1.1 + TICK, one
    assert bad.address in balancer.said("is out for")
    first, last = min(one.began + one.seconds for one in late), max(one.began for one in late)
    assert last - first < 5, f"it still got requests {last - first:.1f} s later"

    assert set(before.statuses) == {200}
    usual = percentile([one.seconds for one in before.outcomes], share)
    others = percentile([one.seconds for one in outcomes if one.status == 200], share)
    assert others <= 1.2 * usual + 0.001, f"the others took {others:.4f} s, where {usual:.4f} s is usual"


def test_one_of_four_never_answers(serve, programs, origin, tmp_path):
    one_of_four(serve, programs, origin, tmp_path, requests=2_000, share=0.9)


@pytest.mark.soak
def test_one_of_four_never_answers_for_longer(serve, programs, origin, tmp_path):
    one_of_four(serve, programs, origin, tmp_path, requests=3_000, share=0.99)
