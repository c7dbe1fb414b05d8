"""The command line: what each command prints, and the exit code it leaves with."""

import errno
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from pylb import cli, overview
from pylb.config import Demo, File, Flags

GOOD = """\
listeners:
  web: {bind: 127.0.0.1:8080, routes: [{pool: web}]}
pools:
  web: {backends: [127.0.0.1:9001]}
"""
BAD = GOOD.replace("9001", "x").replace("pool: web", "pool: wbe")


@pytest.fixture(autouse=True)
def _empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def run(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(cli.main, arguments, env=environ, prog_name="pylb")


def options() -> list[tuple[str, click.Option]]:
    return [
        (name, parameter)
        for name, command in cli.main.commands.items()
        for parameter in command.params
        if isinstance(parameter, click.Option)
    ]


def test_every_option_has_an_environment_variable_of_its_own() -> None:
    variables = {(name, option.name): option.envvar for name, option in options()}
    assert all(str(variable).startswith("PYLB_") for variable in variables.values())
    meanings: dict[object, set[str | None]] = {}
    for (name, option), variable in variables.items():
        meanings.setdefault(variable, set()).add(option if option == "admin" else f"{name} {option}")
    assert all(len(meaning) == 1 for meaning in meanings.values()), meanings


def test_check_of_a_good_file_says_so() -> None:
    Path("pylb.yaml").write_text(GOOD)
    result = run("check")
    assert (result.exit_code, result.output) == (0, "pylb.yaml is valid\n")


def test_check_reports_every_mistake_and_exits_with_3() -> None:
    Path("bad.yaml").write_text(BAD)
    result = run("check", "bad.yaml")
    assert result.exit_code == 3
    first, second, verdict = result.output.splitlines()
    assert first.startswith('bad.yaml:2:47: error: there is no pool "wbe"; did you mean web?')
    assert second.startswith("bad.yaml:4:20: error: `address`:")
    assert verdict == "bad.yaml is not valid: 2 mistakes"


def test_check_for_programs() -> None:
    Path("bad.yaml").write_text(BAD)
    result = run("check", "bad.yaml", PYLB_CHECK_FORMAT="json")
    assert result.exit_code == 3
    found = json.loads(result.output)
    assert found["valid"] is False
    assert found["errors"][0] == {
        "file": "bad.yaml",
        "line": 2,
        "column": 47,
        "path": ["listeners", "web", "routes", 0, "pool"],
        "message": 'there is no pool "wbe"',
        "hint": "did you mean web?",
    }


@pytest.mark.parametrize("form", ["text", "json", "github"])
def test_check_warns_of_routes_that_never_match_and_still_leaves_with_0(form: str) -> None:
    Path("pylb.yaml").write_text(GOOD.replace("[{pool: web}]", "[{pool: web}, {pool: web}]"))
    result = run("check", "--format", form)
    said = {
        "text": "pylb.yaml:2:53: warning: this route never matches: number 1 (`web#1`) takes all",
        "json": '"message": "this route never matches: number 1 (`web#1`) takes all its requests',
        "github": "::warning file=pylb.yaml,line=2,col=53,title=pylb::this route never matches",
    }
    assert said[form] in result.output
    assert result.exit_code == 0


def test_check_for_github_escapes_what_would_end_a_command() -> None:
    Path("a,b.yaml").write_text(GOOD.replace("127.0.0.1:9001", '"50%x"'))
    result = run("check", "a,b.yaml", "--format", "github")
    assert result.exit_code == 3
    assert result.output.startswith("::error file=a%2Cb.yaml,line=4,col=20,title=pylb::")
    assert '"50%25x"' in result.output


def test_warnings_do_not_make_a_file_invalid() -> None:
    Path("pylb.yaml").write_text(GOOD + "  spare: {backends: [127.0.0.1:9002]}\n")
    result = run("check")
    assert result.exit_code == 0
    assert 'pylb.yaml:5:3: warning: nothing uses the pool "spare"' in result.output


def test_a_missing_file_is_one_line_and_exit_1() -> None:
    result = run("check", "none.yaml")
    assert (result.exit_code, result.output) == (1, "pylb: none.yaml: No such file or directory\n")


def test_a_file_that_may_not_be_read_is_one_line_and_exit_1(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("pylb.yaml").write_text(GOOD)
    Path("pylb.yaml").chmod(0)
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    result = run("check", "pylb.yaml")
    assert (result.exit_code, result.output) == (1, "pylb: pylb.yaml: Permission denied\n")


def refuse(path: Path) -> bytes:
    """What the system does unless root reads."""
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


class Served:
    """Stands in for `pylb.serve.serve`; keeps what it was called with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import pylb.serve

        self.source: Any = None
        self.settings: dict[str, Any] = {}
        monkeypatch.setattr(pylb.serve, "serve", self)

    def __call__(self, source: Any, **settings: Any) -> int:
        self.source, self.settings = source, settings
        return 7


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Served:
    return Served(monkeypatch)


def test_serve_takes_the_file_that_is_named_and_returns_its_exit_code(served: Served) -> None:
    assert run("serve", "x.yaml", "--watch").exit_code == 7
    assert isinstance(served.source, File)
    assert served.source.path == Path("x.yaml")
    assert served.settings == {"watch": True, "admin": None}


def test_serve_without_arguments_takes_pylb_yaml_or_else_the_demo(served: Served) -> None:
    run("serve")
    assert served.source == Demo()
    Path("pylb.yaml").write_text(GOOD)
    run("serve")
    assert served.source.path == Path("pylb.yaml")


def test_serve_with_options_needs_no_file(served: Served) -> None:
    Path("pylb.yaml").write_text(GOOD)
    run("serve", "--listen", ":80", "--to", "a:1", "--to", "b:2", "--balance", "random", "--health", "/h")
    assert served.source == Flags((":80",), ("a:1", "b:2"), "random", "/h")


def test_serve_reads_its_options_from_the_environment(served: Served) -> None:
    run("serve", PYLB_LISTEN=":80", PYLB_TO="a:1 b:2", PYLB_ADMIN="unix:/x", PYLB_WATCH="1")
    assert served.source == Flags((":80",), ("a:1", "b:2"), None, None)
    assert served.settings == {"watch": True, "admin": "unix:/x"}


@pytest.mark.parametrize(
    "arguments",
    [("--to", "a:1"), ("--listen", ":80"), ("x.yaml", "--to", "a:1"), ("--nonsense",), ("--health", "/")],
)
def test_wrong_usage_is_exit_2(served: Served, arguments: tuple[str, ...]) -> None:
    assert run("serve", *arguments).exit_code == 2
    assert served.source is None


@pytest.mark.parametrize("example", cli.EXAMPLES)
def test_init_writes_an_example_that_is_valid_and_never_overwrites(example: str) -> None:
    assert run("init", example, "--directory", "new").exit_code == 0
    assert run("check", "new/pylb.yaml").exit_code == 0
    before = {file: file.read_text() for file in Path("new").iterdir()}
    again = run("init", example, "--directory", "new")
    assert again.exit_code == 1
    assert "exists already; nothing was written" in again.output
    assert {file: file.read_text() for file in Path("new").iterdir()} == before


def test_init_writes_nothing_if_one_of_its_files_exists() -> None:
    Path("Dockerfile").write_text("mine")
    assert run("init", "docker").exit_code == 1
    assert sorted(Path().iterdir()) == [Path("Dockerfile")]


def test_init_knows_every_folder_of_examples() -> None:
    folder = Path(cli.__file__).parent / "examples"
    assert sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) == sorted(cli.EXAMPLES)


def test_a_python_example_and_the_unit_say_what_they_promise() -> None:
    folder = Path(cli.__file__).parent / "examples"
    unit = (folder / "systemd" / "pylb.service").read_text()
    assert "Type=notify" in unit
    assert "ExecReload=/bin/kill -HUP $MAINPID" in unit
    for app in folder.glob("*/app.py"):
        compile(app.read_text(), str(app), "exec")


def test_no_running_pylb_is_one_line_and_exit_1(tmp_path: Path) -> None:
    result = run("status", "--admin", f"unix:{tmp_path}/none.sock")
    assert result.exit_code == 1
    assert result.output.startswith("pylb: ")
    assert result.output.count("\n") == 1


def test_schema_prints_json_or_the_page() -> None:
    assert json.loads(run("schema").output)["title"] == "pylb configuration"
    assert run("schema", "--format", "markdown").output.startswith("<!-- Generated by")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_for_the_shell(shell: str) -> None:
    result = run("completion", shell)
    assert result.exit_code == 0
    assert "_PYLB_COMPLETE" in result.output
    binary = shutil.which(shell)
    if binary and shell != "fish":
        subprocess.run([binary, "-n"], input=result.output, text=True, check=True)


def test_version_names_what_pylb_is_made_of() -> None:
    lines = dict(line.split(maxsplit=1) for line in run("version").output.splitlines())
    assert {"pylb", "rust", "python"} <= set(lines)


def backend(name: str, **more: Any) -> dict[str, Any]:
    usual = {"address": "127.0.0.1:1", "state": "up", "why": None, "ejected_for": None, "weight": 1}
    counts = {"backup": False, "in_flight": 0, "requests": 0, "failures": 0, "latency": None}
    said = {
        "override": None,
        "dns": None,
        "drained_in": None,
        "drained": None,
        "limit": None,
        "warming": None,
    }
    return {"name": name, **usual, **counts, **said, **more}


def override(weight: int | None) -> dict[str, Any]:
    return {"draining": True, "weight": weight}


CERTIFICATE = {
    "file": "/x/shop.pem",
    "names": ["shop.example", "*.shop.example", "a.example", "b.example"],
    "expires": 1796083200,
    "until": "2026-12-01T00:00:00Z",
    "broken": "there is no certificate in it",
}
AUTHORITIES = {"file": "/x/ca.pem", "names": [], "expires": None, "until": None, "broken": None}
CHECK = {"good": True, "why": None, "status": 200, "latency": 0.0012, "ago": 3.4}
STATUS = {
    "generation": 3,
    "uptime": 93784.5,
    "workers": 2,
    "clients": 12,
    "max_clients": 1000,
    "listeners": {
        "web": {"bind": ["0.0.0.0:8080"], "requests": 123, "flows": None, "certificates": [CERTIFICATE]},
        "dns": {
            "bind": ["0.0.0.0:53"],
            "requests": 0,
            "certificates": [],
            "flows": {"open": 7, "total": 900, "limit": 65536, "evicted": 0, "dropped": 2},
        },
    },
    "names_failing": {"app.test": "it has no address (Name or service not known)"},
    "pools": {
        "shop": {
            "policy": "round_robin",
            "queue": {"waiting": 3, "size": 10, "oldest": 0.25, "waited": 9, "refused": 1, "late": 2},
            "certificates": [
                {"file": "/x/ca.pem", "names": [], "expires": None, "until": None, "broken": None}
            ],
            "backends": [
                backend("a:1", in_flight=2, requests=100, latency=0.0123, check=CHECK),
                backend(
                    "b:1", state="ejected", why="connection refused", ejected_for=7.6, weight=10, backup=True
                ),
                backend("c:1", state="draining", drained_in=65.2, drained=False, override=override(None)),
                backend(
                    "d:1",
                    weight=7,
                    limit=4,
                    warming=40,
                    dns="app.test:1",
                    override={"draining": False, "weight": 7},
                ),
            ],
        }
    },
}


def test_the_overview_is_a_table_for_people() -> None:
    assert overview.overview(STATUS).splitlines() == [
        "generation 3, up 1d 2h, 2 workers, 12 of at most 1000 clients",
        "listener web: 0.0.0.0:8080, 123 requests",
        "  certificate /x/shop.pem (shop.example, *.shop.example, a.example, ...): until 2026-12-01; the "
        "last good one is in force: there is no certificate in it",
        "listener dns: 0.0.0.0:53, 7 of at most 65536 flows, 900 in all, 2 datagrams dropped",
        "name app.test: it has no address (Name or service not known); its last addresses are kept",
        "",
        "pool shop (round_robin): 3 of at most 10 wait, the oldest for 0.2s; 1 refused, 2 waited in vain",
        "  backend           state     weight  in flight  requests  failures  latency  last check           "
        " why",
        "  a:1               up             1          2       100         0   12.3ms  200 in 1.2ms, 3s ago",
        "  b:1 (backup)      ejected       10          0         0         0        -  -                   "
        "  connection refused, back in 8s",
        "  c:1               draining       1          0         0         0        -  -                   "
        "  drained by an operator: cut in 1m 5s",
        "  d:1 (app.test:1)  up             7        0/4         0         0        -  -                   "
        "  warming up, 40 %, weight by an operator",
        "  authorities /x/ca.pem",
    ]
