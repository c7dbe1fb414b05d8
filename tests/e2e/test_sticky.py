"""Session persistence: a client stays with its backend while that makes sense, and never by naming it."""

import base64
import os
import random
import re
import struct
import threading
import time
from collections import Counter
from http.cookies import SimpleCookie

import pytest

from .balancer import site
from .origin import Ask
from .patience import until
from .talk import Response, Talk

KEY = base64.b64encode(bytes(range(32))).decode()
OTHER_KEY = base64.b64encode(bytes(range(100, 132))).decode()
SESSIONS = 1_000
TOKEN = re.compile(r"[A-Za-z0-9_-]{18}")


def sticky(origins, **rule):
    """A site whose pool keeps clients; by cookie, unless the rule says otherwise."""
    rule = {"cookie": "pylb", "keys": [KEY], **rule} if "cookie" in rule or not rule else rule
    many = {"limits": {"requests": 1_000_000}}
    return site([one.address for one in origins], pool={"sticky": rule}, listener=many)


def cookie_of(answer: Response) -> str | None:
    """The cookie that an answer sets, as the client sends it back."""
    found = answer.get("set-cookie")
    return found and found.partition(";")[0]


def visit(talk: Talk, cookie: str | None = None, *lines: str) -> tuple[str, str | None]:
    """Who answers a client with this cookie, and the cookie that it has then. Anything but 200 fails."""
    answer = talk.get("/", *([f"Cookie: {cookie}"] if cookie else []), *lines)
    assert answer.status == 200, answer
    return answer.body.decode(), cookie_of(answer) or cookie


Session = tuple[str, str]
"""A client's cookie, and the backend it is at."""


def new_sessions(talk: Talk, count: int = SESSIONS) -> list[Session]:
    """Clients who have just come."""
    sessions = []
    for _ in range(count):
        name, cookie = visit(talk)
        assert cookie
        sessions.append((cookie, name))
    return sessions


def visit_all(talk: Talk, sessions: list[Session]) -> list[Session]:
    """The same clients after another visit."""
    visits = [visit(talk, cookie) for cookie, _ in sessions]
    return [(cookie or "", name) for name, cookie in visits]


def moved(before: list[Session], after: list[Session]) -> int:
    """How many are at another backend."""
    return sum(one != other for (_, one), (_, other) in zip(before, after, strict=True))


def with_backends(config, origins):
    """The same site with other backends."""
    pool = {**config["pools"]["app"], "backends": [one.address for one in origins]}
    return {**config, "pools": {"app": pool}}


def with_rule(config, **rule):
    """The same site, in which clients stay by another rule."""
    return {**config, "pools": {"app": {**config["pools"]["app"], "sticky": rule}}}


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


def aged(cookie: str, minutes: int) -> str:
    """The same cookie, issued earlier."""
    name, _, value = cookie.partition("=")
    number, minute, key = struct.unpack(">BIQ", base64.urlsafe_b64decode(value + "=="))
    raw = struct.pack(">BIQ", number, minute - minutes, key)
    return f"{name}={base64.urlsafe_b64encode(raw).decode().rstrip('=')}"


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


# ---- what is no cookie


def strangers(genuine: str, foreign: list[str], removed: list[str]) -> list[str]:
    """Values that nobody has ever been given here, seeded."""
    chance = random.Random(7)
    number, minute, _ = struct.unpack(">BIQ", base64.urlsafe_b64decode(genuine + "=="))

    def token(number: int, minute: int, key: int) -> str:
        raw = struct.pack(">BIQ", number, minute, key)
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    made = [token(number, minute, chance.getrandbits(64)) for _ in range(1000)]
    made += [token(chance.randrange(256), chance.getrandbits(32), chance.getrandbits(64)) for _ in range(500)]
    made += [token(number, minute, small) for small in range(50)]
    made += [
        "127.0.0.1:22",
        "localhost:22",
        "",
        "0",
        "a" * 4096,
        genuine + "A",
        genuine[:-1],
        genuine.swapcase(),
    ]
    made += ["%00", "../../etc/passwd", '"' + genuine, "=" * 18, "\xff" * 18, genuine[:9] + " " + genuine[9:]]
    made += [
        "".join(chr(chance.randrange(0x21, 0x7F)) for _ in range(chance.randrange(1, 64))) for _ in range(500)
    ]
    return made + foreign + removed


def test_no_stranger_is_honoured(serve, origins):
    """Whatever the value, the client is new: turns go on as if it had said nothing, and it gets a cookie."""
    backends = origins(5)
    config = {**sticky(backends), "workers": 1}
    balancer = serve(config)
    foreign = serve(sticky(backends, cookie="pylb", keys=[OTHER_KEY]))
    value = len("pylb=")
    with balancer.talk() as talk, foreign.talk() as there:
        abroad = {cookie[value:] for cookie, _ in new_sessions(there, 100)}
        removed = {cookie[value:] for cookie, name in new_sessions(talk, 20) if name == "e"}
        balancer.load(with_backends(config, backends[:4]))
        genuine = (visit(talk)[1] or "")[value:]
        turns = []
        for stranger in strangers(genuine, sorted(abroad), sorted(removed)):
            answer = talk.get("/", f"Cookie: pylb={stranger}")
            assert answer.status == 200, stranger
            assert answer.get("set-cookie"), stranger
            turns.append(answer.body.decode())
    rounds = list(zip(*[iter(turns)] * 4, strict=False))
    assert all(len(set(each)) == 4 for each in rounds), "strict turns: nobody had any influence"


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


# ---- other keys


def test_a_header_of_the_client(serve, origins):
    balancer = serve(sticky(origins(4), header="x-session", ttl="1h"))
    with balancer.talk() as talk:
        keys = [os.urandom(8).hex() for _ in range(200)]
        first = {key: talk.get("/", f"X-Session: {key}").body for key in keys}
        assert len(set(first.values())) == 4
        again = {key: talk.get("/", f"X-Session: {key}").body for key in keys}
        assert again == first
        assert talk.get("/", f"X-Session: {keys[0]}").get("set-cookie") is None
        assert len({talk.get().body for _ in range(8)}) == 4, "without the header nobody is kept"


def test_the_clients_address(serve, origins):
    config = sticky(origins(4), source_ip=True, ttl="1h")
    config["listeners"]["web"]["trusted_proxies"] = ["127.0.0.1"]
    balancer = serve(config)
    with balancer.talk() as talk:
        clients = [f"X-Forwarded-For: 192.0.2.{number}" for number in range(40)]
        first = [talk.get("/", client).body for client in clients]
        assert len(set(first)) == 4
        assert [talk.get("/", client).body for client in clients] == first


def gives_sessions(ask: Ask) -> None:
    """Like MCP: without a session one is given, an unknown one is not found."""
    known = ask.origin.sessions  # type: ignore[attr-defined]
    given = ask.get("mcp-session-id")
    if given is None:
        key = os.urandom(8).hex()
        known.add(key)
        return ask.answer(200, None, f"Mcp-Session-Id: {key}")
    return ask.answer(200 if given in known else 404)


def test_a_key_that_the_backend_gave(serve, origins):
    backends = origins(4, gives_sessions)
    for one in backends:
        one.sessions = set()
    learn = {"response_header": "mcp-session-id", "request_header": "mcp-session-id"}
    balancer = serve(sticky(backends, learn=learn))
    with balancer.talk() as talk:
        keys = [talk.get().get("mcp-session-id") for _ in range(100)]
        for _ in range(3):
            assert {talk.get("/", f"Mcp-Session-Id: {key}").status for key in keys} == {200}


@pytest.mark.parametrize("cookie", ["sid", "_xsrf"])
def test_a_cookie_that_the_backend_gave(serve, origins, cookie):
    """The application's own cookie is as good as one of ours, once it was seen."""

    def logs_in(ask: Ask) -> None:
        given = [f"Set-Cookie: {cookie}={os.urandom(8).hex()}; Path=/; HttpOnly"]
        ask.answer(200, None, *(given if ask.get("cookie") is None else []))

    backends = origins(4, logs_in)
    balancer = serve(sticky(backends, learn={"response_cookie": cookie, "request_cookie": cookie}))
    with balancer.talk() as talk:
        sessions = new_sessions(talk, 100)
        assert len({name for _, name in sessions}) == 4
        assert visit_all(talk, sessions) == sessions


# ---- the log


def test_the_log_tells(serve, origins):
    backends = origins(3)
    balancer = serve(sticky(backends))
    with balancer.talk() as talk:
        _, cookie = visit(talk)
        visit(talk, cookie)
    lines = balancer.access_log(2)
    assert [line["sticky"] for line in lines] == ["set", "kept"]


# ---- the full form


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


@pytest.mark.soak
def test_ten_thousand_strangers(serve, origins):
    """Under load from many connections: each gets an answer and a cookie of its own, and evenly by turns."""
    backends = origins(5)
    balancer = serve(sticky(backends))
    with balancer.talk() as talk:
        genuine = (visit(talk)[1] or "").removeprefix("pylb=")
        seen: Counter[str] = Counter()
        for stranger in strangers(genuine, [], []) * 5:
            answer = talk.get("/", f"Cookie: pylb={stranger}")
            assert (answer.status, bool(answer.get("set-cookie"))) == (200, True), stranger
            seen[answer.body.decode()] += 1
    assert max(seen.values()) - min(seen.values()) <= 1
