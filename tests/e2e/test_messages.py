"""HTTP/1.1 as it is spoken: what goes in at one side comes out at the other, in whatever dialect."""

import pytest

from .balancer import site
from .origin import Ask
from .patience import until
from .talk import Cut


def test_a_request_and_its_answer(serve, origin):
    one = origin(name="one")
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        answer = talk.get("/hello?x=1", "X-Mine: a", "X-Mine: b")
    assert (answer.status, answer.reason, answer.body) == (200, "Fine", b"one")
    (ask,) = one.ledger
    assert (ask.method, ask.target, ask.version) == ("GET", "/hello?x=1", "HTTP/1.1")
    assert ask.get("host") == "test"
    assert ask.all("x-mine") == ["a", "b"]


def test_both_sides_keep_their_connections(serve, origin):
    one = origin()
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        for number in range(20):
            assert talk.get(f"/{number}").status == 200
    assert [ask.target for ask in one.ledger] == [f"/{number}" for number in range(20)]
    assert one.connections == 1


def test_pipelined_requests_are_answered_in_order(serve, origin):
    one = origin(
        lambda ask: (ask.read_body(), ask.answer(200, f"{ask.method} {ask.target} {ask.body.decode()}"))
    )
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        talk.send(
            "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
            "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
            "HEAD /3 HTTP/1.1\r\nHost: a\r\n\r\n"
            "POST /4 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n"
            "GET /5 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        )
        assert talk.response().body == b"GET /1 "
        assert talk.response().body == b"POST /2 abc"
        assert talk.response(to="HEAD").get("content-length") == "8"
        assert talk.response().body == b"POST /4 de"
        assert talk.response().body == b"GET /5 "
        assert talk.closed()


def test_a_head_may_come_byte_by_byte(serve, origin):
    one = origin()
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        for byte in b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n":
            talk.send(bytes([byte]))
        assert talk.response().status == 200


def test_head_keeps_the_length_and_has_no_body(serve, origin):
    one = origin(lambda ask: ask.answer(200, b"x" * 1234))
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        for _ in range(3):
            answer = talk.request("HEAD").response(to="HEAD")
            assert (answer.status, answer.get("content-length"), answer.body) == (200, "1234", b"")
        assert len(talk.get().body) == 1234


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body(serve, origin, status):
    one = origin(lambda ask: ask.answer(status, None, "ETag: x"))
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        for _ in range(2):
            answer = talk.get()
            assert (answer.status, answer.get("etag"), answer.body) == (status, "x", b"")
            assert answer.get("transfer-encoding") is None
    assert one.connections == 1


def until_close(ask: Ask) -> None:
    ask.send("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nfirst ")
    ask.send("second")
    ask.close()


def test_an_answer_until_close_becomes_chunked(serve, origin):
    one = origin(until_close)
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        for _ in range(2):
            answer = talk.get()
            assert (answer.body, answer.get("transfer-encoding")) == (b"first second", "chunked")
    assert one.connections == 2


def test_a_client_of_http_1_0(serve, origin):
    one = origin(until_close)
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        talk.send("GET / HTTP/1.0\r\n\r\n")
        answer = talk.response()
        assert (answer.body, answer.get("transfer-encoding")) == (b"first second", None)
    assert one.ledger[0].version == "HTTP/1.1"


def test_a_client_of_http_1_0_gets_no_chunks(serve, origin):
    def chunked(ask: Ask) -> None:
        ask.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for text in ("one ", "two", ""):
            ask.chunk(text)

    one = origin(chunked)
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        talk.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
        answer = talk.response()
        assert (answer.body, answer.get("transfer-encoding")) == (b"one two", None)
    assert one.ledger[0].get("host") == "a"


def test_http_1_0_with_keep_alive(serve, origin):
    one = origin()
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        for _ in range(3):
            talk.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
            answer = talk.response()
            assert (answer.status, answer.get("connection")) == (200, "keep-alive")
        talk.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        assert talk.response().status == 200
        assert talk.closed()


def test_connection_close_is_honoured_on_both_sides(serve, origin):
    one = origin(lambda ask: (ask.answer(200, None, "Connection: close"), ask.close()))
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        first = talk.get()
        assert first.get("connection") is None
        last = talk.get("/", "Connection: close")
        assert last.get("connection") == "close"
        assert talk.closed()
    assert one.connections == 2


def test_hop_by_hop_fields_stay_on_their_hop(serve, origin):
    one = origin(
        lambda ask: ask.answer(
            200, None, "Connection: x-inner", "X-Inner: 1", "Keep-Alive: timeout=9", "X-Outer: 2"
        )
    )
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        answer = talk.get(
            "/", "Connection: x-hop", "X-Hop: 1", "Keep-Alive: timeout=5", "TE: trailers", "X-End: 2"
        )
    assert (answer.get("x-inner"), answer.get("keep-alive"), answer.get("x-outer")) == (None, None, "2")
    (ask,) = one.ledger
    assert (ask.get("x-hop"), ask.get("keep-alive"), ask.get("x-end")) == (None, None, "2")


def test_an_upgrade_goes_on_as_a_plain_request(serve, origin):
    one = origin()
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        answer = talk.get(
            "/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"
        )
    assert answer.status == 200
    assert (one.ledger[0].get("upgrade"), one.ledger[0].get("http2-settings")) == (None, None)


def test_trailers_pass_in_both_directions(serve, origin):
    def script(ask: Ask) -> None:
        ask.read_body()
        ask.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n")
        ask.send("2\r\nok\r\n0\r\nX-Sum: 42\r\nContent-Length: 9\r\n\r\n")

    one = origin(script)
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        talk.request("POST", "/", "Transfer-Encoding: chunked")
        talk.send("3\r\nabc\r\n0\r\nX-Check: 7\r\nX-Forwarded-For: 6.6.6.6\r\nHost: evil\r\n\r\n")
        answer = talk.response()
        assert talk.get("/again").status == 200
    assert (answer.body, answer.trailers) == (b"ok", [("X-Sum", "42")])
    assert (one.ledger[0].body, one.ledger[0].trailers) == (b"abc", [("X-Check", "7")])


def test_interim_answers_pass(serve, origin):
    def script(ask: Ask) -> None:
        ask.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
        ask.send("HTTP/1.1 102 Processing\r\n\r\n")
        ask.answer(200, "done")

    one = origin(script)
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        for _ in range(2):
            answer = talk.get()
            assert [interim.status for interim in answer.interims] == [103, 102]
            assert answer.interims[0].get("link") == "</a.css>"
            assert answer.body == b"done"
        talk.send("GET / HTTP/1.0\r\n\r\n")
        assert talk.response().interims == []


def test_too_many_interim_answers(serve, origin):
    one = origin(lambda ask: (ask.send("HTTP/1.1 102 Processing\r\n\r\n" * 9), ask.answer()))
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        try:
            answer = talk.get()
        except Cut:
            return
        assert answer.status == 502


def test_continue_comes_from_the_backend(serve, origin):
    def script(ask: Ask) -> None:
        assert ask.get("expect") == "100-continue"
        ask.send("HTTP/1.1 100 Continue\r\n\r\n")
        ask.read_body()
        ask.answer(200, ask.body)

    one = origin(script)
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        talk.request("POST", "/", "Content-Length: 5", "Expect: 100-continue")
        assert talk.head().status == 100
        talk.send("hello")
        assert talk.response().body == b"hello"
        assert talk.request("POST", "/", "Content-Length: 0", "Expect: 100-continue").response().status == 200


def test_a_backend_may_refuse_instead_of_continuing(serve, origin):
    one = origin(lambda ask: (ask.answer(413, "too big", "Connection: close"), ask.close()))
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        talk.request("POST", "/", "Content-Length: 5", "Expect: 100-continue")
        answer = talk.response()
        assert (answer.status, answer.body) == (413, b"too big")


def test_other_expectations_fail(serve, origin):
    one = origin()
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        assert talk.get("/", "Expect: a-miracle").status == 417
    assert one.count() == 0


def test_an_early_answer_ends_the_upload_but_not_the_answer(serve, origin):
    one = origin(lambda ask: (ask.answer(403, "no", "Connection: close"), ask.close()))
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        talk.request("POST", "/", "Content-Length: 1000000").send(b"x" * 1000)
        answer = talk.response()
        assert (answer.status, answer.body) == (403, b"no")
        assert answer.get("connection") == "close"


EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"


def test_bytes_behind_an_answer_are_never_the_next_answer(serve, origin):
    one = origin(lambda ask: ask.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine" + EVIL))
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        for _ in range(20):
            assert talk.get().body == b"mine"
    assert one.connections == 20
    until("every connection was thrown away", lambda: one.open_connections() == 0)


def test_bytes_on_an_idle_connection_are_never_an_answer(serve, origin):
    one = origin(lambda ask: ask.answer(200, "mine"))
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        for number in range(1, 11):
            assert talk.get().body == b"mine"
            assert one.connections == number
            one.ledger[-1].send(EVIL)
            until("the connection was thrown away", lambda: one.open_connections() == 0)


def test_a_method_of_ones_own(serve, origin):
    one = origin(lambda ask: (ask.read_body(), ask.answer(200, ask.method)))
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        assert talk.request("PROPFIND", "/", body=b"<x/>").response().body == b"PROPFIND"
        assert talk.request("OPTIONS", "*").response().body == b"OPTIONS"
    assert one.ledger[1].target == "*"


@pytest.mark.parametrize("method", ["TRACE", "CONNECT"])
def test_methods_that_are_never_forwarded(serve, origin, method):
    one = origin()
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        talk.send(f"{method} {'a:80' if method == 'CONNECT' else '/'} HTTP/1.1\r\nHost: a:80\r\n\r\n")
        assert talk.response().status == 405
    assert one.count() == 0
