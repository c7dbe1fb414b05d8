"""Tests run the installed pylb, and it must be that of this tree: a stale one would test yesterday's code."""

import importlib.metadata
from pathlib import Path

import pylb
import pytest
from pylb import _core
from pylb.core import versions

from architecture.tree import ROOT, Tree

INSTALLED = Path(pylb.__file__).parent
AGAIN = "install again: pip install ."


def test_sources_are_those_of_this_tree() -> None:
    for path in Tree().files("python/pylb", "*.py", "*.pyi", "*.yaml"):
        copy = INSTALLED / path.relative_to("python/pylb")
        assert copy.is_file(), f"{path} is not installed; {AGAIN}"
        assert copy.read_text() == (ROOT / path).read_text(), (
            f"{path} differs from the installed one; {AGAIN}"
        )


def test_nothing_is_installed_that_is_gone() -> None:
    known = {path.relative_to("python/pylb") for path in Tree().files("python/pylb", "*.py")}
    here = {
        path.relative_to(INSTALLED) for path in INSTALLED.rglob("*.py") if "__pycache__" not in path.parts
    }
    assert here <= known, AGAIN


def test_the_core_is_as_new_as_its_sources() -> None:
    assert _core.__file__ is not None
    built = Path(_core.__file__)
    if not built.is_relative_to(ROOT) and "site-packages" not in built.parts:
        pytest.fail(f"the core comes from {built}")
    sources = [*Tree().files("rust", "*.rs", "Cargo.toml")]
    sources = [path for path in sources if "src" in path.parts]
    newest = max(sources, key=lambda path: (ROOT / path).stat().st_mtime)
    assert built.stat().st_mtime >= (ROOT / newest).stat().st_mtime, (
        f"{newest} is newer than the core; {AGAIN}"
    )


def test_one_version_everywhere() -> None:
    version = Tree().manifest["workspace"]["package"]["version"]
    assert importlib.metadata.version("pylb") == version
    assert versions()["pylb"] == version
