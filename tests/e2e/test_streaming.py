"""Bodies pass as they come, at the pace of whoever takes them, of any size, and byte for byte."""

import contextlib
import hashlib
import random
import threading

import pytest

from .balancer import site
from .origin import Ask
from .patience import holds, until
from .talk import Cut

MIB = 1 << 20


def test_events_arrive_one_by_one(serve, origin):
    """The next event is made only when the client has seen the last: a buffer anywhere would hang this."""
    seen = threading.Semaphore(0)

    def events(ask: Ask) -> None:
        ask.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(20):
            ask.chunk(f"data: {number}\n\n")
            assert seen.acquire(timeout=5)
        ask.chunk("")

    one = origin(events)
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        talk.request("GET", "/events", "Accept: text/event-stream")
        assert talk.head().get("content-type") == "text/event-stream"
        for number in range(20):
            assert talk.chunk() == f"data: {number}\n\n".encode()
            seen.release()
        assert talk.chunk() == b""


def test_an_answer_until_close_arrives_piece_by_piece(serve, origin):
    seen = threading.Semaphore(0)

    def pieces(ask: Ask) -> None:
        ask.send("HTTP/1.1 200 OK\r\n\r\n")
        for number in range(5):
            ask.send(f"piece {number}\n")
            assert seen.acquire(timeout=5)
        ask.close()

    one = origin(pieces)
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        talk.request("GET").head()
        for number in range(5):
            assert talk.chunk() == f"piece {number}\n".encode()
            seen.release()
        assert talk.chunk() == b""


def test_an_upload_arrives_chunk_by_chunk(serve, origin):
    got = threading.Semaphore(0)

    def take(ask: Ask) -> None:
        while ask.read_piece():
            got.release()
        ask.answer(200, "thanks")

    one = origin(take)
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        talk.request("POST", "/", "Transfer-Encoding: chunked")
        for number in range(10):
            data = f"piece {number}"
            talk.send(f"{len(data):x}\r\n{data}\r\n")
            assert got.acquire(timeout=5), "the chunk did not arrive while the upload was open"
        talk.send("0\r\n\r\n")
        assert talk.response().body == b"thanks"


def test_both_directions_at_once(serve, origin):
    """A backend that answers while it is still being asked, as an echo."""

    def echo(ask: Ask) -> None:
        ask.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while piece := ask.read_piece():
            ask.chunk(piece.upper())
        ask.chunk("")

    one = origin(echo)
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        talk.request("POST", "/", "Transfer-Encoding: chunked").send("1\r\n0\r\n")
        talk.head()
        assert talk.chunk() == b"0"
        for text in ("one", "two", "three"):
            talk.send(f"{len(text):x}\r\n{text}\r\n")
            assert talk.chunk() == text.upper().encode()
        talk.send("0\r\n\r\n")
        assert talk.chunk() == b""


def test_a_backend_that_does_not_read_holds_up_the_client(serve, origin):
    """Back-pressure: what a client can send into a standstill is bounded by the sockets' buffers and ours."""
    read_on = threading.Event()

    def slow(ask: Ask) -> None:
        assert read_on.wait(20)
        ask.answer(200, str(len(ask.read_body())))

    one = origin(slow)
    balancer = serve(site([one.address]))
    size = 64 * MIB
    sent = 0
    before = balancer.memory()
    with balancer.talk() as talk:
        talk.request("POST", "/", f"Content-Length: {size}")
        talk.socket.settimeout(1.0)
        block = bytes(MIB)
        with contextlib.suppress(TimeoutError):
            while sent < size:
                sent += talk.socket.send(block[: size - sent])
        assert sent < 32 * MIB
        assert balancer.memory() - before < 2 * MIB
        talk.socket.settimeout(10)
        read_on.set()
        while sent < size:
            sent += talk.socket.send(block[: size - sent])
        assert talk.response().body == str(size).encode()


def test_a_client_that_does_not_read_holds_up_the_backend(serve, origin):
    size = 64 * MIB
    sent = 0

    def flood(ask: Ask) -> None:
        nonlocal sent
        ask.send(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n")
        block = bytes(MIB)
        while sent < size:
            sent += ask.line.socket.send(block[: size - sent])

    one = origin(flood)
    balancer = serve(site([one.address]))
    before = balancer.memory()
    with balancer.talk(receive_buffer=65536) as talk:
        talk.request("GET").head()
        stood = -1

        def stands() -> bool:
            nonlocal stood
            last, stood = stood, sent
            return sent > 0 and last == sent

        until("the backend stands still", stands)
        holds("it stands still far from the end", lambda: sent < 48 * MIB, seconds=0.5)
        assert balancer.memory() - before < 2 * MIB
        assert len(talk.exactly(size)) == size


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_body_is_exact_both_ways(serve, origin, chunked):
    size = 64 * MIB
    sums = {}

    def script(ask: Ask) -> None:
        digest = hashlib.sha256()
        while piece := ask.read_piece():
            digest.update(piece)
        sums["request"] = digest.hexdigest()
        ask.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" if chunked
                 else f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n")  # fmt: skip
        dice = random.Random(2)
        data = dice.randbytes(size)
        sums["answer"] = hashlib.sha256(data).hexdigest()
        sizes = iter(lambda: dice.choice([1, 5, 1000, 65_536, 300_000]), None)
        at = 0
        while at < size:
            piece = data[at : at + next(sizes)]
            at += len(piece)
            ask.chunk(piece) if chunked else ask.send(piece)
        if chunked:
            ask.chunk("")

    one = origin(script)
    balancer = serve(site([one.address]))
    data = random.Random(1).randbytes(size)
    with balancer.talk(seconds=30) as talk:
        if chunked:
            talk.request("PUT", "/big", "Transfer-Encoding: chunked")
            for at in range(0, size, 100_003):
                piece = data[at : at + 100_003]
                talk.send(f"{len(piece):x};ext=1\r\n".encode() + piece + b"\r\n")
            talk.send("0\r\n\r\n")
        else:
            talk.request("PUT", "/big", f"Content-Length: {size}").send(data)
        answer = talk.response()
    assert sums["request"] == hashlib.sha256(data).hexdigest()
    assert sums["answer"] == hashlib.sha256(answer.body).hexdigest()


@pytest.mark.parametrize("how", ["length", "chunked", "reset"])
def test_a_backend_that_dies_in_mid_body_is_never_a_clean_end(serve, origin, how):
    def dies(ask: Ask) -> None:
        framing = "Content-Length: 100" if how == "length" else "Transfer-Encoding: chunked"
        ask.send(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n")
        ask.send("some") if how == "length" else ask.chunk("some")
        assert go.acquire(timeout=5)
        ask.reset() if how == "reset" else ask.close()

    go = threading.Semaphore(0)
    one = origin(dies)
    balancer = serve(site([one.address]))
    for version in ("HTTP/1.1", "HTTP/1.0"):
        with balancer.talk() as talk:
            talk.send(f"GET / {version}\r\nHost: a\r\n\r\n")
            head = talk.head()
            assert (talk.chunk() if head.get("transfer-encoding") else talk.exactly(4)) == b"some"
            go.release()
            if head.get("content-length") is None and head.get("transfer-encoding") is None:
                # Without framing, only a reset tells the client that something is missing.
                with pytest.raises(Cut, match="reset"):
                    talk.rest()
            else:
                with contextlib.suppress(Cut):
                    assert talk.rest() == b""
    (first, *_) = balancer.access_log(2)
    assert first["reason"] == "incomplete-body"


def test_a_reset_is_no_clean_end_when_the_upload_hits_it_first(serve, origin):
    """The kernel tells of a reset once. If the write of a stuck upload gets to hear it, the read sees a mere
    end, and an answer without a length would pass for whole."""
    go = threading.Event()

    def half(ask: Ask) -> None:
        ask.send("HTTP/1.1 200 OK\r\n\r\nhalf")
        assert go.wait(10)
        ask.reset()

    one = origin(half)
    balancer = serve(site([one.address]))
    size = 64 * MIB
    with balancer.talk() as talk:
        talk.request("POST", "/", f"Content-Length: {size}")
        talk.head()
        assert talk.chunk() == b"half"
        talk.socket.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            while True:
                talk.socket.send(bytes(MIB))
        talk.socket.settimeout(10)
        go.set()
        with pytest.raises(Cut):
            talk.chunk()
