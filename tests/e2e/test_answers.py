"""The answers of pylb itself: a status, a reason by RFC 9209, and a body that people or programs can read."""

import json

import pytest

from .balancer import site
from .ports import free_port


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
