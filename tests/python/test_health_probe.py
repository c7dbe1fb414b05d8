"""One question, asked of real sockets that answer in every way a backend can."""

import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from pylb.health.probe import Answer, Question, Request, Unasked, ask

pytestmark = pytest.mark.trio

Talk = Callable[[trio.SocketStream], Awaitable[None]]
HEALTHZ = Request("/healthz", "app.example:9001", (), 200, 399)


@asynccontextmanager
async def backend(talk: Talk, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """A listener that treats each connection with `talk`; yields its address."""
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, talk, 0, host=host))
        port = listener.socket.getsockname()[1]
        yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        nursery.cancel_scope.cancel()


def saying(answer: bytes, heard: list[bytes] | None = None) -> Talk:
    """Reads a head, answers, hangs up."""

    async def talk(stream: trio.SocketStream) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += await stream.receive_some()
        if heard is not None:
            heard.append(head)
        await stream.send_all(answer)

    return talk


async def answer_to(answer: bytes, request: Request = HEALTHZ) -> Answer:
    async with backend(saying(answer)) as address:
        return await ask(Question(address, request, 5))


async def test_a_good_status() -> None:
    heard: list[bytes] = []
    async with backend(saying(b"HTTP/1.1 204 No Content\r\n\r\n", heard)) as address:
        answer = await ask(Question(address, HEALTHZ, 5))
    assert (answer.good, answer.status, answer.why) == (True, 204, None)
    assert answer.latency is not None
    assert 0 < answer.latency < 5
    assert heard[0].startswith(b"GET /healthz HTTP/1.1\r\nhost: app.example:9001\r\n")
    assert b"connection: close\r\n" in heard[0].lower()


async def test_headers_of_the_user_replace_ours() -> None:
    heard: list[bytes] = []
    headers = (("user-agent", "me"), ("x-name", "Zoë"))
    async with backend(saying(b"HTTP/1.1 200 OK\r\n\r\n", heard)) as address:
        await ask(Question(address, Request("/", "a", headers, 200, 200), 5))
    assert heard[0].lower().count(b"user-agent:") == 1
    assert "x-name: Zoë\r\n".encode() in heard[0]


async def test_headers_that_make_no_request_are_said_so() -> None:
    answer = await answer_to(b"", Request("/", "a", (("content-length", "5"),), 200, 200))
    assert answer.why is not None
    assert "make no request" in answer.why


async def test_interim_answers_are_skipped() -> None:
    assert (await answer_to(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")).status == 200


async def test_an_unexpected_status_quotes_the_body() -> None:
    answer = await answer_to(
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 26\r\n\r\ndatabase\r\nis \x1b[31maway\x00...."
    )
    assert not answer.good
    assert answer.status == 503
    assert answer.why is not None
    assert answer.why.startswith('expected 200-399, it says "database is ?[31maway?')


@pytest.mark.parametrize("status", [400, 421])
async def test_a_refused_host_suggests_the_key(status: int) -> None:
    answer = await answer_to(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())
    assert answer.why is not None
    assert 'it may refuse the Host "app.example:9001": set `host:`' in answer.why


async def test_one_status_may_be_expected() -> None:
    answer = await answer_to(b"HTTP/1.1 200 OK\r\n\r\n", Request("/", "a", (), 204, 204))
    assert answer.why == "expected 204"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "closed the connection without an answer"),
        (b"HTTP/1.1 200", "closed the connection without an answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "does not speak HTTP/1: "),
    ],
)
async def test_what_is_no_answer(said: bytes, why: str) -> None:
    answer = await answer_to(said)
    assert not answer.good
    assert answer.why is not None
    assert answer.why.startswith(why)


async def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        answer = await ask(Question(f"127.0.0.1:{free.getsockname()[1]}", None, 5))
    assert answer == Answer(False, "connection refused")


async def test_silence_is_a_failure_after_the_timeout() -> None:
    async def silent(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with backend(silent) as address:
        answer = await ask(Question(address, HEALTHZ, 0.05))
    assert answer == Answer(False, "no answer within 0.05 s")


async def test_a_body_without_end_changes_nothing() -> None:
    async def endless(stream: trio.SocketStream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.suppress(trio.BrokenResourceError):
            while True:
                await stream.send_all(b"x" * 65536)

    async with backend(endless) as address:
        assert (await ask(Question(address, HEALTHZ, 5))).good


async def test_a_connection_is_enough_without_a_request() -> None:
    async def nothing(stream: trio.SocketStream) -> None:
        await stream.receive_some()

    async with backend(nothing) as address:
        assert (await ask(Question(address, None, 5))).good


async def test_ipv6() -> None:
    async with backend(saying(b"HTTP/1.1 200 OK\r\n\r\n"), "::1") as address:
        assert (await ask(Question(address, HEALTHZ, 5))).good


async def test_unix_sockets(tmp_path: Path) -> None:
    place = tmp_path / "app.sock"
    listening = trio.socket.socket(socket.AF_UNIX)
    await listening.bind(str(place))
    listening.listen()
    listener = trio.SocketListener(listening)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, saying(b"HTTP/1.1 200 OK\r\n\r\n"), [listener])
        assert (await ask(Question(f"unix:{place}", HEALTHZ, 5))).good
        nursery.cancel_scope.cancel()
    place.unlink()
    assert (await ask(Question(f"unix:{place}", HEALTHZ, 5))).why == "no such file or directory"


async def test_a_timeout_that_nobody_observed_is_our_own_fault() -> None:
    """The loop was blocked when it passed, so nothing is concluded."""

    async def blocking(stream: trio.SocketStream) -> None:
        time.sleep(0.3)
        await trio.sleep_forever()

    async with backend(blocking) as address:
        with pytest.raises(Unasked, match="control loop was busy"):
            await ask(Question(address, HEALTHZ, 0.05))


async def test_descriptors_that_are_used_up_are_our_own_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(trio.socket, "socket", none_left)
    with pytest.raises(Unasked, match="Too many open files"):
        await ask(Question("127.0.0.1:1", None, 5))
