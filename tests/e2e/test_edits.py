"""What a route changes on the way: fields, the path, the host; and what it answers itself."""

import pytest

from .balancer import site
from .origin import Ask
from .ports import free_port
from .talk import Response


def routed(address, **route):
    """A site with one route."""
    return site([address], listener={"routes": [{"pool": "app", **route}]})


# ---- fields


def test_request_fields(serve, origin):
    one = origin()
    edits = {"set": {"x-env": "prod", "Accept": "*/*"}, "add": {"x-tag": "lb"}, "remove": ["X-Secret"]}
    balancer = serve(routed(one.address, request_headers=edits))
    with balancer.talk() as talk:
        talk.get("/", "X-Env: dev", "x-env: test", "X-Tag: mine", "x-secret: 1", "X-SECRET: 2", "X-Other: 3")
    (ask,) = one.ledger
    assert ask.all("x-env") == ["prod"]
    assert ask.all("accept") == ["*/*"]
    assert sorted(ask.all("x-tag")) == ["lb", "mine"]
    assert ask.all("x-secret") == []
    assert ask.all("x-other") == ["3"]
    assert ask.all("host") == ["test"]
    assert ask.all("x-forwarded-for") == ["127.0.0.1"]


def answers_with_fields(ask: Ask) -> None:
    """An answer that gives too much away."""
    ask.read_body()
    ask.answer(
        200, "body", "Server: secret/1.0", "Set-Cookie: a=1", "Set-Cookie: b=2", "Cache-Control: public"
    )


def test_response_fields(serve, origin):
    one = origin(answers_with_fields)
    edits = {
        "set": {"cache-control": "no-store", "x-frame-options": "DENY"},
        "add": {"set-cookie": "c=3"},
        "remove": ["server"],
    }
    balancer = serve(routed(one.address, response_headers=edits))
    with balancer.talk() as talk:
        for method in ("GET", "HEAD", "GET"):
            answer = talk.request(method).response(to=method)
            assert answer.all("server") == []
            assert answer.all("cache-control") == ["no-store"]
            assert answer.all("x-frame-options") == ["DENY"]
            assert answer.all("set-cookie") == ["a=1", "b=2", "c=3"]
            assert answer.all("content-length") == ["4"]


def test_the_answers_of_pylb_have_them_too(serve):
    """A browser can read an error across origins only if the error allows it."""
    nobody = f"127.0.0.1:{free_port()}"
    balancer = serve(routed(nobody, response_headers={"set": {"access-control-allow-origin": "*"}}))
    with balancer.talk() as talk:
        answer = talk.get()
    assert (answer.status, answer.get("access-control-allow-origin")) == (502, "*")


# ---- the target


@pytest.mark.parametrize(
    ("match", "rewrite", "asked", "sent"),
    [
        ("/api/", {"strip_prefix": "/api"}, "/api/v1/x?y=1", "/v1/x?y=1"),
        ("/api/", {"strip_prefix": "/api"}, "/api", "/"),
        ("/api/", {"strip_prefix": "/api"}, "/api?q", "/?q"),
        ("/api/", {"strip_prefix": "/api/v1"}, "/api/v2/x", "/api/v2/x"),
        ("/api/", {"strip_prefix": "/api/v1"}, "/api/v1x/y", "/api/v1x/y"),
        ("/api/", {"strip_prefix": "/api"}, "/api/../api/./a%2fb", "/a%2fb"),
        ("/api/", {"replace_prefix": "/v2"}, "/api/x?y", "/v2/x?y"),
        ("/api/", {"replace_prefix": "/v2"}, "/api", "/v2"),
        ("/api/", {"path": "/one"}, "/api/x?y=1", "/one?y=1"),
    ],
)
def test_rewriting_the_path(serve, origin, match, rewrite, asked, sent):
    one = origin()
    balancer = serve(routed(one.address, match={"path": match}, rewrite=rewrite))
    with balancer.talk() as talk:
        assert talk.get(asked).status == 200
    (line,) = balancer.access_log(1)
    assert one.ledger[0].target == sent
    assert line["path"] == asked, "the log tells what was asked"


def test_rewriting_the_host(serve, origin):
    one = origin()
    balancer = serve(routed(one.address, rewrite={"host": "inner.example:8080"}))
    with balancer.talk() as talk:
        talk.get("/", "Host: outer.example")
    (ask,) = one.ledger
    assert ask.get("host") == "inner.example:8080"
    assert ask.get("x-forwarded-host") == "outer.example"


# ---- answers that a route gives itself


def answered(serve, route, *asked: str) -> list[Response]:
    """What a route without a pool answers to GETs of these targets."""
    config = site([])
    config["listeners"]["web"]["routes"] = [route]
    config["pools"] = {}
    balancer = serve(config)
    with balancer.talk() as talk:
        return [talk.get(target, "Host: shop.example:8080") for target in asked]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects(serve, status):
    route = {"redirect": {"to": "https://{host}{uri}", "status": status}}
    (plain, query) = answered(serve, route, "/a", "/b/../c?d=%0d%0a{host}")
    assert (plain.status, plain.get("location")) == (status, "https://shop.example/a")
    assert query.get("location") == "https://shop.example/c?d=%0d%0a{host}"
    assert plain.get("x-request-id")


def test_a_redirect_stays_on_its_site(serve):
    """`//evil.example` as a target would name another host."""
    (answer,) = answered(serve, {"redirect": {"to": "{uri}", "status": 308}}, "//evil.example/x")
    assert not (answer.get("location") or "").startswith("//")


def test_responses(serve):
    route = {"respond": {"status": 200, "body": "pong", "content_type": "text/plain"}}
    first, second = answered(serve, route, "/", "/x")
    for answer in (first, second):
        assert (answer.status, answer.body, answer.get("content-type")) == (200, b"pong", "text/plain")
        assert answer.get("x-request-id")


def test_a_response_without_a_body(serve):
    answer, again = answered(serve, {"respond": {"status": 204}}, "/", "/")
    assert (answer.status, answer.body, again.status) == (204, b"", 204)
    assert answer.get("content-length") is None


# ---- pages


def test_a_page_for_a_status_of_a_pool(serve, tmp_path):
    page = tmp_path / "gone.html"
    page.write_text("<p>gone</p>")
    balancer = serve(site([f"127.0.0.1:{free_port()}"], pool={"errors": {502: str(page)}}))
    with balancer.talk() as talk:
        answer = talk.get("/", "Accept: text/html")
        assert (answer.status, answer.body) == (502, b"<p>gone</p>")
        assert (answer.get("content-type") or "").startswith("text/html")
        assert answer.get("proxy-status") == "pylb; error=connection_refused"
        assert talk.get("/", "Accept: application/json").get("content-type") == "application/json"


def test_the_page_is_not_for_the_backends_own(serve, origin, tmp_path):
    one = origin(lambda ask: ask.answer(503, "its own"))
    page = tmp_path / "busy.html"
    page.write_text("<p>busy</p>")
    balancer = serve(site([one.address], pool={"errors": {503: str(page)}}))
    with balancer.talk() as talk:
        assert talk.get().body == b"its own"
