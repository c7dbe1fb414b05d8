"""Sessions by what the client or the backend says of itself: nothing is set, the pool remembers."""

import os

import pytest

from .origin import Ask
from .sessions import new_sessions, sticky, visit_all


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
