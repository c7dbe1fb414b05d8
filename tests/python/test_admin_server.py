"""HTTP on the admin socket: the command's client against it, and clients that misbehave."""

import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from pylb.admin import client, server
from pylb.admin.claim import claim
from pylb.admin.routes import routes
from pylb.config import ConfigInvalid
from pylb.config.outcome import Outcome, Refused
from pylb.errors import AdminUnreachable, Mistake, Place, PylbError

pytestmark = pytest.mark.trio

REFUSED = Refused(
    (Mistake(Place("pylb.yaml", 3, 5), ("pools", "web"), "no such pool", "did you mean webs?"),),
    "pylb.yaml is not valid (1 mistake); nothing was changed",
    ConfigInvalid.exit_code,
)


@dataclass
class Running:
    """Stands in for a load balancer."""

    outcome: Outcome = REFUSED
    status_fails: bool = False
    may_reload: trio.Event = field(default_factory=trio.Event)

    def status(self) -> dict[str, Any]:
        if self.status_fails:
            raise RuntimeError("a fault of ours")
        return {"generation": 3, "pools": {}}

    async def reload(self) -> Outcome:
        await self.may_reload.wait()
        return self.outcome


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pylb") as folder:
        yield Path(folder, "admin.sock")


@asynccontextmanager
async def serving(place: Path, running: Running) -> AsyncIterator[None]:
    got = claim(place)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve, got.socket, routes(running.status, running.reload))
        yield
        nursery.cancel_scope.cancel()
    got.release()


async def said(place: Path, request: bytes) -> tuple[bytes, Any]:
    """Status line and JSON of the answer to raw bytes."""
    async with await trio.open_unix_socket(place) as stream:
        await stream.send_all(request)
        answer = b""
        with trio.fail_after(5):
            while received := await stream.receive_some():
                answer += received
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.partition(b"\r\n")[0].rstrip(), json.loads(body)


async def test_status(place: Path) -> None:
    async with serving(place, Running()):
        answer = await trio.to_thread.run_sync(client.status, f"unix:{place}")
    assert answer == {"generation": 3, "pools": {}}


async def test_reload_waits_and_brings_every_mistake(place: Path) -> None:
    running = Running()
    answers: list[dict[str, Any]] = []

    async def reload() -> None:
        answers.append(await trio.to_thread.run_sync(client.reload, str(place)))

    async with serving(place, running), trio.open_nursery() as nursery:
        nursery.start_soon(reload)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert not answers
        running.may_reload.set()
    (answer,) = answers
    assert (answer["ok"], answer["exit_code"]) == (False, 3)
    assert answer["text"].splitlines() == [
        "pylb.yaml is not valid (1 mistake); nothing was changed",
        "pylb.yaml:3:5: no such pool; did you mean webs?",
    ]
    assert answer["mistakes"] == [
        {
            "file": "pylb.yaml",
            "line": 3,
            "column": 5,
            "path": ["pools", "web"],
            "message": "no such pool",
            "hint": "did you mean webs?",
        }
    ]


async def test_a_fault_of_ours_is_a_500_and_the_next_is_served(place: Path, caplog: Any) -> None:
    running = Running(status_fails=True)
    async with serving(place, running):
        with pytest.raises(PylbError, match="its log says why"):
            await trio.to_thread.run_sync(client.status, str(place))
        running.status_fails = False
        assert (await trio.to_thread.run_sync(client.status, str(place)))["generation"] == 3
    assert "a fault of ours" in caplog.text


@pytest.mark.parametrize(
    ("request_", "status", "error"),
    [
        (b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 404", "there is no /nothing here"),
        (b"GET /reload HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 405", "/reload answers POST, not GET"),
        (b"GET /status\x00 HTTP/1.1\r\n\r\n", b"HTTP/1.1 400", "illegal request line"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nx: " + b"y" * 20000, b"HTTP/1.1 400", "Receive buffer too long"),
    ],
)
async def test_what_it_does_not_answer(place: Path, request_: bytes, status: bytes, error: str) -> None:
    async with serving(place, Running()):
        line, answer = await said(place, request_)
    assert line == status
    assert answer["error"].startswith(error)


async def test_a_client_that_waits_for_100_and_a_query(place: Path) -> None:
    request = b"GET /status?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"
    async with serving(place, Running()), await trio.open_unix_socket(place) as stream:
        await stream.send_all(request)
        assert b"100" in bytes(await stream.receive_some())
        await stream.send_all(b"x")
        assert b"200" in bytes(await stream.receive_some())


async def test_a_client_that_says_nothing_is_let_go(autojump_clock: Any) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    with trio.fail_after(2 * server.PATIENCE):
        await server.converse(ours, {})
    assert await theirs.receive_some() == b""


async def test_nobody_there(place: Path) -> None:
    ask = partial(client.status, f"unix:{place}")
    with pytest.raises(AdminUnreachable, match="no pylb answers at unix:"):
        await trio.to_thread.run_sync(ask)
