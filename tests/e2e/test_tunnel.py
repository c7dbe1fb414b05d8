"""A tunnel while it lasts: what it counts as and costs, what reloads leave alone, and how fast it is."""

import socket
import threading
import time

import pytest

from .balancer import Balancer, site, tcp
from .origin import Ask
from .patience import holds, until
from .talk import Talk
from .upgrades import OFFER, echo, last_recv, offer, switch

MIB = 1 << 20


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
