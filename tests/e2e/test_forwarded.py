"""What backends learn of the client, and from whom it is believed."""

import re

import pytest

from .balancer import reachable, site
from .ports import free_port
from .talk import Talk

FORGED = (
    "X-Forwarded-For: 6.6.6.6",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: evil.example",
    "X-Forwarded-Port: 1",
    "X-Forwarded-Anything: 1",
    "X-Real-IP: 6.6.6.6",
    "Forwarded: for=6.6.6.6",
)
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def test_an_untrusted_client_is_believed_nothing(serve, origin):
    one = origin()
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        talk.get("/", "Host: shop.example:8080", *FORGED)
    (ask,) = one.ledger
    seen = {
        name.lower(): value
        for name, value in ask.fields
        if "forward" in name.lower() or "real" in name.lower()
    }
    assert seen == {
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-proto": "http",
        "x-forwarded-host": "shop.example:8080",
    }
    assert ask.get("host") == "shop.example:8080"


def test_a_trusted_proxy_is_believed(serve, origin):
    one = origin()
    balancer = serve(site([one.address], listener={"trusted_proxies": ["127.0.0.2/32", "10.0.0.0/8"]}))
    with balancer.talk(source="127.0.0.2") as talk:
        talk.get(
            "/",
            "X-Forwarded-For: 6.6.6.6, 7.7.7.7, 10.1.2.3",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Host: public.example",
        )
    with balancer.talk(source="127.0.0.3") as talk:
        talk.get("/", "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https")
    trusted, other = one.ledger
    assert trusted.get("x-forwarded-for") == "6.6.6.6, 7.7.7.7, 10.1.2.3, 127.0.0.2"
    assert trusted.get("x-forwarded-proto") == "https"
    assert trusted.get("x-forwarded-host") == "public.example"
    assert (other.get("x-forwarded-for"), other.get("x-forwarded-proto")) == ("127.0.0.3", "http")
    clients = {line["client"] for line in balancer.access_log(2)}
    assert clients == {"7.7.7.7", "127.0.0.3"}, "the rightmost address that is not trusted"


def test_the_client_over_ipv6_and_over_a_unix_socket(serve, origin, tmp_path):
    one = origin()
    binds = [f"[::1]:{free_port()}", f"unix:{tmp_path}/w.sock"]
    serve(site([one.address], listener={"bind": binds}))
    for bind in binds:
        with Talk(reachable(bind)) as talk:
            assert talk.get().status == 200
    assert one.ledger[0].get("x-forwarded-for") == "::1"


def test_ipv4_over_a_dual_socket_is_ipv4(serve, origin):
    one = origin()
    port = free_port()
    serve(site([one.address], listener={"bind": f":{port}"}))
    with Talk(("127.0.0.1", port)) as talk:
        talk.get()
    assert one.ledger[0].get("x-forwarded-for") == "127.0.0.1"


def test_request_ids(serve, origin):
    one = origin()
    balancer = serve(site([one.address], listener={"trusted_proxies": ["127.0.0.2"]}))
    with balancer.talk() as talk:
        talk.get()
        talk.get("/", "X-Request-ID: mine")
    with balancer.talk(source="127.0.0.2") as talk:
        talk.get("/", "X-Request-ID: theirs")
        talk.get()
    ids = [ask.get("x-request-id") for ask in one.ledger]
    assert ids[2] == "theirs"
    own = [ids[0], ids[1], ids[3]]
    assert all(UUID7.fullmatch(each or "") for each in own), ids
    assert len(set(own)) == 3
    assert {line["id"] for line in balancer.access_log(4)} == set(ids)


def test_names_with_underscores_are_dropped(serve, origin):
    one = origin()
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        talk.get("/", "X_Forwarded_For: 6.6.6.6", "Content_Length: 5", "X-User: real", "X_User: forged")
    (ask,) = one.ledger
    assert not [name for name, _ in ask.fields if "_" in name]
    assert ask.get("x-user") == "real"


@pytest.mark.parametrize(
    "listed", ["X-Forwarded-For", "Cookie", "Authorization", "Host", "Content-Length", "X-Request-ID"]
)
def test_connection_cannot_remove_what_backends_rely_on(serve, origin, listed):
    one = origin()
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        answer = talk.request(
            "POST", "/", f"Connection: {listed}", "Cookie: a=1", "Authorization: b", body=b"x"
        ).response()
    assert answer.status == 200
    assert one.ledger[0].get(listed) is not None


def test_traceparent_passes(serve, origin):
    one = origin()
    balancer = serve(site([one.address]))
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with balancer.talk() as talk:
        talk.get("/", f"traceparent: {trace}")
    assert one.ledger[0].get("traceparent") == trace
    assert balancer.access_log(1)[0]["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
