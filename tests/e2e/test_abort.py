"""A client that leaves: the backend's work ends at once, and everything is counted as what it was."""

import threading

import pytest

from .balancer import site, tcp
from .origin import Ask
from .patience import until


def hangs(ask: Ask) -> None:
    """Works for ever, until the other side goes."""
    ask.read_body()
    ask.wait_until_gone()
    ask.origin.abandoned.append(ask)


@pytest.mark.parametrize("how", ["finish", "close", "reset"])
def test_a_client_that_leaves_cancels_the_work_at_once(serve, origin, how):
    one = origin(hangs)
    balancer = serve(site([one.address], metrics={"bind": tcp()}))
    talk = balancer.talk()
    talk.request("POST", "/long", body=b"work")
    one.wait_for(1)
    assert balancer.metrics().value("pylb_backend_in_flight") == 1
    getattr(talk, how)()
    until("the backend sees it", lambda: one.abandoned, seconds=1)
    if how == "finish":
        assert talk.rest() == b""
        talk.close()
    (line,) = balancer.access_log(1)
    assert (line["status"], line["reason"]) == (499, "client gone")
    assert balancer.metrics().value("pylb_backend_in_flight") == 0
    assert balancer.backend("app", one.address)["state"] == "up"


def test_a_client_that_leaves_in_mid_answer(serve, origin):
    def endless(ask: Ask) -> None:
        ask.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        ask.chunk("first")
        ask.wait_until_gone()
        ask.origin.abandoned.append(ask)

    one = origin(endless)
    balancer = serve(site([one.address]))
    talk = balancer.talk()
    talk.request("GET").head()
    assert talk.chunk() == b"first"
    talk.close()
    until("the backend sees it", lambda: one.abandoned, seconds=1)
    (line,) = balancer.access_log(1)
    assert (line["status"], line["reason"]) == (200, "client gone")


def test_a_client_that_leaves_in_mid_upload(serve, origin):
    """The backend must not take half a body for a whole one."""
    one = origin()
    balancer = serve(site([one.address]))
    talk = balancer.talk()
    talk.request("POST", "/", "Transfer-Encoding: chunked").send("4\r\nhalf\r\n")
    one.wait_for(1)
    talk.close()
    until("the backend sees it", lambda: one.abandoned, seconds=1)
    assert one.abandoned[0].body == b""
    (line,) = balancer.access_log(1)
    assert line["status"] == 499


def test_half_close_keep_finishes_the_answer(serve, origin):
    go = threading.Event()

    def waits(ask: Ask) -> None:
        ask.read_body()
        assert go.wait(10)
        ask.answer(200, "finished")

    one = origin(waits)
    balancer = serve(site([one.address], listener={"half_close": "keep"}))
    with balancer.talk() as talk:
        talk.request("POST", body=b"x").finish()
        one.wait_for(1)
        go.set()
        assert talk.response().body == b"finished"
        assert talk.closed()


def test_a_client_that_leaves_while_we_connect(serve, origin):
    """Nothing is owed to anybody; the connection that comes too late is not used."""
    one = origin(hangs)
    balancer = serve(site([one.address]))
    for _ in range(20):
        balancer.talk().request("GET").reset()
    with balancer.talk() as talk:
        one.script = lambda ask: ask.answer(200, "here")
        assert talk.get().body == b"here"
    until("no request is left", lambda: balancer.backend("app", one.address)["in_flight"] == 0)
