"""Rules over Rust sources: what the compiler and clippy are told to refuse, and where unsafe may stand."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from architecture.tree import PURE, Tree, code

BANNED = {
    "sockets": (
        "std::net::TcpStream",
        "std::net::TcpListener",
        "std::net::UdpSocket",
        "std::os::unix::net::UnixStream",
    ),
    "files": ("std::fs::File", "std::fs::OpenOptions", "std::fs::read", "std::fs::write"),
    "processes": ("std::process::Command",),
    "threads": ("std::thread::spawn", "std::thread::sleep", "std::thread::JoinHandle"),
    "clocks": (
        "std::time::Instant",
        "std::time::SystemTime",
        "std::time::Instant::now",
        "std::time::SystemTime::now",
    ),
    "chance": ("std::hash::RandomState",),
    "surroundings": ("std::env::var",),
}
"""What clippy must refuse in a pure crate, at least."""

MAY_BE_UNSAFE = ("rust/engine/", "rust/binding/")

COUNTS_ALLOCATIONS = "rust/wire/tests/allocations.rs"
"""A test that counts allocations is an allocator, and there is no safe way to be one. The crate lacks it."""

STRICT_ON_BYTES = ("indexing_slicing", "unwrap_used", "expect_used", "panic", "arithmetic_side_effects")


def pure_crates_forbid_unsafe(tree: Tree) -> Iterator[str]:
    """`#![forbid(unsafe_code)]` in wire, balance and plan: no attribute further down can lift it."""
    for crate in PURE:
        if "#![forbid(unsafe_code)]" not in code(tree.text(f"rust/{crate}/src/lib.rs")):
            yield f"rust/{crate}/src/lib.rs"


def unsafe_stands_where_it_may(tree: Tree) -> Iterator[str]:
    """`unsafe` only in engine and binding, each with a SAFETY note right above."""
    for path in _sources(tree):
        text = tree.text(path)
        for number, line in enumerate(code(text)):
            if not re.search(r"\bunsafe\b(?!_)", line):
                continue
            allowed = str(path).startswith(MAY_BE_UNSAFE) or str(path) == COUNTS_ALLOCATIONS
            if not allowed:
                yield f"{path}: {line.strip()}"
            elif not re.search(r"unsafe (extern\s+)?fn", line) and not _has_note(text.split("\n"), number):
                yield f"{path}: no SAFETY note above {line.strip()}"


def _has_note(lines: list[str], number: int) -> bool:
    """Whether the comment that ends right above the statement of a line says why it is sound."""
    above = number
    while above > 0 and number - above < 8:
        above -= 1
        if "SAFETY:" in lines[above]:
            return True
        if lines[above].strip().endswith((";", "}")):
            return False
    return False


def clippy_bans_the_world(tree: Tree) -> Iterator[str]:
    """clippy.toml of each pure crate bans sockets, files, threads, clocks and chance, each with a reason."""
    for crate in PURE:
        path = f"rust/{crate}/clippy.toml"
        entries = tomllib.loads(tree.text(path))
        banned = [*entries.get("disallowed-types", []), *entries.get("disallowed-methods", [])]
        names = {entry["path"] for entry in banned if entry.get("reason")}
        for family, wanted in BANNED.items():
            for missing in sorted(set(wanted) - names):
                yield f"{path}: {missing} ({family}) is not banned, or without a reason"


def bans_are_not_lifted(tree: Tree) -> Iterator[str]:
    """No source of a pure crate allows itself what clippy.toml bans; tests and benches may, saying so."""
    for crate in PURE:
        fixtures = {Path(f"rust/{crate}/src/fixtures.rs")}
        for path in set(tree.files(f"rust/{crate}/src", "*.rs")) - fixtures:
            if path.stem != "tests" and not path.stem.endswith("_tests"):
                for line in code(tree.text(path)):
                    if "clippy::disallowed" in line:
                        yield f"{path}: {line.strip()}"


def wire_is_strict_on_bytes(tree: Tree) -> Iterator[str]:
    """No indexing, unwrap or unchecked arithmetic on bytes from outside: `wire` denies them as a whole."""
    text = "\n".join(code(tree.text("rust/wire/src/lib.rs")))
    denied = " ".join(re.findall(r"#!\[(?:deny|forbid)\((.*?)\)\]", text, re.DOTALL))
    for lint in STRICT_ON_BYTES:
        if f"clippy::{lint}" not in denied:
            yield f"rust/wire/src/lib.rs does not deny {lint}"
    for path in tree.files("rust/wire/src", "*.rs"):
        if path.name != "lib.rs" and path.stem != "tests":
            lines = code(tree.text(path))
            for line, below in zip(lines, [*lines[1:], ""], strict=True):
                lifts = re.search(r"\b(allow|expect)\(", line) and any(
                    f"clippy::{lint}" in line for lint in STRICT_ON_BYTES
                )
                # A constant is computed while compiling: what goes wrong there does not compile.
                if lifts and not below.startswith(("static ", "const ")):
                    yield f"{path}: {line.strip()}"


def errors_change_language_once(tree: Tree) -> Iterator[str]:
    """Rust's errors become exceptions in one file; every class is frozen; Rust never calls Python."""
    for path in tree.files("rust/binding/src", "*.rs"):
        text = "\n".join(code(tree.text(path)))
        if path.name != "error.rs":
            for name in ("create_exception!", "ApplyError", "PlanError"):
                if name in text:
                    yield f"{path} names {name}"
        for options in re.findall(r"#\[pyclass(\([^]]*\))?\]", text):
            if "frozen" not in options:
                yield f"{path}: a class that is not frozen"
        for call in ("Python::attach", "Python::with_gil", "Python::try_attach"):
            if call in text:
                yield f"{path}: {call}: Rust never calls Python"


def _sources(tree: Tree) -> Iterator[Path]:
    yield from tree.files("rust", "*.rs")
    yield from tree.files("bench", "*.rs")
