"""What happens to a request whose backend fails: who may be asked again, how often, and what the client is
told.

A request is repeated only if no backend can have worked on it, or if working on it twice does no harm; the
ledgers of the origins are the judges.
"""

import socket
import time
from collections import Counter

import pytest

from .balancer import site, tcp
from .crowd import Crowd
from .load import Load
from .origin import Ask, tally
from .patience import until
from .ports import free_port

NEVER_EJECT = {"passive": {"failures": 1_000_000}}


def closes(ask: Ask) -> None:
    """Takes the whole request and leaves without a word."""
    ask.read_body()
    ask.close()


def resets(ask: Ask) -> None:
    """Takes the whole request and dies."""
    ask.read_body()
    ask.reset()


def refused() -> str:
    """An address where nobody listens."""
    return f"127.0.0.1:{free_port()}"


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PATCH"])
def test_a_refused_connection_is_tried_elsewhere_for_any_method(serve, origin, method):
    one = origin()
    dead = refused()
    balancer = serve(site([dead, one.address], pool=NEVER_EJECT))
    with balancer.talk() as talk:
        for number in range(10):
            body = b"body" if method in ("POST", "PATCH") else b""
            assert talk.request(method, f"/{number}", body=body).response().status == 200
    assert one.count(method) == 10
    tried = [line["attempts"] for line in balancer.access_log(10)]
    assert [{"backend": dead, "why": "connection refused"}] in tried


def test_refused_everywhere(serve):
    balancer = serve(site([refused(), refused()]))
    with balancer.talk() as talk:
        answer = talk.request("POST", body=b"x").response()
    assert answer.status == 502
    assert answer.get("proxy-status") == "pylb; error=connection_refused"


def test_three_tries_in_all(serve):
    addresses = [refused() for _ in range(6)]
    balancer = serve(site(addresses))
    with balancer.talk() as talk:
        assert talk.get().status == 502
    (line,) = balancer.access_log(1)
    tried = [attempt["backend"] for attempt in line["attempts"]] + [line["backend"]]
    assert len(tried) == len(set(tried)) == 3


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("fault", [closes, resets])
def test_closed_before_the_answer_is_repeated_once_if_idempotent(serve, origin, method, fault):
    bad, good = origin(fault, name="bad"), origin(name="good")
    balancer = serve(site([bad.address, good.address], pool=NEVER_EJECT))
    with balancer.talk() as talk:
        for number in range(6):
            assert talk.request(method, f"/{number}").response(to=method).status == 200
    assert good.count() == 6
    assert bad.count() >= 3
    assert max(Counter(ask.target for ask in bad.ledger).values()) == 1


@pytest.mark.parametrize(
    ("method", "body"), [("POST", b"pay 100"), ("POST", b""), ("PATCH", b"x"), ("LOCK", b"")]
)
@pytest.mark.parametrize("fault", [closes, resets])
def test_closed_before_the_answer_is_never_repeated_otherwise(serve, origin, method, body, fault):
    both = [origin(fault, name="bad"), origin(name="good")]
    balancer = serve(site([one.address for one in both], pool=NEVER_EJECT))
    statuses: Counter[int] = Counter()
    with balancer.talk() as talk:
        for number in range(6):
            answer = talk.request(method, f"/{number}", body=body).response()
            statuses[answer.status] += 1
            if answer.status == 502:
                assert answer.get("proxy-status") == "pylb; error=http_response_incomplete"
    assert statuses == {200: 3, 502: 3}
    executed = Counter(ask.target for one in both for ask in one.ledger)
    assert set(executed.values()) == {1}, "a request was executed twice"


def test_it_is_repeated_once_and_not_twice(serve, origin):
    bad = [origin(closes) for _ in range(4)]
    balancer = serve(site([one.address for one in bad], pool=NEVER_EJECT))
    with balancer.talk() as talk:
        answer = talk.get()
    assert (answer.status, answer.get("proxy-status")) == (502, "pylb; error=http_response_incomplete")
    assert sum(one.count() for one in bad) == 2


def test_an_upload_whose_body_has_gone_is_not_repeated(serve, origin):
    both = [origin(closes), origin(closes)]
    balancer = serve(site([one.address for one in both], pool=NEVER_EJECT))
    with balancer.talk() as talk:
        assert talk.request("PUT", body=b"x" * 100_000).response().status == 502
    assert sum(one.count() for one in both) == 1


def test_after_the_first_byte_of_an_answer_nothing_is_repeated(serve, origin):
    def begins(ask: Ask) -> None:
        ask.send("HTTP/1.1 200 OK\r\nConte")
        ask.close()

    both = [origin(begins), origin(begins)]
    balancer = serve(site([one.address for one in both], pool=NEVER_EJECT))
    with balancer.talk() as talk:
        answer = talk.get()
    assert (answer.status, answer.get("proxy-status")) == (502, "pylb; error=http_response_incomplete")
    assert sum(one.count() for one in both) == 1


def test_a_malformed_answer_is_not_repeated(serve, origin):
    both = [
        origin(lambda ask: ask.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"))
        for _ in "ab"
    ]
    balancer = serve(site([one.address for one in both], pool=NEVER_EJECT))
    with balancer.talk() as talk:
        answer = talk.get()
    assert (answer.status, answer.get("proxy-status")) == (502, "pylb; error=http_protocol_error")
    assert sum(one.count() for one in both) == 1


def test_an_idle_connection_that_the_backend_closed_is_not_used(serve, origin):
    def once(ask: Ask) -> None:
        ask.read_body()
        ask.answer()
        ask.close()

    one = origin(once)
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        for _ in range(50):
            assert talk.request("POST", body=b"x").response().status == 200
            until("the backend has closed", lambda: one.open_connections() == 0)
    assert one.count() == 50


def test_a_backend_that_closes_on_the_second_request_of_a_connection(serve, origin):
    """The race between a request and a FIN, provoked every time: idempotent requests never notice.

    As far as the budget goes: every second request needs it here.
    """
    used = set()

    def second_closes(ask: Ask) -> None:
        if ask.line in used:
            ask.close()
        else:
            used.add(ask.line)
            ask.answer()

    both = [origin(second_closes), origin(second_closes)]
    balancer = serve(site([one.address for one in both], pool={**NEVER_EJECT, "retries": {"budget": "100%"}}))
    load = Load(balancer.address(), connections=4, requests=100).run()
    assert load.all_ok(), load


def test_a_connect_timeout(serve, origin):
    """A listening socket whose queue is full does not answer SYNs."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        place = full.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(place)
        stuck = f"127.0.0.1:{place[1]}"
        timeouts = {"timeouts": {"connect": "300ms"}, **NEVER_EJECT}
        balancer = serve(site([stuck], pool=timeouts))
        with balancer.talk() as talk:
            answer = talk.request("POST", body=b"x").response()
            assert (answer.status, answer.get("proxy-status")) == (504, "pylb; error=connection_timeout")
        one = origin()
        balancer = serve(site([stuck, one.address], pool=timeouts))
        with balancer.talk() as talk:
            for _ in range(4):
                assert talk.request("POST", body=b"x").response().status == 200
        for filler in fillers:
            filler.close()


def test_retries_are_bounded_by_a_budget(serve, origin):
    """20 % of the requests of the last 10 s plus 10 a second: a dead pool is not hit twice as hard."""
    bad = [origin(closes) for _ in range(3)]
    balancer = serve(site([one.address for one in bad], pool=NEVER_EJECT, metrics={"bind": tcp()}))
    load = Load(
        balancer.address(), connections=4, requests=600, check=lambda answer: answer.status == 502
    ).run()
    assert load.all_ok(), load
    retried = sum(one.count() for one in bad) - 600
    assert 50 <= retried <= 600 // 5 + 100 + 5
    found = balancer.metrics(requests=600)
    assert found.value("pylb_retries_total", reason="closed") == retried
    assert found.value("pylb_retries_denied_total") == 600 - retried


def test_a_backend_that_comes_back_is_used_again(serve, origin):
    one, two = origin(name="one"), origin(name="two")
    balancer = serve(site([one.address, two.address], pool={"passive": {"failures": 3, "eject": "500ms"}}))
    with balancer.talk() as talk:
        one.stop()
        assert {talk.get().body for _ in range(20)} == {b"two"}
        one.start()
        until("both are used", lambda: {talk.get().body for _ in range(4)} == {b"one", b"two"})
    assert tally(one.ledger)["one"] > 0


def busy(ask: Ask) -> None:
    """Takes the whole request and says that it has no time."""
    ask.read_body()
    ask.answer(503)


@pytest.mark.parametrize(("method", "body"), [("GET", b""), ("PUT", b"x" * 60_000), ("DELETE", b"x")])
def test_a_status_is_tried_elsewhere_if_configured(serve, origin, method, body):
    bad, good = origin(busy, name="bad"), origin(name="good")
    retries = {"on": ["connect", "503"], "budget": "100%"}
    balancer = serve(site([bad.address, good.address], pool={**NEVER_EJECT, "retries": retries}))
    with balancer.talk() as talk:
        for number in range(6):
            assert talk.request(method, f"/{number}", body=body).response(to=method).status == 200
    assert [ask.body for ask in good.ledger] == [body] * 6
    assert bad.count() >= 3
    tried = [line["attempts"] for line in balancer.access_log(6)]
    assert [{"backend": bad.address, "why": "answered 502, 503 or 504"}] in tried


@pytest.mark.parametrize(("method", "body"), [("POST", b"pay 100"), ("PUT", b"x" * 70_000)])
def test_a_status_is_passed_on_to_whoever_may_not_be_repeated(serve, origin, method, body):
    """A POST never may; a PUT only as long as its body is kept."""
    bad = origin(busy)
    balancer = serve(site([bad.address], pool={**NEVER_EJECT, "retries": {"on": ["503"]}}))
    with balancer.talk() as talk:
        assert talk.request(method, body=body).response().status == 503
    assert bad.count() == 1


def test_the_last_of_several_statuses_is_passed_on(serve, origin):
    bad = origin(busy)
    balancer = serve(
        site(
            [bad.address],
            pool={**NEVER_EJECT, "retries": {"tries": 4, "on": ["503"]}},
            metrics={"bind": tcp()},
        )
    )
    with balancer.talk() as talk:
        answer = talk.get()
    assert (answer.status, answer.get("proxy-status")) == (503, None)
    assert bad.count() == 4
    assert balancer.metrics(requests=1).value("pylb_retries_total", reason="status") == 3


def test_a_silent_backend_is_left_after_per_try(serve, origin):
    def silent(ask: Ask) -> None:
        ask.wait_until_gone()

    bad, good = origin(silent), origin()
    retries = {"on": ["timeout"], "per_try": "200ms", "budget": "100%"}
    balancer = serve(site([bad.address, good.address], pool={**NEVER_EJECT, "retries": retries}))
    with balancer.talk() as talk:
        assert [talk.get().status for _ in range(4)] == [200] * 4
        talk.request("POST", body=b"x")
        statuses = [talk.response().status]
        talk.request("POST", body=b"x")
        statuses.append(talk.response().status)
    assert sorted(statuses) == [200, 504], "a POST is left, but not repeated"
    assert good.count() == 5


def retries_of_a_pool_that_answers_503(serve, origin, requests: int) -> None:
    bad = [origin(busy) for _ in range(3)]
    balancer = serve(site([one.address for one in bad], pool={"retries": {"on": ["connect", "503"]}}))
    crowd = Crowd(balancer.address(), clients=16, requests=requests, think=lambda dice: dice.uniform(0, 0.02))
    began = time.monotonic()
    crowd.run()
    seconds = time.monotonic() - began
    assert set(crowd.statuses) == {503}, crowd
    asked = sum(one.count() for one in bad)
    assert requests < asked <= 1.2 * requests + 10 * seconds, f"{asked} for {requests} in {seconds:.1f} s"


def test_a_pool_that_answers_503_is_not_buried(serve, origin):
    retries_of_a_pool_that_answers_503(serve, origin, 2_000)


@pytest.mark.soak
def test_a_pool_that_answers_503_is_not_buried_over_a_while(serve, origin):
    retries_of_a_pool_that_answers_503(serve, origin, 30_000)
