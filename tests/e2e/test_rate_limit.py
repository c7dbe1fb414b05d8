"""Rate limits of a route: who is over gets 429 and is told when to come back; nobody else notices."""

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from .balancer import site
from .patience import until
from .talk import Response


def limited(address, limit, **listener):
    """A site whose only route has this limit."""
    return site([address], listener={"routes": [{"pool": "app", "rate_limit": limit}], **listener})


def standing(answer: Response) -> tuple[int, int, int, int]:
    """Quota, window, remaining and reset, as the answer tells them."""
    policy = re.fullmatch(r'"default";q=(\d+);w=(\d+)', answer.get("ratelimit-policy") or "")
    left = re.fullmatch(r'"default";r=(\d+);t=(\d+)', answer.get("ratelimit") or "")
    assert policy, answer
    assert left, answer
    quota, window, remaining, reset = map(int, (*policy.groups(), *left.groups()))
    return quota, window, remaining, reset


def test_a_burst_and_then_429(serve, origin):
    one = origin()
    balancer = serve(limited(one.address, {"rate": "1/s", "burst": 3, "key": "client"}))
    with balancer.talk() as talk:
        for left in (2, 1, 0):
            answer = talk.get()
            assert answer.status == 200
            assert standing(answer)[:3] == (3, 3, left)
        answer = talk.get()
        assert (answer.status, answer.get("retry-after")) == (429, "1")
        quota, window, remaining, reset = standing(answer)
        assert (quota, window, remaining) == (3, 3, 0)
        assert 1 <= reset <= 3
        until("a second later one more may come", lambda: talk.get().status == 200)
    (line,) = balancer.access_log(1, lambda line: line["status"] == 429)[:1]
    assert (line["route"], line["pool"], line["backend"]) == ("web#1", None, None)
    assert one.count() == 4


@pytest.mark.parametrize(
    ("key", "mine", "yours"),
    [
        ({"header": "x-api-key"}, "X-API-Key: one", "x-api-key: two"),
        ({"cookie": "sid"}, "Cookie: a=b; sid=one", "Cookie: sid=two"),
    ],
    ids=["header", "cookie"],
)
def test_each_key_has_its_own(serve, origin, key, mine, yours):
    one = origin()
    balancer = serve(limited(one.address, {"rate": "1/s", "burst": 2, "key": key}))
    with balancer.talk() as talk:
        assert [talk.get("/", mine).status for _ in range(3)] == [200, 200, 429]
        assert [talk.get("/", yours).status for _ in range(3)] == [200, 200, 429]
        assert [talk.get().status for _ in range(3)] == [200, 200, 429], "without a key it is the address"


def test_each_client_behind_a_trusted_proxy_has_its_own(serve, origin):
    one = origin()
    limit = {"rate": "1/s", "burst": 1, "key": "client"}
    balancer = serve(limited(one.address, limit, trusted_proxies=["127.0.0.0/8"]))
    with balancer.talk() as talk:
        for client in ("192.0.2.1", "192.0.2.2", "2001:db8::1"):
            line = f"X-Forwarded-For: {client}"
            assert [talk.get("/", line).status for _ in range(2)] == [200, 429]
        assert talk.get("/", "X-Forwarded-For: 2001:db8::2").status == 429, "one subscriber has a /64"


def test_all_workers_count_together(serve, origin):
    one = origin()
    balancer = serve({**limited(one.address, {"rate": "1/s", "burst": 40, "key": "client"}), "workers": 4})

    def client(_: int) -> list[int]:
        with balancer.talk() as talk:
            return [talk.get().status for _ in range(10)]

    with ThreadPoolExecutor(8) as pool:
        seen = Counter(status for statuses in pool.map(client, range(8)) for status in statuses)
    assert seen.keys() == {200, 429}
    assert 40 <= seen[200] <= 45, "no more than the burst and what the time has brought"


def test_other_routes_are_free(serve, origin):
    one = origin()
    config = limited(one.address, {"rate": "1/m", "burst": 1, "key": "client"})
    config["listeners"]["web"]["routes"][0]["match"] = {"path": "/paid/"}
    config["listeners"]["web"]["routes"].append({"pool": "app"})
    balancer = serve(config)
    with balancer.talk() as talk:
        assert talk.get("/paid/1").status == 200
        refused = talk.get("/paid/1")
        assert (refused.status, refused.get("retry-after")) == (429, "60")
        for _ in range(10):
            free = talk.get("/free")
            assert (free.status, free.get("ratelimit")) == (200, None)


def test_a_reload_gives_nobody_more(serve, origin):
    one = origin()
    config = limited(one.address, {"rate": "1/m", "burst": 2, "key": "client"})
    balancer = serve(config)
    with balancer.talk() as talk:
        assert [talk.get().status for _ in range(3)] == [200, 200, 429]
        balancer.reload()
        assert talk.get().status == 429
        config["listeners"]["web"]["routes"][0]["rate_limit"]["burst"] = 3
        balancer.load(config)
        assert [talk.get().status for _ in range(4)] == [200, 200, 200, 429], "another limit starts afresh"
