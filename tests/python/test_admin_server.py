"""HTTP on the admin socket: the command's client against it, and clients that misbehave."""

import json
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trio
from pylb.admin import server
from pylb.admin.claim import claim
from pylb.admin.client import Client, client
from pylb.admin.routes import description, routes
from pylb.config import ConfigInvalid
from pylb.config.outcome import Outcome, Refused
from pylb.errors import AdminUnreachable, Mistake, Place, PylbError, UnknownBackend

pytestmark = pytest.mark.trio

REFUSED = Refused(
    (Mistake(Place("pylb.yaml", 3, 5), ("pools", "web"), "no such pool", "did you mean webs?"),),
    "pylb.yaml is not valid (1 mistake); nothing was changed",
    ConfigInvalid.exit_code,
)


@dataclass
class Running:
    """Stands in for a load balancer with one backend."""

    outcome: Outcome = REFUSED
    status_fails: bool = False
    may_reload: trio.Event = field(default_factory=trio.Event)
    backend: dict[str, Any] = field(
        default_factory=lambda: {"name": "unix:/a b", "draining": False, "weight": 2}
    )

    def status(self) -> dict[str, Any]:
        if self.status_fails:
            raise RuntimeError("a fault of ours")
        return {"generation": 3, "pools": {"web": {"backends": [self.backend]}}}

    async def reload(self) -> Outcome:
        await self.may_reload.wait()
        return self.outcome

    async def set_draining(self, pool: str, backend: str, draining: bool) -> None:
        self._look_up(pool, backend)
        self.backend["draining"] = draining

    async def set_weight(self, pool: str, backend: str, weight: int | None) -> None:
        self._look_up(pool, backend)
        if weight == 0:
            raise PylbError("a backend of weight 0 gets nothing")
        self.backend["weight"] = weight or 2

    def _look_up(self, pool: str, backend: str) -> None:
        if pool != "web":
            raise UnknownBackend("pool", pool, ["web"])
        if backend != self.backend["name"]:
            raise UnknownBackend("backend in web", backend, [self.backend["name"]])


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pylb") as folder:
        yield Path(folder, "admin.sock")


@asynccontextmanager
async def serving(place: Path, running: Running, token: str | None = None) -> AsyncIterator[None]:
    got = claim(place)
    admits = (lambda: token) if token is not None else None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.Server(routes(running, running.reload), admits).serve, got.socket)
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


async def asked(place: Path, question: Callable[[Client], Any]) -> Any:
    """What the commands' client gets."""
    return await trio.to_thread.run_sync(lambda: question(client(f"unix:{place}", environ={})))


async def test_status(place: Path) -> None:
    async with serving(place, Running()):
        answer = await asked(place, Client.status)
    assert answer == Running().status()


async def test_reload_waits_and_brings_every_mistake(place: Path) -> None:
    running = Running()
    answers: list[dict[str, Any]] = []

    async def reload() -> None:
        answers.append(await asked(place, Client.reload))

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
            await asked(place, Client.status)
        running.status_fails = False
        assert (await asked(place, Client.status))["generation"] == 3
    assert "a fault of ours" in caplog.text


@pytest.mark.parametrize(
    ("request_", "status", "error"),
    [
        (b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 404", "there is no /nothing here"),
        (b"GET /v1/reload HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 405", "/v1/reload answers POST, not GET"),
        (b"GET /v1/status\x00 HTTP/1.1\r\n\r\n", b"HTTP/1.1 400", "illegal request line"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nx: " + b"y" * 20000, b"HTTP/1.1 431", "Receive buffer too long"),
    ],
)
async def test_what_it_does_not_answer(place: Path, request_: bytes, status: bytes, error: str) -> None:
    async with serving(place, Running()):
        line, answer = await said(place, request_)
    assert line == status
    assert answer["error"].startswith(error)


async def test_a_client_that_waits_for_100_and_a_query(place: Path) -> None:
    request = b"GET /v1/status?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"
    async with serving(place, Running()), await trio.open_unix_socket(place) as stream:
        await stream.send_all(request)
        assert b"100" in bytes(await stream.receive_some())
        await stream.send_all(b"x")
        assert b"200" in bytes(await stream.receive_some())


async def test_silent_clients_make_room(place: Path) -> None:
    request = b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"
    async with serving(place, Running(), token="let me in"):
        silent = [await trio.open_unix_socket(str(place)) for _ in range(server.AT_ONCE + 1)]
        with trio.fail_after(5):
            assert (await said(place, request))[0].startswith(b"HTTP/1.1 401")
            assert await silent[0].receive_some() == b""
            await silent[-1].send_all(request)
            assert (await silent[-1].receive_some()).startswith(b"HTTP/1.1 401")


async def test_a_client_that_says_nothing_is_let_go(autojump_clock: Any) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    with trio.fail_after(2 * server.PATIENCE):
        await server.Server({}).converse(ours)
    assert await theirs.receive_some() == b""


async def test_nobody_there(place: Path) -> None:
    with pytest.raises(AdminUnreachable, match="no pylb answers at unix:"):
        await asked(place, Client.status)


NAME = "unix:/a b"


async def test_what_an_operator_says(place: Path) -> None:
    async with serving(place, Running()):
        assert (await asked(place, lambda pylb: pylb.drain("web", NAME)))["draining"] is True
        assert (await asked(place, lambda pylb: pylb.backend("web", NAME)))["draining"] is True
        assert (await asked(place, lambda pylb: pylb.undrain("web", NAME)))["draining"] is False
        assert (await asked(place, lambda pylb: pylb.weigh("web", NAME, 7)))["weight"] == 7
        assert (await asked(place, lambda pylb: pylb.weigh("web", NAME, None)))["weight"] == 2


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        (lambda pylb: pylb.drain("wbe", NAME), 'there is no pool called "wbe"; did you mean web?'),
        (lambda pylb: pylb.backend("wbe", NAME), 'there is no pool called "wbe"; did you mean web?'),
        (
            lambda pylb: pylb.undrain("web", "unix:/a"),
            f'no backend in web called "unix:/a"; did you mean {NAME}?',
        ),
        (lambda pylb: pylb.weigh("web", "x", 3), f'no backend in web called "x"; there is {NAME}'),
        (lambda pylb: pylb.weigh("web", NAME, 0), "a backend of weight 0 gets nothing"),
    ],
)
async def test_what_an_operator_gets_wrong(place: Path, question: Any, reason: str) -> None:
    async with serving(place, Running()):
        with pytest.raises(PylbError) as refused:
            await asked(place, question)
    assert reason in str(refused.value)


PUT = b"PUT /v1/pools/web/backends/unix:%%2Fa%%20b/weight HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s"


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"", b"HTTP/1.1 400", "say the weight as a whole number"),
        (b'{"weight": true}', b"HTTP/1.1 400", "say the weight as a whole number"),
        (b'{"weight": "3"}', b"HTTP/1.1 400", "say the weight as a whole number"),
        (b"[3]", b"HTTP/1.1 400", "the body must be a JSON object"),
        (b"{", b"HTTP/1.1 400", "the body is not JSON"),
        (b"\xff\xfe{", b"HTTP/1.1 400", "the body is not JSON"),
        (b'{"weight": 0}', b"HTTP/1.1 409", "a backend of weight 0 gets nothing"),
        (b" " * 70000, b"HTTP/1.1 413", "the body is too large"),
    ],
)
async def test_bodies_that_make_no_sense(place: Path, body: bytes, status: bytes, error: str) -> None:
    running = Running()
    async with serving(place, running):
        line, answer = await said(place, PUT % (len(body), body))
    assert line == status
    assert answer["error"].startswith(error)
    assert running.backend["weight"] == 2


TOKEN = "correct-horse-battery"


@pytest.mark.parametrize(
    "shown",
    [
        "",
        "Authorization: Bearer wrong",
        f"Authorization: Basic {TOKEN}",
        "Authorization: Bearer",
        f"X: {TOKEN}",
    ],
)
@pytest.mark.parametrize("target", ["GET /v1/status", "GET /openapi.json", "GET /nothing", "POST /v1/reload"])
async def test_nothing_is_told_without_the_token(place: Path, shown: str, target: str) -> None:
    request = f"{target} HTTP/1.1\r\nHost: a\r\n{shown}{shown and chr(13) + chr(10)}\r\n".encode()
    async with serving(place, Running(), TOKEN):
        line, answer = await said(place, request)
    assert line == b"HTTP/1.1 401"
    assert answer == {"error": "show the admin token: Authorization: Bearer TOKEN"}


async def test_whoever_shows_the_token_is_answered(place: Path) -> None:
    async with serving(place, Running(), TOKEN):
        right = client(f"unix:{place}", environ={"PYLB_ADMIN_TOKEN": TOKEN})
        assert (await trio.to_thread.run_sync(right.status))["generation"] == 3
        wrong = client(f"unix:{place}", environ={"PYLB_ADMIN_TOKEN": f"{TOKEN}x"})
        with pytest.raises(AdminUnreachable, match="wants its token: set PYLB_ADMIN_TOKEN"):
            await trio.to_thread.run_sync(wrong.status)


async def test_the_description_names_every_route_and_no_other(place: Path) -> None:
    async with serving(place, Running()):
        line, found = await said(place, b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n")
    assert line == b"HTTP/1.1 200"
    assert found == description()
    described = {
        (method.upper(), path)
        for path, item in found["paths"].items()
        for method in item
        if method != "parameters"
    }
    running = Running()
    assert described == set(routes(running, running.reload))
