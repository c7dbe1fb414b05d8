"""How a tunnel ends: by its two sides, in silence, with pylb, or with the drain of its backend."""

import contextlib
import signal
import socket
import threading

import pytest

from .balancer import site
from .origin import Ask
from .patience import until
from .talk import Cut
from .upgrades import echo, last_recv, offer, switch


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
