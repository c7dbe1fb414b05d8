"""Session persistence: a client stays with its backend while that makes sense, and never by naming it."""

import base64
import re
import struct
import threading
import time
from collections import Counter
from http.cookies import SimpleCookie

import pytest

from .origin import Ask
from .patience import until
from .sessions import (
    KEY,
    OTHER_KEY,
    aged,
    cookie_of,
    moved,
    new_sessions,
    sticky,
    visit,
    visit_all,
    with_backends,
    with_rule,
)

TOKEN = re.compile(r"[A-Za-z0-9_-]{18}")

# ---- the cookie


def test_the_cookie(serve, origins):
    balancer = serve(sticky(origins(3), cookie="pylb", ttl="1h"))
    with balancer.talk() as talk:
        first = talk.get()
        header = first.get("set-cookie") or ""
        cookie = SimpleCookie(header)["pylb"]
        assert TOKEN.fullmatch(cookie.value)
        assert (cookie["path"], cookie["max-age"], cookie["samesite"]) == ("/", "3600", "Lax")
        assert cookie["httponly"]
        assert not cookie["secure"]
        assert not cookie["domain"]
        number, minute, _ = struct.unpack(">BIQ", base64.urlsafe_b64decode(cookie.value + "=="))
        assert abs(minute * 60 - time.time()) < 130
        assert 0 <= number <= 255
        for _ in range(10):
            again = talk.get("/", f"Cookie: a=b; pylb={cookie.value}; c=d")
            assert again.body == first.body
            assert again.get("set-cookie") is None, "a fresh cookie is not written again"


@pytest.mark.parametrize(("proto", "secure"), [("https", True), ("http", False)])
def test_it_is_secure_when_a_trusted_proxy_says_https(serve, origins, proto, secure):
    config = sticky(origins(2))
    config["listeners"]["web"]["trusted_proxies"] = ["127.0.0.1"]
    balancer = serve(config)
    with balancer.talk() as talk:
        header = talk.get("/", f"X-Forwarded-Proto: {proto}").get("set-cookie") or ""
    assert header.endswith("; Secure") == secure


def test_who_is_not_trusted_cannot_say_so(serve, origins):
    balancer = serve(sticky(origins(2)))
    with balancer.talk() as talk:
        assert "Secure" not in (talk.get("/", "X-Forwarded-Proto: https").get("set-cookie") or "")


def test_it_is_written_again_past_half_its_ttl(serve, origins):
    balancer = serve(sticky(origins(3), cookie="pylb", ttl="4m"))
    with balancer.talk() as talk:
        name, cookie = visit(talk)
        assert visit(talk, cookie) == (name, cookie)
        for minutes in (2, 4):
            old = talk.get("/", f"Cookie: {aged(cookie or '', minutes)}")
            assert (old.body.decode(), old.get("set-cookie") is not None) == (name, True)


def switches(ask: Ask) -> None:
    """Goes on in another protocol."""
    ask.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: words\r\n\r\n")
    ask.wait_until_gone()


def test_it_comes_with_an_upgrade_too(serve, origin):
    balancer = serve(sticky([origin(switches)]))
    with balancer.talk() as talk:
        talk.request("GET", "/", "Connection: upgrade", "Upgrade: words")
        answer = talk.head()
        assert (answer.status, bool(cookie_of(answer))) == (101, True)


# ---- sessions stay


def test_only_the_sessions_of_a_removed_backend_move(serve, origins):
    backends = origins(5)
    config = sticky(backends)
    balancer = serve(config)
    with balancer.talk() as talk:
        sessions = new_sessions(talk)
        shares = Counter(name for _, name in sessions)
        assert len(shares) == 5
        assert visit_all(talk, sessions) == sessions

        gone = backends[2]
        balancer.load(with_backends(config, [one for one in backends if one is not gone]))
        fewer = visit_all(talk, sessions)
        assert moved(sessions, fewer) == shares[gone.name]
        assert gone.name not in {name for _, name in fewer}
        assert visit_all(talk, fewer) == fewer

        balancer.load(config)
        assert visit_all(talk, fewer) == fewer, "who has a place elsewhere stays there"
        assert visit_all(talk, sessions) == sessions, "and the old cookies are as good as ever"


def test_processes_with_the_same_keys_agree(serve, origins):
    backends = origins(5)
    here, there = serve(sticky(backends)), serve(sticky(backends[::-1]))
    with here.talk() as one, there.talk() as other:
        sessions = new_sessions(one, 200)
        assert visit_all(other, sessions) == sessions


def test_a_key_that_was_replaced_is_still_understood(serve, origins):
    backends = origins(5)
    config = sticky(backends)
    balancer = serve(config)
    with balancer.talk() as talk:
        sessions = new_sessions(talk, 100)
        balancer.load(with_rule(config, cookie="pylb", keys=[OTHER_KEY, KEY]))
        rotated = visit_all(talk, sessions)
        assert moved(sessions, rotated) == 0
        assert not set(rotated) & set(sessions), "each got a cookie under the new key"
        balancer.load(with_rule(config, cookie="pylb", keys=[OTHER_KEY]))
        assert visit_all(talk, rotated) == rotated


@pytest.mark.soak
def test_ten_thousand_sessions(serve, origins):
    """At most those of the removed backend move, when it goes and when it returns, and nothing fails."""
    backends = origins(5)
    config = sticky(backends)
    balancer, other = serve(config), serve(sticky(backends))
    with balancer.talk() as talk, other.talk() as there:
        sessions = new_sessions(talk, 10_000)
        assert visit_all(talk, sessions) == sessions
        assert visit_all(there, sessions) == sessions
        balancer.load(with_backends(config, backends[1:]))
        fewer = visit_all(talk, sessions)
        at_home = [both for both in zip(sessions, fewer, strict=True) if both[0][1] != backends[0].name]
        assert all(before == after for before, after in at_home)
        assert moved(sessions, fewer) <= 2_100
        balancer.load(config)
        assert visit_all(talk, fewer) == fewer


# ---- a backend that is not there


def test_a_lost_backend_by_default_is_replaced(serve, origins):
    backends = origins(3)
    balancer = serve(sticky(backends))
    by_name = {one.name: one for one in backends}
    with balancer.talk() as talk:
        name, cookie = visit(talk)
        by_name[name].stop()
        other, fresh = visit(talk, cookie)
        assert other != name
        assert fresh != cookie
        assert visit(talk, fresh) == (other, fresh)


def test_on_lost_fail(serve, origins):
    backends = origins(3)
    config = sticky(backends, cookie="pylb", on_lost="fail")
    balancer = serve(config)
    with balancer.talk() as talk:
        name, cookie = visit(talk)
        mine = next(one for one in backends if one.name == name)
        mine.stop()
        until("it is ejected", lambda: talk.get("/", f"Cookie: {cookie}").status == 503)
        answer = talk.get("/", f"Cookie: {cookie}")
        assert answer.get("proxy-status") == "pylb; error=destination_unavailable"
        assert b"of this session" in answer.body
        assert answer.get("retry-after") == "1"
        assert answer.get("set-cookie") is None
        assert visit(talk)[0] != name, "new clients are not concerned"


def test_a_full_backend_is_waited_for_and_then_left_this_once(serve, origin):
    release = threading.Event()

    def slow(ask: Ask) -> None:
        if ask.target == "/hold":
            release.wait(10)
        ask.answer()

    one, two = origin(slow, name="a"), origin(slow, name="b")
    config = sticky([one, two])
    config["pools"]["app"]["backends"] = [
        {"address": each.address, "max_in_flight": 1} for each in (one, two)
    ]
    balancer = serve(config)
    with balancer.talk() as holding, balancer.talk() as talk:
        name, cookie = visit(talk)
        holding.request("GET", "/hold", f"Cookie: {cookie}")
        mine = one if name == "a" else two
        until("its backend is busy", lambda: mine.count(target="/hold") == 1)
        began = time.monotonic()
        answer = talk.get("/", f"Cookie: {cookie}")
        took = time.monotonic() - began
        assert (answer.status, answer.body.decode() == name) == (200, False)
        assert answer.get("set-cookie") is None, "it comes back later"
        assert 0.9 < took < 2
        release.set()
        holding.response()
        assert visit(talk, cookie) == (name, cookie)
    (line,) = balancer.access_log(1, lambda line: line["sticky"] == "escaped")
    assert line["ms"]["queue"] >= 900


def test_a_backend_that_is_emptied_keeps_its_clients_and_gets_no_new_ones(serve, origins):
    backends = origins(3)
    config = sticky(backends, cookie="pylb", ttl="4m")
    config["pools"]["app"]["drain"] = {"timeout": "2s"}
    balancer = serve(config)
    with balancer.talk() as talk:
        sessions = new_sessions(talk, 30)
        gone = backends[0]
        assert balancer.command("drain", "app", gone.address).returncode == 0
        began = time.monotonic()
        mine = [session for session in sessions if session[1] == gone.name]
        assert visit_all(talk, mine) == mine
        assert gone.name not in {name for _, name in new_sessions(talk, 30)}
        assert talk.get("/", f"Cookie: {aged(mine[0][0], 3)}").get("set-cookie") is None, "not for long"
        until("its time is over", lambda: visit(talk, mine[0][0])[0] != gone.name)
        assert 1.5 < time.monotonic() - began < 6
        after = visit_all(talk, mine)
        assert gone.name not in {name for _, name in after}
        assert visit_all(talk, after) == after


# ---- the log


def test_the_log_tells(serve, origins):
    backends = origins(3)
    balancer = serve(sticky(backends))
    with balancer.talk() as talk:
        _, cookie = visit(talk)
        visit(talk, cookie)
    lines = balancer.access_log(2)
    assert [line["sticky"] for line in lines] == ["set", "kept"]
