"""Every row of tests/wire, end to end: real sockets on both sides of a running pylb.

Cargo reads the same tables and asks the parser. Here the question is the one that matters in the end: what
reaches a backend, what reaches the client, and which connections live on. All cases are played first, one
after the other, on one process; then each test judges its own.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from .conversation import Case, Heard, Played, Stage, cases, to_bytes
from .recorder import Message

REQUESTS = cases("requests")
RESPONSES = cases("responses")

Shown = dict[str, Played]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(tmp_path_factory.mktemp("wire"))
    yield stage
    stage.close()


@pytest.fixture(scope="module")
def shown(stage: Stage) -> Shown:
    """What came of every case."""
    shown = {str(case): stage.request(case) for case in REQUESTS}
    shown |= {str(case): stage.response(case) for case in RESPONSES}
    stage.read_log(list(shown.values()))
    return shown


@pytest.mark.parametrize("case", REQUESTS, ids=str)
def test_request(case: Case, shown: Shown) -> None:
    played = shown[str(case)]
    wanted = case.row["expect"]
    outcomes = wanted if isinstance(wanted, list) else [wanted]
    _judge_what_backends_got(played, outcomes)
    for outcome, heard in zip(outcomes, played.answers, strict=True):
        if "status" in outcome:
            _judge_refusal(played, outcome, heard)
        else:
            assert (heard.status, heard.end) == (200, "clean"), heard
    last = outcomes[-1]
    if "upstream" in last:
        keeps = last["upstream"].get("keep_alive") is not False
        assert played.closed is (None if keeps else True)
        assert not keeps or (played.second and played.second.body == b"fine"), (
            "the connection did not live on"
        )
        return
    assert played.closed, "the connection did not end"


def _judge_refusal(played: Played, outcome: dict[str, Any], heard: Heard) -> None:
    assert (heard.status, heard.end) == (outcome["status"], "clean"), heard
    assert heard.values(b"connection") == [b"close"]
    assert len(heard.values(b"x-request-id")) == 1
    assert played.log[-1]["status"] == outcome["status"]
    assert played.log[-1]["reason"] == outcome["rule"]


def _judge_what_backends_got(played: Played, outcomes: Sequence[dict[str, Any]]) -> None:
    got = [message for messages in played.got.values() for message in messages]
    whole = [message for message in got if message.complete]
    sent = [outcome["upstream"] for outcome in outcomes if "upstream" in outcome]
    assert len(whole) == len(sent), f"backends got {whole}"
    for message in got:
        if not message.complete:
            assert outcomes[-1].get("at") == "body", f"a refused request reached a backend: {message}"
            assert message.cut, "a message that cannot be completed was not cut"
    # Requests of one connection are forwarded one after the other, but may go to two pools.
    order = [("admin" if upstream.get("pool") == "admin" else "main") for upstream in sent]
    queues = {name: [one for one in messages if one.complete] for name, messages in played.got.items()}
    for upstream, pool in zip(sent, order, strict=True):
        assert queues[pool], f"nothing went to {pool}"
        _judge_message(queues[pool].pop(0), upstream)
    for line, upstream in zip(played.log, sent, strict=False):
        assert upstream.get("host", line["host"]) == line["host"]


def _judge_message(message: Message, wanted: dict[str, Any]) -> None:
    if "line" in wanted:
        assert message.line == to_bytes(wanted["line"])
    if "first" in wanted:
        assert message.fields[0] == to_bytes(wanted["first"])
    assert len(message.values(b"x-request-id")) == 1
    _judge_fields(message.fields, wanted, own=b"x-request-id")
    if "body" in wanted:
        assert message.body == to_bytes(wanted["body"])
    if "trailers" in wanted:
        assert message.trailers == [to_bytes(line) for line in wanted["trailers"]]


def _judge_fields(lines: list[bytes], wanted: dict[str, Any], *, own: bytes | None = None) -> None:
    has = Counter(lines)
    for line, count in Counter(map(to_bytes, wanted.get("has", ()))).items():
        assert has[line] >= count, f"{line!r} is there {has[line]} times: {lines}"
    names = [line.partition(b":")[0].lower() for line in lines]
    if "only" in wanted:
        rest = [line for line, name in zip(lines, names, strict=True) if name != own]
        assert Counter(rest) == Counter(map(to_bytes, wanted["only"]))
    for name in wanted.get("lacks", ()):
        assert to_bytes(name) not in names
    for line in wanted.get("lacks_line", ()):
        assert to_bytes(line) not in lines


@pytest.mark.parametrize("case", RESPONSES, ids=str)
def test_response(case: Case, shown: Shown) -> None:
    played, wanted = shown[str(case)], case.row["expect"]
    (heard,) = played.answers
    (line,) = played.log
    answered_itself = heard.status == 502 and wanted.get("end") in (None, "cut")
    if answered_itself:
        assert heard.end == "clean"
        assert line["reason"] == wanted["rule"]
    else:
        _judge_answer(heard, wanted)
    if wanted.get("end") == "cut":
        assert line["reason"] == wanted["rule"]
    if played.second is not None:
        assert played.second.body == b"fine", "an answer nobody asked for"
    came_on = {message.connection for message in played.got["main"]}
    assert came_on, "the request did not reach the backend"
    if "end" not in wanted or wanted.get("reused") is False:
        assert played.connection not in came_on, "a connection was used again that must not"
    elif wanted.get("reused"):
        assert played.connection in came_on, "a connection was not used again"


def _judge_answer(heard: Heard, wanted: dict[str, Any]) -> None:
    assert (heard.status, heard.end) == (wanted["status"], wanted.get("end")), heard
    assert heard.interim == wanted.get("interim", [])
    if "line" in wanted:
        assert heard.lines[0] == to_bytes(wanted["line"])
    _judge_fields(heard.lines[1:], wanted)
    body = to_bytes(wanted.get("body", ""))
    if wanted["end"] != "cut":
        assert "body" not in wanted or heard.body == body
        assert heard.trailers == [to_bytes(line) for line in wanted.get("trailers", ())]
    else:
        assert "body" not in wanted or body.startswith(heard.body)


def test_nothing_broken_reached_a_backend(stage: Stage, shown: Shown) -> None:
    """Every byte that backends got, of all cases together, reads as pylb's one form and as nothing else."""
    assert shown
    assert [pool.broken for pool in stage.pools.values()] == [[], []]
