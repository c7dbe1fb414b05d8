"""TLS to backends: what is verified is verified, and who fails gets no request, over TLS or in clear.

The bad certificates are those of lists like BetterTLS: each is wrong in one way, and a client that looked
away would talk to somebody else.
"""

from datetime import timedelta

import pytest

from .balancer import site, tcp
from .patience import until
from .recorder import Recorder

HOUR = timedelta(hours=1)
NAME = "app.internal"
CHECK = {"http": "/healthz", "interval": "200ms", "timeout": "2s", "fall": 1}


BAD = {
    "expired": (lambda us, them: us.issue(NAME, ends=-HOUR), "expired"),
    "not-yet": (lambda us, them: us.issue(NAME, begins=HOUR), "not valid"),
    "wrong-name": (lambda us, them: us.issue("other.internal"), "other.internal|another name"),
    "wildcard-of-another-depth": (lambda us, them: us.issue("*.app.internal"), NAME),
    "wildcard-of-a-whole-domain": (lambda us, them: us.issue("*.internal.app"), NAME),
    "unknown-authority": (lambda us, them: them.issue(NAME), "unknown|authority|issuer"),
    "same-name-other-key": (lambda us, them: us.issue(NAME, signed_by=them), "unknown|authority|issuer"),
    "self-signed": (lambda us, them: us.self_signed(NAME), "unknown|authority|issuer|self-signed"),
    "usage-of-a-client": (lambda us, them: us.issue(NAME, usage="client"), "usage|purpose|server"),
    "name-only-in-cn": (lambda us, them: us.issue(subject=NAME), "for nobody|another name"),
    "bad-signature": (lambda us, them: us.issue(NAME, spoiled=True), "signature|not signed"),
}


@pytest.fixture
def backends(origin, authority, stranger):
    """One backend for each bad certificate."""
    return {
        case: origin(name=case, tls=authority.server(make(authority, stranger)))
        for case, (make, _) in BAD.items()
    }


def test_bad_certificates_are_refused(serve, backends, authority):
    """502 with a reason in the log, a reason in health, and not one request, in clear or otherwise."""
    tls = {"ca": str(authority.ca), "server_name": NAME}
    pools = {}
    for case, one in backends.items():
        pools[case] = {"backends": [one.address], "tls": tls, "passive": {"failures": 1000}}
        pools[f"{case}-checked"] = {"backends": [one.address], "tls": tls, "health": CHECK}
    routes = [{"match": {"path": f"/{name}"}, "pool": name} for name in pools]
    balancer = serve({"listeners": {"web": {"bind": tcp(), "routes": routes}}, "pools": pools, "workers": 2})
    for case, (_, words) in BAD.items():
        with balancer.talk() as talk:
            answer = talk.request("POST", f"/{case}", body=b"secret").response()
            assert answer.status == 502, case
            assert "tls_certificate_error" in (answer.get("proxy-status") or ""), case
            lines = balancer.access_log(1, lambda line, path=f"/{case}": line["path"] == path)
            assert any(word in lines[0]["reason"] for word in words.split("|")), lines[0]
            checked = f"{case}-checked"
            name = backends[case].address

            def down(pool=checked, name=name):
                found = balancer.backend(pool, name)
                return found if found["state"] == "down" else None

            why = until(f"{case} is down", down)["why"]
            assert any(word in why for word in words.split("|")), (case, why)
    for one in backends.values():
        assert one.count() == 0
        assert one.refusals or one.connections


def test_a_good_one_is_believed_and_its_connection_kept(serve, origin, authority):
    one = origin(name="one", tls=authority.server(authority.issue(NAME)))
    tls = {"ca": str(authority.ca), "server_name": NAME}
    balancer = serve(site([one.address], pool={"tls": tls, "health": CHECK}, workers=1))
    until("it is up", lambda: balancer.backend("app", one.address)["state"] == "up")
    with balancer.talk() as talk:
        for _ in range(20):
            assert talk.get("/").body == b"one"
    asks = [ask for ask in one.ledger if ask.target == "/"]
    assert len({id(ask.line) for ask in asks}) == 1
    assert one.refusals == []


def test_sessions_to_backends_are_reused(serve, origin, authority):
    """A backend that closes after each answer: its later handshakes resume the first one's session."""
    resumed: list[bool] = []

    def script(ask):
        resumed.append(bool(ask.line.socket.session_reused))
        ask.answer(200, "one", "Connection: close")
        ask.close()

    one = origin(script, tls=authority.server(authority.issue(NAME)))
    tls = {"ca": str(authority.ca), "server_name": NAME}
    balancer = serve(site([one.address], pool={"tls": tls}, workers=1))
    with balancer.talk() as talk:
        for _ in range(6):
            assert talk.get().status == 200
    assert resumed[0] is False
    assert all(resumed[2:]), resumed


def test_an_address_may_be_the_name(serve, origin, authority):
    good = origin(name="good", tls=authority.server(authority.issue("127.0.0.1")))
    bad = origin(name="bad", tls=authority.server(authority.issue("127.0.0.2")))
    pool = {"tls": {"ca": str(authority.ca)}}
    with serve(site([good.address], pool=pool)).talk() as talk:
        assert talk.get().body == b"good"
    with serve(site([bad.address], pool=pool)).talk() as talk:
        assert talk.get().status == 502


def test_a_backend_may_ask_for_our_certificate(serve, origin, authority):
    context = authority.server(authority.issue(NAME), clients=authority.ca)
    with_, without = origin(name="with", tls=context), origin(name="without", tls=context)
    ours = authority.issue("pylb.internal", usage="client")
    tls = {"ca": str(authority.ca), "server_name": NAME}
    balancer = serve(site([with_.address], pool={"tls": {**tls, **ours.files}, "health": CHECK}))
    until("it is up", lambda: balancer.backend("app", with_.address)["state"] == "up")
    with balancer.talk() as talk:
        assert talk.get().body == b"with"
    with serve(site([without.address], pool={"tls": tls})).talk() as talk:
        assert talk.get().status == 502
    assert without.count() == 0


def test_a_backend_that_speaks_clear_gets_no_request(serve, authority):
    """No fallback: what it sees of us is a handshake, and not a word of a request."""
    tls = {"ca": str(authority.ca), "server_name": NAME}
    with Recorder() as recorder:
        balancer = serve(site([recorder.address], pool={"tls": tls, "timeouts": {"tls_handshake": "1s"}}))
        with balancer.talk() as talk:
            assert talk.request("POST", "/secret", body=b"secret").response().status in (502, 504)
        recorder.settle()
        assert recorder.messages == []
        assert b"secret" not in b"".join(each.encode() for each in recorder.broken)


def test_verify_false_believes_everybody_and_warns(serve, origin, authority):
    one = origin(name="one", tls=authority.server(authority.self_signed("whoever")))
    balancer = serve(site([one.address], pool={"tls": {"verify": False}}))
    with balancer.talk() as talk:
        assert talk.get().body == b"one"
    balancer.said("verify")


def test_another_authority_takes_no_old_connection(serve, origin, authority, stranger):
    """After a reload that trusts somebody else, no connection of before is used."""
    one = origin(name="one", tls=authority.server(authority.issue(NAME)))
    config = site([one.address], pool={"tls": {"ca": str(authority.ca), "server_name": NAME}})
    balancer = serve(config)
    with balancer.talk() as talk:
        assert talk.get().status == 200
        config["pools"]["app"]["tls"]["ca"] = str(stranger.ca)
        balancer.load(config)
        assert talk.get().status == 502
        config["pools"]["app"]["tls"]["ca"] = str(authority.ca)
        balancer.load(config)
        assert talk.get().status == 200
