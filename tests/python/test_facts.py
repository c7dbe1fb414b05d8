"""Every fact has a line that a person can read."""

import logging
import re
from pathlib import Path

import pytest
from pylb import facts
from pylb.facts import line, lines

ENGINE = Path(__file__).parents[2] / "rust/engine/src/observe/facts.rs"


@pytest.mark.parametrize(
    ("fact", "level", "text"),
    [
        (
            {"status": 503, "latency": 0.0021, "why": "expected 200-399"},
            logging.WARNING,
            "web: a:1 is down: answered 503 after 2.1 ms, expected 200-399",
        ),
        (
            {"status": None, "latency": None, "why": "connection refused"},
            logging.WARNING,
            "web: a:1 is down: connection refused",
        ),
    ],
)
def test_down_says_what_the_check_received(fact: facts.Fact, level: int, text: str) -> None:
    assert line({"fact": "backend_down", "pool": "web", "backend": "a:1", **fact}) == (level, text)


def test_up() -> None:
    fact = {
        "fact": "backend_up",
        "pool": "web",
        "backend": "a:1",
        "why": None,
        "status": 200,
        "latency": 0.001,
    }
    assert line(fact) == (logging.INFO, "web: a:1 is up: answered 200 after 1.0 ms")


def test_ejection() -> None:
    fact = {
        "fact": "backend_ejected",
        "pool": "web",
        "backend": "a:1",
        "why": "connection_refused",
        "seconds": 10.0,
    }
    assert line(fact)[1] == "web: a:1 is out for 10 s: requests failed in a row, last connection_refused"


def test_a_refused_configuration_is_a_line_per_mistake() -> None:
    fact = {"fact": "config_refused", "reason": "not valid", "mistakes": ["pylb.yaml:1:2: no\nnewlines"]}
    assert lines(fact) == [(logging.ERROR, "not valid"), (logging.ERROR, "pylb.yaml:1:2: no newlines")]


def test_warnings_come_with_a_configuration() -> None:
    fact = {"fact": "config_applied", "origin": "pylb.yaml", "generation": 2, "warnings": ["never matches"]}
    assert lines(fact) == [
        (logging.INFO, "pylb.yaml is in force (generation 2)"),
        (logging.WARNING, "never matches"),
    ]


def test_an_unknown_fact_is_shown_as_it_is() -> None:
    assert line({"fact": "new_thing", "count": 2}) == (logging.INFO, "new_thing count=2")


def test_every_fact_of_the_engine_has_a_line() -> None:
    if not ENGINE.exists():
        pytest.skip("needs the source tree")
    body = re.search(r"pub enum Fact \{(.*?)\n\}", ENGINE.read_text(), re.DOTALL)
    assert body is not None
    variants = re.findall(r"^    ([A-Z]\w+)[ ,{]", body[1], re.MULTILINE)
    names = [re.sub(r"(?<!^)([A-Z])", r"_\1", variant).lower() for variant in variants]
    assert len(names) > 5
    assert [name for name in names if line(_any(name))[1].startswith(name)] == []


def _any(name: str) -> facts.Fact:
    keys = ["pool", "backend", "why", "seconds", "generation", "worker", "count", "status", "latency", "cut"]
    return {"fact": name, **dict.fromkeys(keys, 1)}
