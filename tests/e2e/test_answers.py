"""The answers of pylb itself: a status, a reason by RFC 9209, and a form that the client can read.

The table first: every row of "Answers of pylb itself" in which a request is answered, in every form that the
same client could have asked for. Then what no row says.
"""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from .balancer import Balancer, site
from .origin import Ask, Origin
from .patience import until
from .ports import free_port
from .talk import Response, Talk

ROWS = {
    # path: status, Proxy-Status error, Retry-After
    "/unrouted": (404, None, False),
    "/nobody": (503, "destination_unavailable", True),
    "/full": (503, "connection_limit_reached", True),
    "/waited": (503, "connection_limit_reached", True),
    "/refused": (502, "connection_refused", False),
    "/unaccepted": (504, "connection_timeout", False),
    "/closed": (502, "http_response_incomplete", False),
    "/cut": (502, "http_response_incomplete", False),
    "/malformed": (502, "http_protocol_error", False),
    "/silent": (504, "http_response_timeout", False),
    "/limited": (429, None, True),
    "/large": (413, None, False),
}
GRPC = {404: "12", 413: "2", 429: "14", 502: "14", 503: "14", 504: "14"}
BODY = b"x" * 2000


def misbehaves(ask: Ask) -> None:
    """Does what its path says."""
    match ask.target:
        case "/closed":
            ask.close()
        case "/cut":
            ask.send("HTTP/1.1 200 OK\r\nContent-Le")
            ask.close()
        case "/malformed":
            ask.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx")
        case "/full" | "/waited" | "/silent":
            ask.wait_until_gone()
        case _:
            ask.read_body()
            ask.answer()


@pytest.fixture(scope="module")
def troubled(tmp_path_factory) -> Iterator[Balancer]:
    """A pylb with a route into every kind of trouble."""
    with ExitStack() as stack:
        one = stack.enter_context(Origin(misbehaves))
        unaccepting = stack.enter_context(full_backlog())
        pool = {"backends": [one.address], "passive": {"failures": 1_000_000}, "retries": {"tries": 1}}
        crowded = {**pool, "backends": [{"address": one.address, "max_in_flight": 1}]}
        config = site([], listener={"limits": {"body": "1KiB"}})
        config["pools"] = {
            "nobody": {
                "backends": [f"127.0.0.1:{free_port()}"],
                "health": {"tcp": True, "interval": "100ms", "fall": 1},
            },
            "full": {**crowded, "queue": {"size": 0}},
            "waited": {**crowded, "queue": {"size": 10, "timeout": "100ms"}},
            "refused": {**pool, "backends": [f"127.0.0.1:{free_port()}"]},
            "unaccepted": {**pool, "backends": [unaccepting], "timeouts": {"connect": "200ms"}},
            **{name: pool for name in ("closed", "cut", "malformed", "silent", "limited", "large")},
        }
        routes = {name: {"match": {"path": f"/{name}"}, "pool": name} for name in config["pools"]}
        routes["silent"]["timeouts"] = {"response_head": "200ms"}
        for held in ("full", "waited"):
            routes[held]["timeouts"] = {"response_head": "10m"}  # longer than these tests take anywhere
        routes["limited"]["rate_limit"] = {"rate": "1/s", "burst": 1, "key": {"header": "x-who"}}
        config["listeners"]["web"]["routes"] = list(routes.values())
        folder = tmp_path_factory.mktemp("pylb")
        balancer = Balancer(folder, config).wait_until_ready()
        stack.callback(balancer.end)
        until(
            "nobody is there", lambda: balancer.status()["pools"]["nobody"]["backends"][0]["state"] == "down"
        )
        for path in ("/full", "/waited"):
            holding = stack.enter_context(balancer.talk())
            holding.request("GET", path)
        until("both places are taken", lambda: one.count() == 2)
        yield balancer


@contextmanager
def full_backlog() -> Iterator[str]:
    """An address at which connections are not accepted, and not refused either."""
    with socket.socket() as full, ExitStack() as stack:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        yield f"127.0.0.1:{full.getsockname()[1]}"


def ask(talk: Talk, path: str, *lines: str, method: str = "GET") -> Response:
    """The answer on a path of the table."""
    if path == "/limited":
        who = f"X-Who: {method} {lines}"
        assert talk.request("GET", path, who).response().status == 200
        return talk.request(method, path, who, *lines).response(to=method)
    body = BODY if path == "/large" else b""
    return talk.request(method, path, *lines, body=body).response(to=method)


def check(answer: Response, path: str, status: int) -> None:
    """What an answer on this path says in every form."""
    _, error, later = ROWS[path]
    assert answer.status == status
    assert answer.get("proxy-status") == (error and f"pylb; error={error}")
    assert answer.get("retry-after") == ("1" if later else None)
    assert len(answer.get("x-request-id") or "") == 36


@pytest.mark.parametrize("path", ROWS)
def test_a_row_as_text(troubled, path):
    with troubled.talk() as talk:
        answer = ask(talk, path)
    status = ROWS[path][0]
    check(answer, path, status)
    assert answer.get("content-type") == "text/plain; charset=utf-8"
    assert answer.body.decode().startswith(f"{status} {answer.reason}: ")
    assert answer.body.count(b"\n") == 1


@pytest.mark.parametrize("path", ROWS)
def test_a_row_as_json(troubled, path):
    with troubled.talk() as talk:
        answer = ask(talk, path, "Accept: application/json")
    check(answer, path, ROWS[path][0])
    assert answer.get("content-type") == "application/json"
    body = json.loads(answer.body)
    assert (body["status"], body["error"]) == ROWS[path][:2]
    assert body["request_id"] == answer.get("x-request-id")


@pytest.mark.parametrize("path", ROWS)
def test_a_row_to_head(troubled, path):
    with troubled.talk() as talk:
        answer = ask(talk, path, method="HEAD")
        check(answer, path, ROWS[path][0])
        assert int(answer.get("content-length") or 0) > 0
        if answer.get("connection") != "close":
            assert talk.get("/unrouted").status == 404, "nothing follows the head"


@pytest.mark.parametrize("kind", ["application/grpc", "application/grpc+proto", "application/grpc-web"])
@pytest.mark.parametrize("path", ROWS)
def test_a_row_to_a_grpc_client(troubled, path, kind):
    with troubled.talk() as talk:
        answer = ask(talk, path, f"Content-Type: {kind}", method="POST")
    check(answer, path, 200)
    assert answer.get("content-type") == kind.partition("+")[0]
    assert answer.get("grpc-status") == GRPC[ROWS[path][0]]
    assert answer.get("grpc-message")
    assert answer.body == b""


@pytest.mark.parametrize("path", ROWS)
def test_a_row_in_the_log(troubled, path):
    with troubled.talk() as talk:
        answer = ask(talk, path)
    key = answer.get("x-request-id")
    (line,) = troubled.access_log(1, lambda line: line["id"] == key)
    assert (line["status"], line["proxy_status"]) == ROWS[path][:2]


def test_for_people(serve, origin):
    balancer = serve(site([f"127.0.0.1:{free_port()}"]))
    with balancer.talk() as talk:
        answer = talk.get()
    assert answer.status == 502
    assert answer.get("content-type") == "text/plain; charset=utf-8"
    assert answer.body.decode().startswith("502 Bad Gateway: ")
    assert answer.body.count(b"\n") == 1
    assert answer.get("x-request-id")
    assert answer.get("proxy-status") == "pylb; error=connection_refused"


@pytest.mark.parametrize("accept", ["application/json", "text/html;q=0.5, application/json;q=0.9"])
def test_for_programs(serve, origin, accept):
    balancer = serve(site([f"127.0.0.1:{free_port()}"]))
    with balancer.talk() as talk:
        answer = talk.get("/", f"Accept: {accept}")
    assert answer.get("content-type") == "application/json"
    body = json.loads(answer.body)
    assert (body["status"], body["error"]) == (502, "connection_refused")
    assert body["request_id"] == answer.get("x-request-id") == balancer.access_log(1)[0]["id"]


def test_no_route(serve, origin):
    one = origin()
    balancer = serve(
        site([one.address], listener={"routes": [{"match": {"host": "a.example"}, "pool": "app"}]})
    )
    with balancer.talk() as talk:
        answer = talk.get("/", "Host: b.example")
        assert (answer.status, answer.get("proxy-status")) == (404, None)
        assert answer.get("x-request-id")
        assert talk.get("/", "Host: a.example").status == 200, "the connection lives on"


def test_to_head_there_is_no_body(serve, origin):
    balancer = serve(site([f"127.0.0.1:{free_port()}"]))
    with balancer.talk() as talk:
        for _ in range(3):
            answer = talk.request("HEAD").response(to="HEAD")
            assert answer.status == 502
            assert int(answer.get("content-length")) > 0


def test_to_a_request_nobody_understood(serve, origin):
    one = origin()
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        answer = talk.send(
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
        ).response()
        assert (answer.status, answer.get("connection")) == (400, "close")
        assert answer.get("x-request-id")
        assert talk.closed()
    assert one.count() == 0
    (line,) = balancer.access_log(1)
    assert (line["status"], line["reason"]) == (400, "length-and-encoding")


def test_pipelined_behind_a_fault_is_dropped(serve, origin):
    one = origin()
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        talk.send(
            "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
            "GET /2 HTTP/1.1\r\nBad Name: 1\r\n\r\n"
            "GET /3 HTTP/1.1\r\nHost: a\r\n\r\n"
        )
        assert talk.response().status == 200
        assert talk.response().status == 400
        assert talk.closed()
    assert [ask.target for ask in one.ledger] == ["/1"]
