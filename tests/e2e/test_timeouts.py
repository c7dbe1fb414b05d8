"""Everybody who has to move next has a time for it, and none is a total limit on a request."""

import contextlib
import time

import pytest

from .balancer import site
from .origin import Ask
from .patience import pause, until
from .talk import Cut


def timed(listener=None, response=None):
    """Short times for a listener and its only route."""
    return {"timeouts": listener or {}, "routes": [{"pool": "app", "timeouts": response or {}}]}


def test_a_slow_head(serve, origin):
    one = origin()
    balancer = serve(site([one.address], listener=timed({"head": "500ms"})))
    with balancer.talk() as talk:
        began = time.monotonic()
        talk.send("GET / HTTP/1.1\r\n")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while time.monotonic() - began < 5:
                talk.send("X-Slow: 1\r\n")
                pause(0.05)
        took = time.monotonic() - began
    assert 0.4 < took < 4, "a trickle does not keep a head alive"
    with balancer.talk() as talk:
        talk.send("GET / HTTP/1.1\r\nHost: a\r\n")
        answer = talk.response()
        assert (answer.status, answer.get("connection")) == (408, "close")
        assert talk.closed()
    assert one.count() == 0


def test_a_body_that_stops(serve, origin):
    one = origin()
    balancer = serve(site([one.address], listener=timed({"body_idle": "400ms"})))
    with balancer.talk() as talk:
        talk.request("POST", "/", "Content-Length: 10").send("half")
        answer = talk.response()
        assert (answer.status, answer.get("connection")) == (408, "close")
        assert talk.closed()
    until("the backend's request was cut, not completed", lambda: one.abandoned)


def test_a_body_that_goes_on_is_not_late(serve, origin):
    one = origin()
    balancer = serve(site([one.address], listener=timed({"body_idle": "400ms"})))
    with balancer.talk() as talk:
        talk.request("POST", "/", "Content-Length: 8")
        for byte in "patience":
            pause(0.1)
            talk.send(byte)
        assert talk.response().status == 200
    assert one.ledger[0].body == b"patience"


def test_an_idle_connection_closes_without_a_word(serve, origin):
    one = origin()
    balancer = serve(site([one.address], listener=timed({"keepalive": "400ms"})))
    with balancer.talk() as talk:
        assert talk.get().status == 200
        began = time.monotonic()
        assert talk.closed()
    assert 0.3 < time.monotonic() - began < 2.0


def test_a_backend_that_does_not_answer(serve, origin):
    one = origin(lambda ask: (ask.read_body(), ask.wait_until_gone(), ask.origin.abandoned.append(ask)))
    balancer = serve(site([one.address], listener=timed(response={"response_head": "400ms"})))
    with balancer.talk() as talk:
        for method in ("GET", "POST"):
            answer = talk.request(method, body=b"x" if method == "POST" else b"").response()
            assert (answer.status, answer.get("proxy-status")) == (504, "pylb; error=http_response_timeout")
    assert one.count() == 2, "a timeout is not repeated"
    until("its work was cancelled", lambda: len(one.abandoned) == 2)


def test_an_upload_in_progress_is_no_late_answer(serve, origin):
    one = origin()
    balancer = serve(site([one.address], listener=timed(response={"response_head": "400ms"})))
    with balancer.talk() as talk:
        talk.request("POST", "/", "Content-Length: 8")
        for byte in "patience":
            pause(0.1)
            talk.send(byte)
        assert talk.response().status == 200


def test_an_answer_that_stops_is_cut(serve, origin):
    def stops(ask: Ask) -> None:
        ask.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        ask.wait_until_gone()
        ask.origin.abandoned.append(ask)

    one = origin(stops)
    balancer = serve(site([one.address], listener=timed(response={"response_idle": "400ms"})))
    with balancer.talk() as talk:
        talk.request("GET").head()
        with pytest.raises(Cut) as cut:
            talk.exactly(10)
    assert cut.value.got == b"half"
    until("the backend was told", lambda: one.abandoned)
    (line,) = balancer.access_log(1)
    assert line["reason"] == "response stalled"


def test_an_answer_that_goes_on_is_not_late(serve, origin):
    def slow(ask: Ask) -> None:
        ask.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        for byte in "patience":
            pause(0.1)
            ask.send(byte)

    one = origin(slow)
    balancer = serve(
        site([one.address], listener=timed(response={"response_idle": "400ms", "response_head": "400ms"}))
    )
    with balancer.talk() as talk:
        assert talk.get().body == b"patience"


def test_a_client_that_does_not_read(serve, origin):
    def flood(ask: Ask) -> None:
        ask.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        while True:
            ask.send(bytes(1 << 20))

    one = origin(flood)
    balancer = serve(site([one.address], listener=timed({"send_idle": "400ms"})))
    with balancer.talk(receive_buffer=4096) as talk:
        talk.request("GET")
        until("the backend was told", lambda: one.abandoned)
        with pytest.raises(Cut):
            talk.exactly(100_000_000)
    (line,) = balancer.access_log(1)
    assert (line["status"], line["reason"]) == (200, "client too slow")
    assert balancer.backend("app", one.address)["failures"] == 0
