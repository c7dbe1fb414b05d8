"""README.md is kept: what it shows works, as it is written there."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import pytest
from pylb.cli import main
from pylb.config.balance import Policy

from .balancer import pylb, tcp
from .patience import until
from .talk import Talk
from .tools import skip

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
FIRST_SCREEN = "".join(README.splitlines(keepends=True)[:40])

DEMO = ("127.0.0.1", 8080)


def blocks(language: str) -> list[str]:
    """Fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    """What stands below a heading."""
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_first_screen():
    assert "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/pylb serve" in FIRST_SCREEN
    assert ".venv/bin/pip install '.[test]' && .venv/bin/pytest" in FIRST_SCREEN
    assert blocks("yaml")[0] in FIRST_SCREEN
    assert len(blocks("yaml")[0].splitlines()) <= 10


@pytest.mark.parametrize("number", range(len(blocks("yaml"))))
def test_configurations_are_valid(number, tmp_path):
    file = tmp_path / "pylb.yaml"
    file.write_text(blocks("yaml")[number])
    ran = pylb("check", str(file))
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{file} is valid\n", "")


def test_commands_are_all_there():
    assert set(re.findall(r"^\| `pylb (\w+)", section("Commands"), re.MULTILINE)) == set(main.commands)


def test_options_are_real():
    told = set(re.findall(r"--[a-z][a-z-]*", section("Commands")))
    real = {option for command in main.commands.values() for each in command.params for option in each.opts}
    assert told - {"--help"} <= real


def test_policies_are_all_there():
    told = re.findall(r"^\| `\{?(\w+)", section("Choosing a backend"), re.MULTILINE)
    assert sorted(told) == sorted(["balance", *get_args(Policy)])


def test_links_lead_somewhere():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert link.startswith("https://") or (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_page_of_keys_is_that_of_the_schema():
    assert pylb("schema", "--format", "markdown").stdout == (ROOT / "docs/configuration.md").read_text()


def test_results_are_those_of_the_bench():
    spec = importlib.util.spec_from_file_location("speed", ROOT / "docs/speed.py")
    assert spec is not None
    assert spec.loader is not None
    speed = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(speed)
    assert speed.page(README) == README, "run: python docs/speed.py"


def test_the_embedding_example_runs(tmp_path):
    (code,) = blocks("python")
    listen = tcp()
    assert "127.0.0.1:8080" in code
    program = tmp_path / "program.py"
    program.write_text(code.replace("127.0.0.1:8080", listen))
    with _process([sys.executable, str(program)], tmp_path):
        until("the program balances", lambda: _answers(listen.split(":")[0], int(listen.split(":")[1])))


def test_the_demo_answers_from_three_origins_in_turn(tmp_path):
    if _answers(*DEMO):
        skip("port 8080 is taken, and the demo wants it")
    environ = {"XDG_RUNTIME_DIR": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "pylb", "serve"]
    with _process(command, tmp_path, environ) as (process, said):
        until("the demo listens", lambda: _answers(*DEMO), seconds=60)
        with Talk(DEMO) as talk:
            answers = [talk.get().body.decode() for _ in range(6)]
        until("commands reach it", lambda: pylb("status", environ=environ).returncode == 0)
        status = pylb("status", environ=environ)
        assert sorted(answers[:3]) == [f"Hello from origin {number}\n" for number in (1, 2, 3)]
        assert answers[3:] == answers[:3]
        assert "round_robin" in status.stdout, status
        assert "three small servers" in said.read_text()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert "Traceback" not in said.read_text()


@contextmanager
def _process(
    command: list[str], folder: Path, environ: dict[str, str] | None = None
) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    """Runs in a folder, and tells where its messages go; ended at last."""
    said = folder / "said"
    with said.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=out,
            env={**os.environ, **(environ or {})},
        )
    try:
        yield process, said
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _answers(host: str, port: int) -> bool:
    try:
        Talk((host, port)).close()
    except OSError:
        return False
    return True
