"""Rules over words: what the map says is there, numbers agree, nothing points at a line that will move."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from architecture.tree import Tree

MAP = "rust/README.md"

_CODE = re.compile(r"`([^`\n]+)`")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"[\w./-]+\.(?:rs|py|pyi|toml|json|md|yml|yaml|sh)")
_TYPE = re.compile(r"(?:\w+::)*([A-Z][A-Za-z0-9]*[a-z][A-Za-z0-9]*)(?:::(\w+))?(?:\(\))?")
_FUNCTION = re.compile(r"(?:[\w]+[.:]+)*([a-z_][a-z0-9_]*)\(\)")
_POINTER = re.compile(r"\.(?:rs|py|pyi|toml|md):\d+|#L\d+|\b[Ll]ines? \d+")
_LEFT_OPEN = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X)\b")


def the_map_is_true(tree: Tree) -> Iterator[str]:
    """Every file, type and function that rust/README.md names in backticks is there."""
    text = tree.text(MAP)
    sources = "\n".join(tree.text(path) for path in _named_in_map(tree))
    files = [
        str(path)
        for path in [*tree.files("rust", "*"), *tree.files("python", "*"), *tree.files("tests", "*")]
    ]
    files += [str(path) for path in [*tree.files("bench", "*"), *tree.files("docs", "*")]]
    for name in _CODE.findall(_FENCE.sub("", text)):
        if _FILE.fullmatch(name):
            if (
                not any(f"/{file}".endswith(f"/{name.removeprefix('./')}") for file in files)
                and not (tree.root / name).exists()
            ):
                yield f"no file {name}"
        elif found := _TYPE.fullmatch(name):
            for part in filter(None, found.groups()):
                if not re.search(rf"\b{part}\b", sources):
                    yield f"no type {name}"
        elif (found := _FUNCTION.fullmatch(name)) and not re.search(rf"\b(?:fn|def) {found[1]}\b", sources):
            yield f"no function {name}"


def _named_in_map(tree: Tree) -> Iterator[Path]:
    yield from tree.files("rust", "*.rs")
    yield from tree.files("python/pylb", "*.py", "*.pyi")


def the_map_is_whole(tree: Tree) -> Iterator[str]:
    """Every source file of a crate has a row in its section of the map, and every row its file."""
    for section in tree.text(MAP).split("\n### ")[1:]:
        crate = section[1 : section.index("`", 1)]
        rows = set(re.findall(r"^\| `([\w/]+\.rs)` \|", section, re.MULTILINE))
        folder = f"rust/{crate}/src"
        files = {str(path.relative_to(folder)) for path in tree.files(folder, "*.rs") if not _is_test(path)}
        yield from (f"{folder}/{name} is not on the map" for name in sorted(files - rows))
        yield from (f"{folder}/{name} is on the map only" for name in sorted(rows - files))
    for folder in tree.members:
        if folder.startswith("rust/") and f"\n### `{Path(folder).name}`" not in tree.text(MAP):
            yield f"{folder} has no section"


def _is_test(path: Path) -> bool:
    return path.stem in ("tests", "fixtures") or path.stem.endswith("_tests")


def nothing_points_at_lines(tree: Tree) -> Iterator[str]:
    """No line numbers in prose: they point elsewhere after the next change."""
    for path in _prose(tree):
        for number, line in enumerate(_comments(path, tree.text(path)), 1):
            if found := _POINTER.search(line):
                yield f"{path} ({number}): {found[0]}"


def nothing_is_left_open(tree: Tree) -> Iterator[str]:
    """No notes to do something later: what is not done is not hinted at."""
    for path in _prose(tree):
        for line in _comments(path, tree.text(path)):
            if found := _LEFT_OPEN.search(line):
                yield f"{path}: {found[0]}"


def _prose(tree: Tree) -> Iterator[Path]:
    for folder in ("rust", "python", "bench", "docs"):
        yield from tree.files(folder, "*.rs", "*.py", "*.md")
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        yield Path(name)


def _comments(path: Path, text: str) -> list[str]:
    """Lines that are prose: all of a page, only comments of a source."""
    if path.suffix == ".md":
        return text.split("\n")
    mark = "//" if path.suffix == ".rs" else "#"
    return [line[at:] if (at := line.find(mark)) >= 0 else "" for line in text.split("\n")]


def floors_agree(tree: Tree) -> Iterator[str]:
    """One floor of Python and one of Rust, wherever they are written; one version of pylb."""
    project = tomllib.loads(tree.text("pyproject.toml"))
    floor = project["project"]["requires-python"].removeprefix(">=")
    short = floor.replace(".", "")
    features = tree.manifest["workspace"]["dependencies"]["pyo3"]["features"]
    if f"abi3-py{short}" not in features:
        yield f"pyo3 is built for {features}, pyproject.toml says {floor}"
    if project["tool"]["ruff"]["target-version"] != f"py{short}":
        yield f"ruff looks at {project['tool']['ruff']['target-version']}, pyproject.toml says {floor}"
    readme = tree.text("README.md")
    if f"Python {floor} or later" not in readme:
        yield f"README.md does not say Python {floor} or later"
    rust = tree.manifest["workspace"]["package"]["rust-version"]
    if f"{rust} or later" not in readme:
        yield f"README.md does not say Rust {rust} or later"
    version = tree.manifest["workspace"]["package"]["version"]
    released = re.findall(r"^## (\d\S*)", tree.text("CHANGELOG.md"), re.MULTILINE)
    if not released or released[0] != version:
        yield f"CHANGELOG.md begins with {released[:1]}, the workspace is {version}"
    if project["project"].get("dynamic") != ["version"] or "version" in project["project"]:
        yield "pyproject.toml has a version of its own"
