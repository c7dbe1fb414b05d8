"""Commands that talk to a running pylb: what they ask, what they print, how they leave."""

from collections.abc import Callable
from typing import Any

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result
from pylb import cli, operate
from pylb.errors import UnknownBackend

A, B = "10.0.0.1:9001", "10.0.0.2:9001"


class Pylb:
    """Stands in for a running one; `sights` is what becomes of the backend at each further look."""

    def __init__(self, *sights: dict[str, Any], other: str = "up") -> None:
        self.said: list[tuple[Any, ...]] = []
        self.other = other
        self.sights = iter(sights)

    def status(self) -> dict[str, Any]:
        backends = [{"name": A, "state": "draining"}, {"name": B, "state": self.other}]
        return {"pools": {"web": {"backends": backends}, "work": {"backends": []}}}

    def reload(self) -> dict[str, Any]:
        return next(self.sights)

    def drain(self, pool: str, backend: str) -> dict[str, Any]:
        if backend not in (A, B):
            raise UnknownBackend("backend in web", backend, [A, B])
        self.said.append(("drain", pool, backend))
        return {"in_flight": 3}

    def undrain(self, pool: str, backend: str) -> dict[str, Any]:
        self.said.append(("undrain", pool, backend))
        return {"state": "up"}

    def weigh(self, pool: str, backend: str, weight: int | None) -> dict[str, Any]:
        self.said.append(("weigh", pool, backend, weight))
        return {"weight": weight or 1}

    def backend(self, pool: str, backend: str) -> dict[str, Any]:
        return next(self.sights)


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Callable[[Pylb], Pylb]:
    from pylb.admin import client

    def start(pylb: Pylb) -> Pylb:
        monkeypatch.setattr(client, "client", lambda admin=None: pylb)
        monkeypatch.setattr(operate, "_pause", lambda seconds: None)
        return pylb

    return start


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, arguments, prog_name="pylb")


def test_reload_prints_the_outcome_and_leaves_with_its_code(running: Any) -> None:
    good = {"ok": True, "text": "in force", "exit_code": 0}
    running(Pylb(good, {"ok": False, "text": "a:1:2: wrong", "exit_code": 3}))
    assert run("reload").output == "in force\n"
    refused = run("reload")
    assert (refused.output, refused.exit_code) == ("a:1:2: wrong\n", 3)


def test_drain_says_what_it_did_and_how_to_take_it_back(running: Any) -> None:
    pylb = running(Pylb())
    result = run("drain", "web", A)
    assert result.output == f"web: {A} drains, 3 in flight; `pylb undrain web {A}` takes it back\n"
    assert (result.exit_code, pylb.said) == (0, [("drain", "web", A)])


def test_drain_warns_when_nobody_is_left(running: Any) -> None:
    running(Pylb(other="down"))
    result = run("drain", "web", A)
    assert (result.exit_code, result.stderr) == (
        0,
        "no other backend of web can take requests: they are answered with 503\n",
    )


def sight(in_flight: int, drained: bool | None = False, cut: int = 0) -> dict[str, Any]:
    return {"in_flight": in_flight, "drained": drained, "cut": cut}


def test_drain_waits_until_it_is_empty(running: Any) -> None:
    running(Pylb(sight(3), sight(3), sight(1), sight(0), sight(0, True)))
    result = run("drain", "web", A, "--wait")
    assert result.output.splitlines()[1:] == [
        f"web: {A}: 1 in flight",
        f"web: {A}: 0 in flight",
        f"web: {A} is empty",
    ]
    assert result.exit_code == 0


def test_drain_that_had_to_cut_leaves_with_1(running: Any) -> None:
    running(Pylb(sight(3), sight(0, True, cut=3)))
    result = run("drain", "web", A, "--wait")
    assert (result.exit_code, result.stderr) == (1, f"pylb: web: {A} is empty, 3 in flight had to be cut\n")


def test_drain_that_somebody_takes_back_is_not_waited_for(running: Any) -> None:
    running(Pylb(sight(3), sight(4, None)))
    result = run("drain", "web", A, "--wait")
    assert result.exit_code == 1
    assert "does not drain any more" in result.stderr


def test_an_unknown_backend_is_one_line(running: Any) -> None:
    running(Pylb())
    result = run("drain", "web", "10.0.0.1:9010")
    assert result.exit_code == 1
    assert result.stderr == f'pylb: there is no backend in web called "10.0.0.1:9010"; did you mean {A}?\n'


def test_undrain(running: Any) -> None:
    pylb = running(Pylb())
    assert run("undrain", "web", A).output == f"web: {A} takes requests, it is up\n"
    assert pylb.said == [("undrain", "web", A)]


def test_weight(running: Any) -> None:
    pylb = running(Pylb())
    heavier = run("weight", "web", A, "7")
    assert heavier.output == f"web: {A} has weight 7; `pylb weight web {A} reset` takes it back\n"
    assert run("weight", "web", A, "reset").output == f"web: {A} has weight 1, as in the file\n"
    assert pylb.said == [("weigh", "web", A, 7), ("weigh", "web", A, None)]


@pytest.mark.parametrize("written", ["x", "1.5", "-1", "", "³"])
def test_a_weight_that_is_none_is_wrong_usage(running: Any, written: str) -> None:
    pylb = running(Pylb())
    result = run("weight", "web", A, "--", written)
    assert result.exit_code == 2
    assert "neither a whole number nor reset" in result.stderr
    assert pylb.said == []


def completions(arguments: list[str], start: str) -> list[str]:
    complete = ShellComplete(cli.main, {}, "pylb", "_PYLB_COMPLETE")
    return [item.value for item in complete.get_completions(arguments, start)]


def test_the_shell_completes_what_the_running_pylb_has(running: Any) -> None:
    running(Pylb())
    assert completions(["drain"], "w") == ["web", "work"]
    assert completions(["undrain", "web"], "") == [A, B]
    assert completions(["weight", "web"], "10.0.0.2") == [B]
    assert completions(["drain", "nothing"], "") == []
    assert completions(["weight", "web", A], "r") == ["reset"]


def test_completion_without_a_running_pylb_is_empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert completions(["drain"], "w") == []
