"""A switch of protocols, byte by byte: who may ask for it, who confirms it, what becomes of every byte then.

The clients and backends here speak no protocol at all behind the 101, so nothing repairs or hides what pylb
does. `test_websocket.py` has the same with the protocol that all of this is for.
"""

import contextlib
import random
import signal
import socket
import threading
import time

import pytest

from .balancer import Balancer, site, tcp
from .origin import Ask, Gone
from .patience import holds, until
from .ports import free_port
from .talk import Cut, Response, Talk

MIB = 1 << 20
OFFER = ("Connection: Upgrade", "Upgrade: echo/1")


def switch(ask: Ask, protocol: str = "echo/1") -> None:
    """Confirms a switch."""
    ask.send(f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n")


def echo(ask: Ask) -> None:
    """Switches, and sends back whatever comes until the other side has nothing more to say."""
    switch(ask)
    with contextlib.suppress(Gone):
        while True:
            ask.send(ask.line.some(65_536))
    ask.close()


def offer(talk: Talk, target: str = "/", *lines: str) -> Response:
    """Asks for a switch and returns the head that answers it."""
    return talk.request("GET", target, *OFFER, *lines).head()


def last_recv(line: socket.socket) -> bytes | None:
    """Everything up to a FIN; None if the connection is reset."""
    got = bytearray()
    try:
        while data := line.recv(262_144):
            got += data
    except ConnectionResetError:
        return None
    return bytes(got)


# ---- the way to a switch


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


# ---- how it ends


@pytest.mark.parametrize("first", ["client", "backend"])
def test_a_half_close_leaves_the_other_way_open(serve, origin, first):
    heard = threading.Event()

    def script(ask: Ask) -> None:
        switch(ask)
        line = ask.line.socket
        if first == "client":
            assert last_recv(line) == b"question"
            heard.set()
            ask.send("a long answer")
        else:
            ask.send("a long answer")
            line.shutdown(socket.SHUT_WR)
            assert last_recv(line) == b"question"
            heard.set()
        ask.close()

    balancer = serve(site([origin(script).address]))
    with balancer.talk() as talk:
        assert offer(talk).status == 101
        if first == "client":
            talk.send("question").finish()
            assert heard.wait(10)
            assert talk.rest() == b"a long answer"
        else:
            assert talk.rest() == b"a long answer"
            talk.send("question").finish()
            assert heard.wait(10)
    (line,) = balancer.access_log(1)
    assert (line["status"], line["bytes_in"], line["bytes_out"], line["reason"]) == (101, 8, 13, None)


def test_a_reset_stays_a_reset(serve, origin):
    """Either way: the end of a stream that was cut must not pass for its proper end."""
    came: list[bytes | None] = []

    def script(ask: Ask) -> None:
        switch(ask)
        if ask.target == "/backend":
            assert ask.line.exactly(1) == b"x"
            return ask.reset()
        came.append(last_recv(ask.line.socket))
        return ask.close()

    balancer = serve(site([origin(script).address]))
    with balancer.talk() as talk:
        assert offer(talk, "/backend").status == 101
        with pytest.raises(Cut, match="reset"):
            talk.send("x").rest()
    talk = balancer.talk()
    assert offer(talk, "/client").status == 101
    talk.reset()
    assert until("the backend's connection has ended", lambda: came) == [None]
    lines = {line["path"]: line["reason"] for line in balancer.access_log(2)}
    assert lines == {"/backend": "backend gone", "/client": "client gone"}


def test_a_silent_tunnel_ends_and_a_busy_one_does_not(serve, origin):
    balancer = serve(site([origin(echo).address], pool={"timeouts": {"idle": "600ms"}}))
    with balancer.talk() as silent, balancer.talk() as busy:
        assert offer(silent, "/silent").status == 101
        assert offer(busy, "/busy").status == 101
        over = threading.Event()

        def listen() -> None:
            with contextlib.suppress(Cut):
                silent.rest()
            over.set()

        threading.Thread(target=listen, daemon=True).start()
        rounds = 0
        while not over.wait(0.2):
            rounds += 1
            assert busy.send("x").exactly(1) == b"x"
            assert rounds < 50, "the silent one never ends"
        assert rounds >= 2
        assert busy.send("x").exactly(1) == b"x"
        (line,) = balancer.access_log(1)
        assert (line["path"], line["status"], line["reason"]) == ("/silent", 101, "tunnel idle")


def test_a_stop_waits_for_tunnels_and_then_cuts_them(serve, origin):
    balancer = serve(site([origin(echo).address], stop={"grace": "700ms"}))
    with balancer.talk() as talk:
        assert offer(talk).status == 101
        balancer.signal(signal.SIGTERM)
        balancer.said("stopping")
        assert talk.send("still here").exactly(10) == b"still here"
        with pytest.raises(Cut, match="reset"):
            talk.rest()
    assert balancer.wait() == 0
    assert "1 connection cut" in balancer.said("stopped")
    (line,) = balancer.access_log(1)
    assert (line["status"], line["reason"], line["bytes_in"], line["bytes_out"]) == (101, "stopped", 10, 10)


def test_a_stop_is_over_with_the_last_tunnel(serve, origin):
    balancer = serve(site([origin(echo).address], stop={"grace": "60s"}))
    with balancer.talk() as talk:
        assert offer(talk).status == 101
        balancer.signal(signal.SIGTERM)
        balancer.said("stopping")
        talk.finish()
        assert talk.closed()
    assert balancer.wait() == 0


# ---- while it lasts


def test_it_counts_as_in_flight_until_it_ends(serve, origin):
    one, two = origin(echo, name="one"), origin(echo, name="two")
    config = site([one.address, two.address], pool={"balance": "least_connections"}, metrics={"bind": tcp()})
    balancer = serve(config)
    with balancer.talk() as talk:
        assert offer(talk).status == 101
        busy, free = (one, two) if one.count() else (two, one)
        assert balancer.backend("app", busy.address)["in_flight"] == 1
        for number in range(5):
            with balancer.talk() as other:
                assert offer(other).status == 101
                other.finish()
                assert other.closed()
            balancer.access_log(number + 1)
        assert (busy.count(), free.count()) == (1, 5)
        assert talk.send("12345").exactly(5) == b"12345"
        found = balancer.metrics()
        assert found.value("pylb_tunnels") == 1
        assert found.value("pylb_tunnels_total") == 6
        assert found.value("pylb_tunnel_bytes_total", direction="in") == 5
        assert found.value("pylb_tunnel_bytes_total", direction="out") == 5
        talk.finish()
        assert talk.closed()
    balancer.access_log(6)
    assert balancer.backend("app", busy.address)["in_flight"] == 0
    found = balancer.metrics(requests=6)
    assert found.value("pylb_tunnels") == 0
    assert found.value("pylb_requests_total", **{"class": "1xx"}) == 6
    assert found.value("pylb_bytes_total") == 0


@pytest.mark.parametrize("reloads", [0, 1])
def test_it_takes_a_place_and_its_end_lets_the_next_in(serve, origin, reloads):
    """Whoever waits for the place is woken, also by a tunnel of a plan that is no longer in force."""
    one = origin(echo)
    backend = {"address": one.address, "max_in_flight": 1}
    config = site([backend], pool={"queue": {"size": 10, "timeout": "20s"}})
    balancer = serve(config)
    with balancer.talk() as first, balancer.talk() as second:
        assert offer(first).status == 101
        for _ in range(reloads):
            balancer.hang_up()
        second.request("GET", "/", *OFFER)
        holds("the second waits", lambda: one.count() == 1, seconds=0.3)
        first.finish()
        assert first.closed()
        assert second.head().status == 101
        assert second.send("x").exactly(1) == b"x"


def test_a_101_carries_what_the_route_and_the_pool_add(serve, origins):
    three = origins(3, echo)
    listener = {
        "routes": [
            {
                "pool": "app",
                "request_headers": {"set": {"x-env": "prod"}},
                "response_headers": {"set": {"x-served": "pylb"}},
            }
        ]
    }
    sticky = {"sticky": {"cookie": "home"}}
    balancer = serve(site([one.address for one in three], pool=sticky, listener=listener))
    with balancer.talk() as talk:
        head = offer(talk)
        assert (head.status, head.get("x-served"), head.get("upgrade")) == (101, "pylb", "echo/1")
        cookie = (head.get("set-cookie") or "").partition(";")[0]
    for _ in range(6):
        with balancer.talk() as talk:
            assert offer(talk, "/", f"Cookie: {cookie}").status == 101
    assert sorted(one.count() for one in three) == [0, 0, 7]
    assert {ask.get("x-env") for one in three for ask in one.ledger} == {"prod"}


def test_reloads_do_not_touch_it(serve, origin):
    """Not even one that removes its listener, its route and its backend."""
    old, new = origin(echo), origin(name="new")
    config = site([old.address])
    balancer = serve(config)
    with balancer.talk() as talk:
        assert offer(talk).status == 101
        for _ in range(3):
            balancer.hang_up()
            assert talk.send("x").exactly(1) == b"x"
        balancer.load(site([new.address]))
        with balancer.talk() as other:
            assert other.get().body == b"new"
        assert talk.send("x").exactly(1) == b"x"
        talk.finish()
        assert talk.closed()
    assert {line["status"] for line in balancer.access_log(2)} == {101, 200}


def test_it_does_not_keep_the_plan_it_came_by(serve, origin):
    """A tunnel in each of forty plans, which are large because of their hash tables."""
    balancer = serve(site([origin(echo).address], pool={"balance": {"hash": {"header": "x-user"}}}))

    def one_more() -> Talk:
        balancer.hang_up()
        talk = balancer.talk()
        assert offer(talk).status == 101
        return talk

    talks = [one_more() for _ in range(10)]
    before = balancer.memory()
    talks += [one_more() for _ in range(40)]
    assert balancer.memory() - before < 3 * MIB
    for talk in talks:
        assert talk.send("x").exactly(1) == b"x"
        talk.close()


@pytest.mark.parametrize("slow", ["client", "backend"])
def test_who_does_not_read_holds_up_the_other(serve, origin, slow):
    """What goes into a standstill is bounded by the sockets' buffers and ours, and none of it is lost."""
    flood = Flood()
    read_on = threading.Event()
    taken: list[int] = []

    def script(ask: Ask) -> None:
        switch(ask)
        if slow == "client":
            flood.run(ask.line.socket)
        else:
            assert read_on.wait(20)
            taken.append(len(last_recv(ask.line.socket) or b""))
        ask.close()

    balancer = serve(site([origin(script).address]))
    before = balancer.memory()
    with balancer.talk(receive_buffer=65_536, seconds=20) as talk:
        assert offer(talk).status == 101
        sender = threading.Thread(target=flood.run, args=(talk.socket,), daemon=True)
        if slow == "backend":
            sender.start()
        flood.wait_until_it_stands()
        assert flood.sent < 48 * MIB
        assert balancer.memory() - before < 2 * MIB
        read_on.set()
        if slow == "client":
            assert len(talk.exactly(flood.size)) == flood.size
        else:
            sender.join(20)
            talk.finish()
            assert talk.closed()
            assert taken == [flood.size]


class Flood:
    """Sends many bytes, as fast as they are taken."""

    size = 64 * MIB

    def __init__(self) -> None:
        self.sent = 0

    def run(self, line: socket.socket) -> None:
        block = bytes(MIB)
        while self.sent < self.size:
            self.sent += line.send(block[: self.size - self.sent])

    def wait_until_it_stands(self) -> None:
        """Returns once it has begun and has not moved for half a second."""
        seen, since = -1, time.monotonic()

        def stands() -> bool:
            nonlocal seen, since
            if seen != self.sent:
                seen, since = self.sent, time.monotonic()
            return seen > 0 and time.monotonic() - since > 0.5

        until("the flood stands still", stands)


def test_both_ways_at_once_at_full_speed(serve, origin):
    """Neither way starves the other, and every byte arrives."""
    size = 32 * MIB
    got: list[int] = []

    def script(ask: Ask) -> None:
        switch(ask)
        sender = threading.Thread(target=ask.send, args=(bytes(size),))
        sender.start()
        got.append(len(ask.line.exactly(size)))
        sender.join()
        ask.close()

    balancer = serve(site([origin(script).address]))
    with balancer.talk(seconds=30) as talk:
        assert offer(talk).status == 101
        sender = threading.Thread(target=talk.send, args=(bytes(size),))
        sender.start()
        assert len(talk.exactly(size)) == size
        sender.join()
        assert talk.closed()
    assert got == [size]


def test_idle_tunnels_hold_no_buffers(serve, origin):
    """Each has carried 64 KiB both ways; what remains of one is small."""
    count = 200
    balancer = serve(site([origin(echo).address]))
    data = bytes(65_536)

    def one_more(balancer: Balancer) -> Talk:
        talk = balancer.talk()
        assert offer(talk).status == 101
        assert talk.send(data).exactly(len(data)) == data
        return talk

    talks = [one_more(balancer) for _ in range(20)]
    before = balancer.memory()
    talks += [one_more(balancer) for _ in range(count)]
    grown = balancer.memory() - before
    for talk in talks:
        talk.close()
    assert grown / count < 5 * 1024, f"{grown / count:.0f} bytes per tunnel"


# ---- drains


def test_the_end_of_a_drain_cuts_it(serve, origin):
    """Also where a reload has removed its backend; until then it is left alone."""
    old, new = origin(echo), origin(name="new")
    config = site([old.address], pool={"drain": {"timeout": "1s"}})
    balancer = serve(config)
    with balancer.talk() as talk:
        assert offer(talk).status == 101
        balancer.load(site([new.address], pool={"drain": {"timeout": "1s"}}))
        assert talk.send("x").exactly(1) == b"x"
        with pytest.raises(Cut, match="reset"):
            talk.rest()
    (line,) = balancer.access_log(1)
    assert (line["status"], line["reason"]) == (101, "drain is over")


@pytest.mark.parametrize("leaves", [True, False])
def test_an_operator_hears_whether_it_had_to_be_cut(serve, origin, leaves):
    one, other = origin(echo), origin(name="other")
    config = site([one.address, other.address], pool={"balance": "failover", "drain": {"timeout": "3s"}})
    balancer = serve(config)
    told: list[int] = []

    def drain() -> None:
        told.append(balancer.command("drain", "app", one.address, "--wait").returncode)

    with balancer.talk() as talk:
        assert offer(talk).status == 101
        operator = threading.Thread(target=drain)
        operator.start()
        until("it drains", lambda: balancer.backend("app", one.address)["state"] == "draining")
        with balancer.talk() as next_one:
            assert next_one.get().body == b"other"
        assert talk.send("x").exactly(1) == b"x"
        if leaves:
            talk.finish()
            assert talk.closed()
        else:
            with pytest.raises(Cut, match="reset"):
                talk.rest()
    operator.join(20)
    assert told == [0 if leaves else 1]
