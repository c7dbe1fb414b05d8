"""Which backend gets a request: the promises of every policy, counted in the origins' ledgers."""

import threading
from collections import Counter

import pytest

from .balancer import site
from .load import Load
from .origin import Ask
from .patience import pause, until
from .ports import free_port


def counts(origins) -> list[int]:
    return [one.count() for one in origins]


def slow(ask: Ask) -> None:
    """Answers, after a while."""
    pause(0.05)
    ask.answer()


def test_weighted_round_robin_is_exact_over_all_workers(serve, origins):
    """5:1:1 in 7,000 requests of 16 clients on two workers: 5,000, 1,000 and 1,000, not one more or less."""
    three = origins(3)
    weights = [
        {"address": one.address, "weight": weight} for one, weight in zip(three, (5, 1, 1), strict=True)
    ]
    balancer = serve(site(weights))
    load = Load(balancer.address(), connections=16, requests=7_000).run()
    assert load.all_ok(), load
    assert counts(three) == [5_000, 1_000, 1_000]


def test_weighted_round_robin_is_smooth(serve, origins):
    three = origins(3)
    weights = [
        {"address": one.address, "weight": weight} for one, weight in zip(three, (5, 1, 1), strict=True)
    ]
    balancer = serve(site(weights))
    with balancer.talk() as talk:
        order = "".join(talk.get().body.decode() for _ in range(14))
    # Wherever the turn begins, it is A A B A C A A again and again: never more than four A in a row.
    assert order in "aabacaa" * 4
    assert "aaaaa" not in order


def test_round_robin_survives_reloads(serve, origins):
    three = origins(3)
    config = site([one.address for one in three])
    balancer = serve(config)
    with balancer.talk() as talk:
        for _ in range(30):
            talk.get()
            balancer.load(config)
    assert counts(three) == [10, 10, 10]


def test_least_connections_spares_a_slow_backend(serve, origins):
    three = origins(3)
    three[0].script = slow
    balancer = serve(site([one.address for one in three], pool={"balance": "least_connections"}))
    load = Load(balancer.address(), connections=6, requests=1_500).run()
    assert load.all_ok(), load
    late, *fast = counts(three)
    assert late < min(fast) / 3


@pytest.mark.parametrize("policy", ["two_choices", "peak_ewma"])
def test_a_slow_backend_gets_less(serve, origins, policy):
    three = origins(3)
    three[0].script = slow
    balancer = serve(site([one.address for one in three], pool={"balance": policy}))
    load = Load(balancer.address(), connections=6, requests=1_500).run()
    assert load.all_ok(), load
    late, *fast = counts(three)
    assert late < min(fast) / 2


def test_two_choices_never_piles_on_one(serve, origins):
    """Of two different draws the less busy one: with two backends that is always the idle one."""
    gate = threading.Event()

    def held(ask: Ask) -> None:
        assert gate.wait(10)
        ask.answer()

    two = origins(2, held)
    balancer = serve(site([one.address for one in two], pool={"balance": "two_choices"}))
    talks = [balancer.talk() for _ in range(10)]
    for number, talk in enumerate(talks, 1):
        talk.request("GET")
        until("it has arrived", lambda number=number: sum(counts(two)) == number)
        assert abs(two[0].count() - two[1].count()) <= 1
    gate.set()
    for talk in talks:
        assert talk.response().status == 200
        talk.close()


def test_random_uses_all_by_weight(serve, origins):
    three = origins(3)
    weights = [
        {"address": one.address, "weight": weight} for one, weight in zip(three, (4, 1, 1), strict=True)
    ]
    balancer = serve(site(weights, pool={"balance": "random"}))
    load = Load(balancer.address(), connections=4, requests=1_200).run()
    assert load.all_ok(), load
    assert 700 < three[0].count() < 900
    assert all(120 < one.count() < 280 for one in three[1:])


def test_ip_hash_keeps_clients_and_moves_only_those_of_a_removed_backend(serve, origins):
    """200 addresses on five backends; one is removed, and the others' clients stay where they are."""
    five = origins(5)
    config = site([one.address for one in five], pool={"balance": "ip_hash"})
    balancer = serve(config)

    def homes() -> dict[int, bytes]:
        found = {}
        for number in range(1, 201):
            with balancer.talk(source=f"127.0.{number % 7}.{number}") as talk:
                bodies = {talk.get(f"/{each}").body for each in range(2)}
            assert len(bodies) == 1
            found[number] = bodies.pop()
        return found

    before = homes()
    assert homes() == before
    spread = Counter(before.values())
    assert len(spread) == 5
    assert min(spread.values()) >= 20
    removed = five[2]
    config["pools"]["app"]["backends"].remove(removed.address)
    balancer.load(config)
    after = homes()
    others = [number for number, home in before.items() if home != removed.name.encode()]
    moved = [number for number in others if after[number] != before[number]]
    assert len(moved) <= 0.01 * len(before), f"{len(moved)} of {len(others)} moved without need"
    assert removed.name.encode() not in after.values()


@pytest.mark.parametrize(
    ("key", "lines", "target"),
    [
        ({"header": "x-user"}, "X-User: {}", "/"),
        ({"cookie": "sid"}, "Cookie: a=b; sid={}; c=d", "/"),
        ({"query": "user"}, "X: 1", "/?a=b&user={}"),
        ({"path": True}, "X: 1", "/{}"),
    ],
)
def test_hash_by_what_the_request_carries(serve, origins, key, lines, target):
    five = origins(5)
    balancer = serve(site([one.address for one in five], pool={"balance": {"hash": key}}))
    homes: dict[int, set[bytes]] = {}
    for _ in range(3):
        with balancer.talk() as talk:
            for number in range(40):
                answer = talk.get(target.format(f"u{number}"), lines.format(f"u{number}"))
                homes.setdefault(number, set()).add(answer.body)
    assert all(len(found) == 1 for found in homes.values())
    assert len(set.union(*homes.values())) == 5


def test_failover_takes_the_first_that_works(serve, origins):
    three = origins(3)
    pool = {"balance": "failover", "passive": {"failures": 2, "eject": "300ms"}}
    balancer = serve(site([one.address for one in three], pool=pool))
    with balancer.talk() as talk:
        assert {talk.get().body for _ in range(10)} == {b"a"}
        three[0].stop()
        assert {talk.get().body for _ in range(10)} == {b"b"}
        three[0].start()
        until("the first is back", lambda: talk.get().body == b"a")
        assert counts(three)[2] == 0


def test_backups_serve_only_when_nobody_else_can(serve, origins):
    main, spare = origins(2)
    backends = [main.address, {"address": spare.address, "backup": True}]
    pool = {"health": {"tcp": True, "interval": "100ms", "fall": 1, "rise": 1}}
    balancer = serve(site(backends, pool=pool))
    with balancer.talk() as talk:
        assert {talk.get().body for _ in range(10)} == {b"a"}
        main.stop()
        balancer.said("is down")
        assert {talk.get().body for _ in range(10)} == {b"b"}
        main.start()
        balancer.said("is up.*\n?")
        until("the main one serves again", lambda: talk.get().body == b"a")
        assert {talk.get().body for _ in range(10)} == {b"a"}


def test_a_refused_connection_falls_through_to_the_backup(serve, origins):
    spare, _ = origins(2)
    backends = [f"127.0.0.1:{free_port()}", {"address": spare.address, "backup": True}]
    balancer = serve(site(backends))
    with balancer.talk() as talk:
        assert [talk.get().status for _ in range(20)] == [200] * 20
