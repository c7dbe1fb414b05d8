"""A switch of protocols, byte by byte: who may ask for it, who confirms it, and who gets the bytes around it.

The clients and backends here speak no protocol at all behind the 101, so nothing repairs or hides what pylb
does. `test_websocket.py` has the same with the protocol that all of this is for.
"""

import contextlib
import random
import threading

import pytest

from .balancer import site
from .origin import Ask
from .patience import holds
from .ports import free_port
from .upgrades import OFFER, echo, offer, switch


def test_bytes_pass_both_ways(serve, origin):
    one = origin(echo)
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        head = offer(talk, "/room?id=1", "X-Mine: 1")
        assert (head.status, head.get("connection"), head.get("upgrade")) == (101, "Upgrade", "echo/1")
        assert head.get("content-length") is None
        assert head.get("transfer-encoding") is None
        for size in (1, 100, 70_000, 5):
            data = random.Random(size).randbytes(size)
            assert talk.send(data).exactly(size) == data
        talk.finish()
        assert talk.closed()
    (ask,) = one.ledger
    assert (ask.method, ask.target, ask.get("x-mine")) == ("GET", "/room?id=1", "1")
    assert (ask.get("connection"), ask.get("upgrade")) == ("Upgrade", "echo/1")


def test_nothing_goes_upstream_before_the_101(serve, origin):
    """A request that follows at once is hidden in the tunnel, if there is one; no route ever sees it."""
    confirm = threading.Event()
    hidden = b"GET /admin HTTP/1.1\r\nHost: test\r\n\r\n"
    early: list[bytes] = []

    def hesitates(ask: Ask) -> None:
        ask.line.socket.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            early.append(ask.line.socket.recv(1))
        ask.line.socket.settimeout(10)
        assert confirm.wait(10)
        switch(ask)
        assert ask.line.exactly(len(hidden)) == hidden
        ask.send("seen")
        ask.close()

    app, admin = origin(hesitates), origin(name="admin")
    config = site([app.address], listener={"routes": two_routes()})
    config["pools"]["admin"] = {"backends": [admin.address]}
    balancer = serve(config)
    with balancer.talk() as talk:
        talk.request("GET", "/", *OFFER).send(hidden)
        app.wait_for(1)
        holds("no byte comes early", lambda: not early, seconds=0.4)
        confirm.set()
        assert talk.head().status == 101
        assert talk.exactly(4) == b"seen"
    assert (app.count(), admin.count()) == (1, 0)


def two_routes() -> list[dict[str, object]]:
    return [{"match": {"path": "/admin/"}, "pool": "admin"}, {"pool": "app"}]


@pytest.mark.parametrize("status", [200, 204, 403, 426])
def test_without_a_101_what_follows_is_a_request(serve, origin, status):
    app, admin = origin(lambda ask: ask.answer(status, "no")), origin(name="admin")
    config = site([app.address], listener={"routes": two_routes()})
    config["pools"]["admin"] = {"backends": [admin.address]}
    balancer = serve(config)
    with balancer.talk() as talk:
        talk.request("GET", "/", *OFFER).request("GET", "/admin").request("GET", "/", *OFFER)
        assert talk.response().status == status
        assert talk.response().body == b"admin"
        assert talk.response().status == status
    assert (app.count(), admin.count()) == (2, 1)
    assert app.connections == 1, "the connection to the backend lives on"


@pytest.mark.parametrize(
    "lines",
    [
        ("Connection: Upgrade", "Upgrade: other"),
        ("Connection: Upgrade", "Upgrade: echo/2"),
        ("Connection: Upgrade", "Upgrade: echo/1, other"),
        ("Connection: Upgrade",),
    ],
)
def test_a_101_with_another_protocol_is_no_answer(serve, origin, lines):
    """What comes behind it is neither a tunnel nor an answer, and the connection is given up."""

    def lies(ask: Ask) -> None:
        if ask.get("upgrade") is None:
            return ask.answer(200)
        ask.send("\r\n".join(["HTTP/1.1 101 Go", *lines, "", ""]))
        ask.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        return ask.wait_until_gone()

    one = origin(lies, name="fine")
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        answer = talk.request("GET", "/", *OFFER).response()
        assert (answer.status, answer.get("proxy-status")) == (502, "pylb; error=http_protocol_error")
        assert talk.get().body == b"fine", "the client's connection still speaks HTTP"
    assert [line["reason"] for line in balancer.access_log(2)] == ["mismatched-switch", None]
    assert one.connections == 2


def test_a_101_that_nobody_asked_for(serve, origin):
    def lies(ask: Ask) -> None:
        switch(ask)
        ask.wait_until_gone()

    one = origin(lies)
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        assert talk.get().status == 502
        assert talk.get("/", "Upgrade: echo/1").status == 502
        assert talk.get("/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c").status == 502
    assert [line["reason"] for line in balancer.access_log(3)] == ["unrequested-switch"] * 3
    assert [ask.get("upgrade") for ask in one.ledger] == [None] * 3


def test_a_switch_after_an_interim_answer(serve, origin):
    def twice(ask: Ask) -> None:
        ask.send("HTTP/1.1 100 Continue\r\n\r\n")
        echo(ask)

    balancer = serve(site([origin(twice).address]))
    with balancer.talk() as talk:
        assert offer(talk, "/", "Expect: 100-continue").status == 100
        assert talk.head().status == 101
        assert talk.send("x").exactly(1) == b"x"


def test_a_switch_on_a_kept_connection(serve, origin):
    """Both connections have carried requests before."""

    def either(ask: Ask) -> None:
        echo(ask) if ask.get("upgrade") else ask.answer()

    one = origin(either)
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        assert talk.get().status == 200
        assert offer(talk).status == 101
        assert talk.send("x").exactly(1) == b"x"
        assert one.connections == 1
    with balancer.talk() as talk:
        assert talk.get().status == 200
    assert one.connections == 2, "a connection that has switched is never used again"


def test_an_offer_is_tried_elsewhere_when_the_connection_is_refused(serve, origin):
    one = origin(echo)
    balancer = serve(site([f"127.0.0.1:{free_port()}", one.address]))
    for _ in range(4):
        with balancer.talk() as talk:
            assert offer(talk).status == 101
            assert talk.send("x").exactly(1) == b"x"
