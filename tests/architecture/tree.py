"""A source tree, as the rules see it."""

import ast
import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

FOLDERS = ("rust", "python", "bench", "docs", "tests")

LEFT_BEHIND = {"__pycache__", "corpus", "artifacts", "results", "rust/fuzz/target"}
"""Folders that builds and runs fill."""

PURE = ("wire", "balance", "plan")
"""Crates that do no I/O, read no clock and draw no chance."""


@dataclass(frozen=True)
class Tree:
    """The checkout at `root`. Everything is read once."""

    root: Path = ROOT

    def text(self, path: str | Path) -> str:
        """A file, by its path from the root."""
        return (self.root / path).read_text()

    def files(self, folder: str, *patterns: str) -> Iterator[Path]:
        """Files of a folder, by their paths from the root; nothing that a build or an editor left there."""
        for pattern in patterns:
            for found in sorted((self.root / folder).rglob(pattern)):
                path = found.relative_to(self.root)
                if found.is_file() and not LEFT_BEHIND & {*path.parts, str(Path(*path.parts[:3]))}:
                    yield path

    def copy(self, root: Path) -> "Tree":
        """A copy of all that the rules look at."""
        wanted = [path for folder in FOLDERS for path in self.files(folder, "*") if path.suffix != ".so"]
        wanted += [path.relative_to(self.root) for path in self.root.iterdir() if path.is_file()]
        for path in wanted:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.root / path, root / path)
        return Tree(root)

    # ---- Rust

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The manifest of the workspace."""
        return tomllib.loads(self.text("Cargo.toml"))

    @cached_property
    def members(self) -> dict[str, dict[str, Any]]:
        """The manifest of every crate, by its folder."""
        return {
            folder: tomllib.loads(self.text(f"{folder}/Cargo.toml"))
            for folder in self.manifest["workspace"]["members"]
        }

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """What cargo makes of the manifests."""
        command = [
            "cargo",
            "metadata",
            "--format-version",
            "1",
            "--manifest-path",
            str(self.root / "Cargo.toml"),
        ]
        ran = subprocess.run(command, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        found: dict[str, Any] = json.loads(ran.stdout)
        return found

    @cached_property
    def packages(self) -> dict[str, dict[str, Any]]:
        """Every package by its id."""
        return {package["id"]: package for package in self.metadata["packages"]}

    def crates(self) -> Iterator[dict[str, Any]]:
        """The packages of the workspace."""
        for member in self.metadata["workspace_members"]:
            yield self.packages[member]

    def behind(self, crate: str) -> set[str]:
        """Names of everything that ends up in a build of the crate, itself and tests apart."""
        nodes = {node["id"]: node for node in self.metadata["resolve"]["nodes"]}
        start = next(package["id"] for package in self.crates() if package["name"] == crate)
        seen: set[str] = set()
        queue = [start]
        while queue:
            for dependency in nodes[queue.pop()]["deps"]:
                is_built = any(kind["kind"] is None for kind in dependency["dep_kinds"])
                if is_built and dependency["pkg"] not in seen:
                    seen.add(dependency["pkg"])
                    queue.append(dependency["pkg"])
        return {self.packages[found]["name"] for found in seen}

    # ---- Python

    @cached_property
    def modules(self) -> dict[str, ast.Module]:
        """Every module of the package, parsed, by its dotted name."""
        parsed = {}
        for path in self.files("python/pylb", "*.py"):
            parts = path.with_suffix("").parts[1:]
            if "examples" not in parts:
                name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
                parsed[name] = ast.parse(self.text(path), str(path))
        return parsed

    def imports(self, module: str, *, late: bool = True) -> Iterator[str]:
        """Dotted names that a module imports; with `late=False` only what happens when it is loaded."""
        for node in _nodes(self.modules[module], late=late):
            if isinstance(node, ast.Import):
                yield from (name.name for name in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{module} imports relatively"
                assert node.module is not None
                yield node.module
                yield from (f"{node.module}.{name.name}" for name in node.names)


def _nodes(node: ast.AST, *, late: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not late:
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING" and not late:
            continue
        yield child
        yield from _nodes(child, late=late)


def code(rust: str) -> list[str]:
    """Lines of a Rust source without its comments and the contents of its strings, in the same places."""
    blank = re.compile(r'//[^\n]*|"(?:[^"\\]|\\.)*"', re.DOTALL)
    return blank.sub(lambda found: "\n" * found[0].count("\n"), rust).split("\n")
