"""What is too much is refused, in time and with the right number, and reaches no backend."""

import threading

import pytest

from .balancer import site
from .patience import holds, pause, until
from .talk import Cut


def test_a_body_that_announces_too_much(serve, origin):
    one = origin()
    balancer = serve(site([one.address], listener={"limits": {"body": "1KiB"}}))
    with balancer.talk() as talk:
        assert talk.request("POST", body=b"x" * 1024).response().status == 200
        answer = talk.request("POST", "/", "Content-Length: 1025").response()
        assert (answer.status, answer.get("connection")) == (413, "close")
        assert talk.closed()
    assert one.count() == 1


def test_a_body_that_turns_out_too_large(serve, origin):
    one = origin()
    balancer = serve(site([one.address], listener={"limits": {"body": "1KiB"}}))
    with balancer.talk() as talk:
        talk.request("POST", "/", "Transfer-Encoding: chunked")
        talk.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
        one.wait_for(1)
        talk.send(b"1\r\nx\r\n")
        answer = talk.response()
        assert (answer.status, answer.get("connection")) == (413, "close")
    until("the backend's request was cut", lambda: one.abandoned)
    assert one.ledger[0].body == b""


def test_a_large_upload_is_refused_so_that_the_client_can_read_it(serve, origin):
    """The client is still sending when the answer comes; a reset would destroy the answer on its way."""
    one = origin()
    balancer = serve(site([one.address], listener={"limits": {"body": "1KiB"}}))
    for _ in range(10):
        with balancer.talk() as talk:
            talk.request("POST", "/", "Content-Length: 300000").send(b"x" * 300_000)
            assert talk.response().status == 413
    assert one.count() == 0


@pytest.mark.parametrize(
    ("limits", "request_bytes", "status"),
    [
        ({"request_line": "1KiB"}, b"GET /" + b"x" * 2000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        ({"field": "1KiB"}, b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 2000 + b"\r\n\r\n", 431),
        ({"fields": 10}, b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * 12 + b"\r\n", 431),
        (
            {"head": "4KiB"},
            b"GET / HTTP/1.1\r\nHost: a\r\n" + (b"X: " + b"x" * 500 + b"\r\n") * 10 + b"\r\n",
            431,
        ),
    ],
    ids=["request line", "field", "fields", "head"],
)
def test_heads(serve, origin, limits, request_bytes, status):
    one = origin()
    balancer = serve(site([one.address], listener={"limits": limits}))
    with balancer.talk() as talk:
        assert talk.get().status == 200
        answer = talk.send(request_bytes).response()
        assert (answer.status, answer.get("connection")) == (status, "close")
        assert talk.closed()
    assert one.count() == 1


def test_requests_of_one_connection(serve, origin):
    one = origin()
    balancer = serve(site([one.address], listener={"limits": {"requests": 3}}))
    with balancer.talk() as talk:
        assert [talk.get().get("connection") for _ in range(3)] == [None, None, "close"]
        assert talk.closed()


def test_at_max_clients_nobody_is_closed_without_need(serve, origin):
    one = origin()
    balancer = serve(site([one.address], max_clients=4))
    until("the probes of the start are gone", lambda: balancer.status()["clients"] == 0)
    talks = [balancer.talk() for _ in range(4)]
    for _ in range(3):
        for talk in talks:
            assert talk.get().status == 200
    holds("all four are connected", lambda: balancer.status()["clients"] == 4, seconds=0.5)
    for talk in talks:
        talk.close()


def test_at_max_clients_the_longest_idle_makes_room(serve, origin):
    one = origin()
    balancer = serve(site([one.address], max_clients=4, workers=1))
    until("the probes of the start are gone", lambda: balancer.status()["clients"] == 0)
    talks = [balancer.talk() for _ in range(4)]
    for talk in (*talks, talks[0]):
        assert talk.get().status == 200
        pause(0.12)  # idle times are told apart in steps of 50 ms
    with balancer.talk() as late:
        assert late.get().status == 200
    assert talks[1].closed(), "the longest idle one"
    balancer.said("max_clients is reached")
    for talk in (talks[0], *talks[2:]):
        assert talk.get().status == 200
    for talk in talks:
        talk.close()


def test_at_max_clients_an_idle_client_of_another_worker_makes_room(serve, origin):
    one = origin()
    balancer = serve(site([one.address], max_clients=1))
    until("the probes of the start are gone", lambda: balancer.status()["clients"] == 0)
    talks = []
    for _ in range(8):
        talks.append(balancer.talk(seconds=3))
        assert talks[-1].get().status == 200
    for talk in talks:
        talk.close()


def test_at_max_clients_nobody_busy_is_sent_away(serve, origin):
    go = threading.Event()
    one = origin(lambda ask: (go.wait(20), ask.answer()))
    balancer = serve(site([one.address], max_clients=2))
    until("the probes of the start are gone", lambda: balancer.status()["clients"] == 0)
    busy = [balancer.talk().request("GET") for _ in range(2)]
    one.wait_for(2)
    late = balancer.talk().request("GET")
    go.set()
    for talk in (*busy, late):
        try:
            assert talk.response().status == 200
        except Cut as cut:
            pytest.fail(f"a busy client was sent away: {cut}")
        talk.close()
