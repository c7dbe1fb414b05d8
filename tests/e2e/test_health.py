"""Who is fit to serve: by active checks, and by what happens to real requests."""

import threading

from .balancer import site
from .load import Load
from .origin import Ask, Origin
from .patience import until

CHECK = {"interval": "100ms", "timeout": "500ms", "rise": 2, "fall": 2}


class Patient:
    """A backend whose health can be set; requests to it succeed in any case."""

    def __init__(self, origin, name: str) -> None:
        self.status = 200
        self.origin: Origin = origin(self.script, name=name)

    def script(self, ask: Ask) -> None:
        if ask.target == "/healthz":
            ask.answer(self.status, "the database is away" if self.status >= 400 else "fine")
        else:
            ask.read_body()
            ask.answer()


def test_active_checks_take_a_backend_down_and_up_again(serve, origin):
    one, two = Patient(origin, "one"), Patient(origin, "two")
    pool = {
        "health": {
            "http": "/healthz",
            "expect": "200-299",
            "host": "app.internal",
            "headers": {"x-probe": "1"},
            **CHECK,
        }
    }
    balancer = serve(site([one.origin.address, two.origin.address], pool=pool))
    name = one.origin.address

    def state() -> str:
        return balancer.backend("app", name)["state"]

    until("both are up", lambda: state() == "up")
    probe = next(ask for ask in one.origin.ledger if ask.target == "/healthz")
    assert (probe.get("host"), probe.get("x-probe")) == ("app.internal", "1")

    one.status = 500
    until("one is down", lambda: state() == "down")
    line = balancer.said(f"{name} is down")
    assert "500" in line
    assert "expected 200-299" in line
    assert "the database is away" in line
    assert "500" in balancer.backend("app", name)["why"]
    with balancer.talk() as talk:
        assert {talk.get().body for _ in range(10)} == {b"two"}

    one.status = 200
    until("one is up", lambda: state() == "up")
    assert "200" in balancer.said(f"{name} is up.*200")
    with balancer.talk() as talk:
        assert {talk.get().body for _ in range(10)} == {b"one", b"two"}


def test_a_backend_that_dies_is_found_by_tcp_checks(serve, origin):
    one, two = origin(name="one"), origin(name="two")
    balancer = serve(site([one.address, two.address], pool={"health": {"tcp": True, **CHECK}}))
    until("one is up", lambda: balancer.backend("app", one.address)["state"] == "up")
    with Load(balancer.address(), connections=4) as load:
        load.wait_for_more(50)
        one.close_port()
        assert "refused" in balancer.said(f"{one.address} is down")
        load.wait_for_more(50)
        one.start()
        balancer.said(f"{one.address} is up")
        load.wait_for_more(50)
    assert load.all_ok(), load


def test_all_down_is_a_503_that_says_when_to_come_again(serve, origin):
    one = Patient(origin, "one")
    one.status = 503
    balancer = serve(site([one.origin.address], pool={"health": {"http": "/healthz", **CHECK}}))
    until("it is down", lambda: balancer.backend("app", one.origin.address)["state"] == "down")
    with balancer.talk() as talk:
        answer = talk.get()
    assert answer.status == 503
    assert answer.get("proxy-status") == "pylb; error=destination_unavailable"
    assert int(answer.get("retry-after") or 0) >= 1
    assert all(ask.target == "/healthz" for ask in one.origin.ledger)


def test_before_the_first_check_has_answered_traffic_flows(serve, origin):
    asked = threading.Event()

    def slow_to_wake(ask: Ask) -> None:
        if ask.target == "/healthz":
            asked.set()
            ask.wait_until_gone()
        else:
            ask.answer()

    one = origin(slow_to_wake, name="one")
    pool = {"health": {"http": "/healthz", "timeout": "5s", "interval": "5s"}}
    balancer = serve(site([one.address], pool=pool))
    assert asked.wait(10)
    assert balancer.backend("app", one.address)["state"] == "pending"
    with balancer.talk() as talk:
        assert talk.get().body == b"one"


def test_health_survives_a_reload(serve, origin):
    one, two = Patient(origin, "one"), Patient(origin, "two")
    one.status = 500
    config = site([one.origin.address, two.origin.address], pool={"health": {"http": "/healthz", **CHECK}})
    balancer = serve(config)
    until("one is down", lambda: balancer.backend("app", one.origin.address)["state"] == "down")
    until("two is up", lambda: balancer.backend("app", two.origin.address)["state"] == "up")
    for _ in range(5):
        balancer.load(config)
        assert balancer.backend("app", one.origin.address)["state"] == "down"
        assert balancer.backend("app", two.origin.address)["state"] == "up"


def test_failures_in_a_row_eject_a_backend_for_a_while(serve, origin):
    sick = threading.Event()
    sick.set()
    bad = origin(lambda ask: ask.answer(503 if sick.is_set() else 200, "bad"))
    good = origin(lambda ask: ask.answer(200, "good"))
    pool = {"passive": {"failures": 3, "eject": "500ms"}}
    balancer = serve(site([bad.address, good.address], pool=pool))
    with balancer.talk() as talk:
        statuses = [talk.get().status for _ in range(30)]
        assert statuses.count(503) == 3, "503 is passed on, and the third in a row is the last"
        line = balancer.said(f"{bad.address} is out for")
        assert "0.5 s" in line
        found = balancer.backend("app", bad.address)
        assert found["state"] == "ejected"
        assert "503" in found["why"]
        sick.clear()
        until("it is used again", lambda: talk.get().body == b"bad")
    balancer.said(f"{bad.address} answers requests again")
    assert balancer.backend("app", bad.address)["state"] == "up"


def test_the_last_backend_is_never_ejected(serve, origin):
    one = origin(lambda ask: ask.answer(503, "busy"))
    balancer = serve(site([one.address], pool={"passive": {"failures": 2, "eject": "60s"}}))
    with balancer.talk() as talk:
        assert [talk.get().body for _ in range(20)] == [b"busy"] * 20


def test_at_most_half_a_pool_is_ejected(serve, origin):
    bad = [origin(lambda ask: ask.answer(503, "busy")) for _ in range(4)]
    balancer = serve(site([one.address for one in bad], pool={"passive": {"failures": 2, "eject": "60s"}}))
    with balancer.talk() as talk:
        for _ in range(40):
            talk.get()
    states = [one["state"] for one in balancer.status()["pools"]["app"]["backends"]]
    assert states.count("ejected") == 2


def test_other_errors_of_an_application_eject_nobody(serve, origin):
    one, two = origin(lambda ask: ask.answer(500, "bug")), origin(lambda ask: ask.answer(404, "no"))
    balancer = serve(site([one.address, two.address], pool={"passive": {"failures": 2}}))
    with balancer.talk() as talk:
        assert {talk.get().status for _ in range(20)} == {500, 404}
    assert {one["state"] for one in balancer.status()["pools"]["app"]["backends"]} == {"up"}
