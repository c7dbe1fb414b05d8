"""The cases of tests/wire, and how one is played through a running pylb.

A case is played on a client connection of its own. Behind it goes a *sentinel*, an honest request whose
answer and whose line in the access log mark the end of the case: pylb has one worker here, so whatever the
case caused has happened by then. What came of it is judged later, by the tests.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .balancer import Balancer, tcp
from .patience import until
from .recorder import FINE, Answer, Message, Recorder
from .talk import Cut, Talk

SWITCH = 101

TABLES = Path(__file__).parents[1] / "wire"

LISTENERS: dict[str, dict[str, Any]] = {
    "default": {},
    "lenient": {"lenient": True},
    "encoded_slash_reject": {"encoded_slash": "reject"},
    "path_raw": {"path": "raw"},
    "trusted": {"trusted_proxies": ["127.0.0.0/8"]},
}


@dataclass(frozen=True)
class Case:
    """One row of a table."""

    file: str
    row: Mapping[str, Any]

    @property
    def listener(self) -> str:
        return str(self.row.get("listener", "default"))

    def __str__(self) -> str:
        return f"{self.file}: {self.row['name']}"


def cases(kind: str) -> list[Case]:
    """All rows of one kind."""
    tables = [(path, json.loads(path.read_text())) for path in sorted(TABLES.glob("*.json"))]
    return [Case(path.stem, row) for path, table in tables if table["kind"] == kind for row in table["cases"]]


def to_bytes(pieces: Any) -> bytes:
    """What a table means by `send` and `origin`."""
    if isinstance(pieces, str):
        return pieces.encode("latin-1")
    if isinstance(pieces, dict):
        return to_bytes(pieces["repeat"]) * int(pieces["times"])
    return b"".join(map(to_bytes, pieces))


@dataclass
class Heard:
    """An answer as a client can tell it: its head's lines, and how its body ended."""

    status: int
    lines: list[bytes]
    body: bytes = b""
    trailers: list[bytes] = field(default_factory=list)
    interim: list[int] = field(default_factory=list)
    end: str = "clean"
    closes: bool = False
    """The end of the connection was the end of the body."""

    def values(self, name: bytes) -> list[bytes]:
        """What fields of this lower-case name say."""
        split = (line.partition(b":") for line in self.lines[1:])
        return [value.strip() for key, _, value in split if key.lower() == name]


@dataclass
class Played:
    """What came of a case."""

    answers: list[Heard] = field(default_factory=list)
    closed: bool | None = None
    """Whether the connection had ended behind the last answer; None if it was not waited for."""
    second: Heard | None = None
    """The answer to a further request on the same connection."""
    got: dict[str, list[Message]] = field(default_factory=dict)
    """What backends got, by pool, without sentinels."""
    connection: int = 0
    """The backend's connection on which the sentinel came."""
    log: list[dict[str, Any]] = field(default_factory=list)


class Stage:
    """A pylb with a listener of every kind and two recorders behind it."""

    def __init__(self, folder: Path) -> None:
        self.script: Answer | None = None
        self._stack = ExitStack()
        self._count = 0
        self.pools = {name: self._stack.enter_context(Recorder(self._answer)) for name in ("main", "admin")}
        routes = [{"match": {"path": "/admin/"}, "pool": "admin"}, {"pool": "main"}]
        config = {
            "listeners": {name: {"bind": tcp(), "routes": routes, **how} for name, how in LISTENERS.items()},
            # What backends do to connections here says nothing about how long they keep idle ones.
            "pools": {
                name: {"backends": [pool.address], "timeouts": {"keepalive": "60s"}}
                for name, pool in self.pools.items()
            },
            "workers": 1,
        }
        self.balancer = Balancer(folder, config).wait_until_ready()
        self._stack.callback(self.balancer.end)

    def close(self) -> None:
        """Ends everything."""
        self._stack.close()

    def _answer(self, message: Message) -> Answer:
        return FINE if self.script is None or message.line.startswith(b"GET /sentinel") else self.script

    # ---- requests

    def request(self, case: Case) -> Played:
        """A client's bytes, and what becomes of them."""
        wanted = case.row["expect"]
        outcomes = wanted if isinstance(wanted, list) else [wanted]
        played = Played()
        with self.balancer.talk(case.listener) as talk:
            talk.send(to_bytes(case.row["send"]))
            for outcome in outcomes:
                method = outcome.get("upstream", {}).get("line", "GET").split(" ")[0]
                played.answers.append(hear(talk, method))
            last = outcomes[-1]
            if "status" in last or last["upstream"].get("keep_alive") is False:
                played.closed = _has_closed(talk)
            else:
                played.second = self._again(talk)
        return self._finish(played)

    # ---- responses

    def response(self, case: Case) -> Played:
        """A backend's bytes, and what a client sees of them."""
        request = to_bytes(case.row.get("request", "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"))
        self.script = Answer(to_bytes(case.row["origin"]), at_head=True, close=case.row.get("close", False))
        played = Played()
        with self.balancer.talk(case.listener) as talk:
            talk.send(request)
            heard = hear(talk, request.partition(b" ")[0].decode())
            played.answers.append(heard)
            self.script = None
            keeps = b"close" not in heard.values(b"connection") and heard.lines[0].startswith(b"HTTP/1.1")
            if heard.end == "clean" and not heard.closes and keeps and b" HTTP/1.1\r\n" in request:
                played.second = self._again(talk)
        return self._finish(played)

    # ---- both

    def _again(self, talk: Talk) -> Heard:
        talk.send("GET /sentinel-again HTTP/1.1\r\nHost: sentinel\r\n\r\n")
        return hear(talk, "GET")

    def _finish(self, played: Played) -> Played:
        self._count += 1
        with self.balancer.talk("default") as talk:
            assert talk.get(f"/sentinel-{self._count}").body == b"fine"
        for name, pool in self.pools.items():
            messages = pool.take()
            sentinels = [one for one in messages if one.line.startswith(b"GET /sentinel")]
            played.got[name] = [one for one in messages if one not in sentinels]
            if name == "main":
                played.connection = sentinels[0].connection
        return played

    def read_log(self, all_played: list[Played]) -> None:
        """Gives each case, in the order played, the lines of the access log that belong to it."""
        last = f'"path":"/sentinel-{self._count}"'
        until("the access log is complete", lambda: last in self.balancer.stdout)
        groups = self._groups()
        for played in all_played:
            played.log = next(groups)

    def _groups(self) -> Iterator[list[dict[str, Any]]]:
        group: list[dict[str, Any]] = []
        for line in map(json.loads, self.balancer.stdout.splitlines()):
            if not (line["path"] or "").startswith("/sentinel-"):
                group.append(line)
            elif line["path"] != "/sentinel-again":
                yield group
                group = []


def hear(talk: Talk, method: str) -> Heard:
    """The next answer, whatever its end."""
    interim = []
    try:
        while 100 <= (heard := _head(talk)).status < 200 and heard.status != SWITCH:
            interim.append(heard.status)
    except Cut as cut:
        return Heard(0, [cut.got], end="cut")
    heard.interim = interim
    try:
        _hear_body(talk, heard, method)
    except Cut:
        heard.end = "cut"
    return heard


def _head(talk: Talk) -> Heard:
    lines = talk.until(b"\r\n\r\n")[:-4].split(b"\r\n")
    version, status, _ = lines[0].split(b" ", 2)
    assert version in (b"HTTP/1.1", b"HTTP/1.0"), lines[0]
    assert len(status) == 3, lines[0]
    return Heard(int(status), lines)


def _hear_body(talk: Talk, heard: Heard, method: str) -> None:
    codings, lengths = heard.values(b"transfer-encoding"), heard.values(b"content-length")
    assert codings in ([], [b"chunked"]), heard
    assert len(lengths) + len(codings) <= 1, heard
    if heard.status == SWITCH:
        heard.body, heard.end = talk.rest(), "switched"
        return
    if method == "HEAD" or heard.status in (204, 304):
        return
    if codings:
        while data := talk.chunk():
            heard.body += data
        while line := talk.until(b"\r\n")[:-2]:
            heard.trailers.append(line)
    elif lengths:
        while len(heard.body) < int(lengths[0]):
            heard.body += talk.exactly(1)
    else:
        heard.body, heard.closes = talk.rest(), True


def _has_closed(talk: Talk) -> bool:
    """Whether the connection ends cleanly, and without another byte."""
    try:
        return talk.closed()
    except (Cut, TimeoutError):
        return False
