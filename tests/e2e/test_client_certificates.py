"""Certificates of clients: who is asked for one, who is let in, and what a backend may believe of it."""

import ssl
from datetime import timedelta

import pytest

from .balancer import site
from .talk import Cut

HEADERS = {"subject": "x-client-subject", "san": "x-client-san"}
FORGED = ("X-Client-Subject: CN=admin", "X-Client-San: DNS:admin.example", "x_client_subject: CN=admin")


@pytest.fixture
def site_of(serve, origin, authority):
    """A site that asks its clients for certificates in a given way; returns its backend too."""

    def start(mode: str, **more):
        one = origin(name="one")
        auth = {"mode": mode, "ca": str(authority.ca), "headers": HEADERS}
        tls = {"certificates": [authority.issue("shop.example").files], "client_auth": auth}
        return serve(site([one.address], listener={"tls": tls, **more})), one

    return start


def client(authority, pair=None, version=None):
    return {"tls": authority.client(pair, version=version), "name": "shop.example"}


def failure(balancer, how) -> str:
    """How a client fails that gets no answer: over TLS 1.3 it learns that after its own handshake."""
    try:
        with balancer.talk(**how) as talk:
            talk.get()
    except (ssl.SSLError, Cut, ConnectionResetError, BrokenPipeError) as error:
        return str(error)
    return ""


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("mode", ["none", "optional", "require"])
def test_modes(site_of, authority, mode, version):
    balancer, one = site_of(mode)
    mine = authority.issue("alice.example", "10.1.2.3", usage="client", subject="Alice, of accounts")
    with balancer.talk(**client(authority, mine, version)) as talk:
        assert talk.get("/with", *FORGED).status == 200
    ask = one.ledger[-1]
    if mode == "none":
        assert (ask.get("x-client-subject"), ask.get("x-client-san")) == (None, None)
    else:
        subject, names = ask.get("x-client-subject"), ask.get("x-client-san")
        assert subject is not None
        assert names is not None
        assert r"CN=Alice\, of accounts" in subject
        assert "alice.example" in names
        assert "10.1.2.3" in names
    if mode == "require":
        assert "certificate" in failure(balancer, client(authority, None, version)).replace("_", " ").lower()
        assert one.count(target="/") == 0
        (line,) = balancer.access_log(1, lambda line: line["status"] is None)
        assert "certificate" in line["reason"]
        return
    with balancer.talk(**client(authority, None, version)) as talk:
        assert talk.get("/without", *FORGED).status == 200
    ask = one.ledger[-1]
    assert [value for name, value in ask.fields if "client" in name.lower()] == []


def test_the_headers_stay_with_the_connection(site_of, authority):
    """Clients share connections to the backend, and no request has another's name."""
    balancer, one = site_of("optional")
    names = ["alice", "bob", None] * 10
    pairs = {name: authority.issue(f"{name}.example", usage="client") for name in names if name}
    for name in names:
        with balancer.talk(**client(authority, name and pairs[name])) as talk:
            for _ in range(2):
                talk.get(f"/{name}", *FORGED)
    for ask in one.ledger:
        said = ask.get("x-client-san")
        assert said is None if ask.target == "/None" else f"{ask.target[1:]}.example" in (said or "")


def test_a_certificate_that_is_not_valid_is_refused(site_of, authority, stranger):
    balancer, one = site_of("optional")
    bad = {
        "expired": authority.issue("a.example", usage="client", ends=timedelta(hours=-1)),
        "unknown": stranger.issue("a.example", usage="client"),
        "purpose": authority.issue("a.example", usage="server"),
        "signature": authority.issue("a.example", usage="client", spoiled=True),
    }
    for number, pair in enumerate(bad.values(), 1):
        assert failure(balancer, client(authority, pair))
        balancer.access_log(number)
    reasons = [line["reason"] for line in balancer.access_log(len(bad))]
    assert all("certificate" in reason or "unknown" in reason for reason in reasons), reasons
    assert "expired" in reasons[0]
    assert one.count() == 0


def test_a_name_may_have_a_rule_of_its_own(serve, origin, authority):
    """One name asks for certificates, its neighbour does not: neither answers for the other."""
    one = origin(name="one")
    auth = {"mode": "require", "ca": str(authority.ca)}
    certificates = [
        authority.issue("open.example", "too.example").files,
        {**authority.issue("closed.example").files, "client_auth": auth},
    ]
    balancer = serve(site([one.address], listener={"tls": {"certificates": certificates}}))
    mine = authority.issue("alice.example", usage="client")
    with balancer.talk(tls=authority.client(), name="open.example") as talk:
        assert talk.get("/", "Host: open.example").status == 200
        assert talk.get("/", "Host: too.example").status == 200
        answer = talk.get("/", "Host: closed.example")
        assert answer.status == 421
        assert answer.get("x-request-id")
    assert failure(balancer, {"tls": authority.client(), "name": "closed.example"})
    with balancer.talk(tls=authority.client(mine), name="closed.example") as talk:
        assert talk.get("/", "Host: closed.example").status == 200
        assert talk.get("/", "Host: open.example").status == 421
    assert one.count() == 3
