"""Every matcher and every action, in one file, and what becomes of a hundred requests.

The table (`layer7/requests.json`) is asked three ways: over sockets, by `pylb explain --json`, and by the
decision itself, in process. All three have to say what the table says, and so the same.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from click.testing import CliRunner
from pylb.cli import main
from pylb.config import File, verdict
from pylb.core import Core

from .balancer import Balancer, pylb, tcp
from .origin import Ask, Origin
from .talk import Response, Talk

FOLDER = Path(__file__).parent / "layer7"
FILE = FOLDER / "pylb.yaml"
LISTENER = "web"
CLIENT = "127.0.0.1"


@dataclass(frozen=True, eq=False)
class Row:
    """A request, and what has to become of it."""

    at: int
    said: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.at} {self.method} {self.said['url']}"

    @property
    def method(self) -> str:
        return str(self.said["method"])

    @property
    def host(self) -> str:
        return urlsplit(self.said["url"]).netloc

    @property
    def target(self) -> str:
        return str(self.said["url"]).removeprefix(f"http://{self.host}")

    @property
    def headers(self) -> list[tuple[str, str]]:
        """All but Host."""
        return [(name, value) for name, value in self.said.get("headers", [])]

    @property
    def client(self) -> str:
        return str(self.said.get("client", CLIENT))

    @property
    def route(self) -> str | None:
        """The name of the route; None if there is none for it."""
        return self.said["route"]

    @property
    def pools(self) -> list[str]:
        """The pools that may get it; empty for answers of pylb's own."""
        return self.said.get("pools") or ([self.said["pool"]] if "pool" in self.said else [])

    @property
    def status(self) -> int:
        return int(self.said.get("status", 200))


ROWS = [Row(at, row) for at, row in enumerate(json.loads((FOLDER / "requests.json").read_text()))]


@dataclass
class Told:
    """What one of the three ways says."""

    route: str | None
    pool: str | None
    status: int | None
    """Of an answer of pylb itself."""
    location: str | None = None
    body: str | None = None
    sent: str | None = None
    """The target that the backend gets."""


def check(told: Told, row: Row) -> None:
    """Holds one way against the table."""
    assert told.route == row.route
    if not row.pools:
        assert told.pool is None
        assert told.status == row.status
        assert told.location == row.said.get("location")
        if "body" in row.said:
            assert told.body == row.said["body"]
    else:
        assert told.pool in row.pools
        if "upstream" in row.said:
            assert told.sent == row.said["upstream"]


# ---- by explanation


def explained(trace: Mapping[str, Any]) -> Told:
    """What `pylb explain --json` says, in the terms of all three."""
    answer = trace["answer"] or {}
    return Told(
        trace["route"] and trace["route"]["name"],
        trace["pool"],
        answer.get("status"),
        answer.get("location"),
        answer.get("body"),
        trace["target"],
    )


@lru_cache
def by_command(row: Row) -> Told:
    """`pylb explain --json`."""
    headers = [part for name, value in row.headers for part in ("-H", f"{name}: {value}")]
    command = ["explain", str(FILE), row.method, row.said["url"], "--client", row.client, "--json", *headers]
    ran = CliRunner().invoke(main, command)
    assert ran.exit_code == 0, ran.output
    return explained(json.loads(ran.output))


@lru_cache
def draft() -> bytes:
    """What the core gets of the file."""
    return verdict.draft(File(FILE, {}).load())


@lru_cache
def in_process(row: Row) -> Told:
    """The decision itself."""
    headers = [("host", row.host), *row.headers]
    fields = [(name.encode(), value.encode()) for name, value in headers]
    trace = Core.explain(draft(), LISTENER, row.method, row.target, fields, row.client)
    return explained(json.loads(trace))


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_by_explain(row):
    check(by_command(row), row)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_in_process(row):
    check(in_process(row), row)


def test_explain_as_a_process():
    """The command as users run it says the same as within this process."""
    row = ROWS[0]
    ran = pylb("explain", str(FILE), row.method, row.said["url"], "--json")
    assert ran.returncode == 0, ran.stderr
    assert explained(json.loads(ran.stdout)) == in_process(row)


# ---- over sockets


@dataclass
class Exchange:
    """A row as it was played: both ends of it, and its line in the log."""

    answer: Response
    asked: Ask | None
    line: Mapping[str, Any]

    def told(self) -> Told:
        """In the terms of all three."""
        own = self.asked is None
        return Told(
            self.line["route"],
            self.line["pool"],
            self.answer.status if own else None,
            self.answer.get("location"),
            self.answer.body.decode() if own else None,
            self.asked.target if self.asked else None,
        )


class Stage:
    """pylb with the file, and an origin for each of its pools."""

    def __init__(self, folder: Path) -> None:
        self.seen: set[Ask] = set()
        config = yaml.safe_load(FILE.read_text())
        config["listeners"][LISTENER]["bind"] = tcp()
        self.origins: dict[str, Origin] = {}
        for name, pool in config["pools"].items():
            script = silent if name == "silent" else edited
            self.origins[name] = Origin(script, name=name)
            pool["backends"] = [self.origins[name].address]
        self.balancer = Balancer(folder, config).wait_until_ready()

    def close(self) -> None:
        """Ends everything."""
        self.balancer.end()
        for one in self.origins.values():
            one.stop()

    def play(self, row: Row) -> tuple[Response, Ask | None]:
        """One request: what the client and what a backend got."""
        lines = [f"{name}: {value}" for name, value in row.headers]
        with Talk(self.balancer.address(), source=row.client) as talk:
            talk.request(row.method, row.target, f"Host: {row.host}", *lines)
            answer = talk.response(to=row.method)
        new = {ask for one in self.origins.values() for ask in one.ledger} - self.seen
        assert len(new) <= 1, "one request became several"
        self.seen |= new
        return answer, new.pop() if new else None

    def all(self) -> list[Exchange]:
        """Every row, in order."""
        played = [self.play(row) for row in ROWS]
        lines = {line["id"]: line for line in self.balancer.access_log(len(ROWS))}
        return [Exchange(answer, ask, lines[(ask or answer).get("x-request-id")]) for answer, ask in played]


def edited(ask: Ask) -> None:
    """Answers with its name and fields that a route may change."""
    ask.read_body()
    ask.answer(200, None, "Server: origin", "X-Origin: origin")


def silent(ask: Ask) -> None:
    """Never answers."""
    ask.wait_until_gone()


@pytest.fixture(scope="module")
def played(tmp_path_factory) -> Iterator[list[Exchange]]:
    """All rows, over sockets."""
    stage = Stage(tmp_path_factory.mktemp("pylb"))
    try:
        yield stage.all()
    finally:
        stage.close()


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_over_sockets(played, row):
    exchange = played[row.at]
    check(exchange.told(), row)
    assert exchange.answer.status == row.status
    if row.pools:
        assert exchange.asked is not None
        assert exchange.asked.origin.name in row.pools
        assert_fields(exchange.asked, row.said.get("request", {}))
    assert_fields(exchange.answer, row.said.get("response", {}))


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_all_three_say_the_same(played, row):
    one, two, three = played[row.at].told(), by_command(row), in_process(row)
    if row.said.get("chance"):
        one.pool = two.pool = three.pool = "any"
    if two.body is None:  # a body that explain does not tell of is not part of the decision
        one.body = None
    assert one == two == three


def assert_fields(message: Any, wanted: Mapping[str, Any]) -> None:
    """A value, several, or None for a field that must not be there."""
    for name, values in wanted.items():
        expected = [] if values is None else [values] if isinstance(values, str) else values
        assert message.all(name) == expected, name


def test_the_table_is_complete(played):
    """Every route of the file is some row's, and there are a hundred rows."""
    routes = yaml.safe_load(FILE.read_text())["listeners"][LISTENER]["routes"]
    assert {route["name"] for route in routes} <= {row.route for row in ROWS}
    assert len(ROWS) >= 100
