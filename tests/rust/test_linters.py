"""What mypy and ruff have to say about the Python of the tree."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("python", "tests", "bench")

# Test functions take fixtures, whose types pytest alone knows; what they call is typed.
TESTS = (
    "--allow-untyped-defs",
    "--allow-incomplete-defs",
    "--allow-untyped-calls",
    "--no-warn-return-any",
    "--disable-error-code=misc",
)


def run(*command: str, folder: str = ".") -> None:
    """Runs a module of this environment's; fails with what it printed."""
    ran = subprocess.run([sys.executable, "-m", *command], cwd=ROOT / folder, capture_output=True, text=True)
    if ran.returncode:
        pytest.fail(ran.stdout + ran.stderr, pytrace=False)


def test_types_of_the_package() -> None:
    run("mypy", "--strict", "--config-file", "../pyproject.toml", "-p", "pylb", folder="python")


def test_types_of_the_bench() -> None:
    run("mypy", "--strict", "--disable-error-code=import-not-found", "-p", "bench")  # matplotlib is optional


@pytest.mark.parametrize("package", ["architecture", "e2e", "rust"])
def test_types_of_tests(package: str) -> None:
    run("mypy", "--strict", *TESTS, "-p", package, folder="tests")


def test_lint() -> None:
    run("ruff", "check", "--no-cache", "--output-format", "concise", *FOLDERS)


def test_format() -> None:
    run("ruff", "format", "--no-cache", "--check", *FOLDERS)
