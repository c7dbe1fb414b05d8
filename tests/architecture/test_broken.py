"""Each border, broken on purpose: a rule that cannot go red keeps nothing.

A break is one change of one file in a copy of the tree; the rule that keeps that border must complain, and
the complaint must name what was done.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest

from architecture import rules_crates as crates
from architecture import rules_prose as prose
from architecture import rules_python as python
from architecture import rules_rust as rust
from architecture.test_rules import RULES, Rule
from architecture.tree import Tree


@dataclass(frozen=True)
class Break:
    """`old` becomes `new` in `file` (an empty `old` is its beginning), and `rule` must say `named`."""

    rule: Rule
    file: str
    old: str
    new: str
    named: str

    def __str__(self) -> str:
        return f"{self.rule.__name__}: {self.file}"


def _depends(rule: Rule, crate: str, line: str, named: str) -> Break:
    return Break(rule, f"rust/{crate}/Cargo.toml", "[dependencies]\n", f"[dependencies]\n{line}\n", named)


BREAKS = [
    _depends(crates.arrows_point_right, "wire", "balance.workspace = true", "wire -> balance"),
    _depends(crates.arrows_point_right, "balance", "wire.workspace = true", "balance -> wire"),
    _depends(crates.arrows_point_right, "binding", "plan.workspace = true", "binding -> plan"),
    _depends(crates.only_binding_knows_python, "engine", "pyo3.workspace = true", "engine -> pyo3"),
    _depends(crates.only_binding_knows_python, "balance", "pyo3.workspace = true", "engine -> pyo3"),
    _depends(crates.pure_crates_have_no_hands, "wire", "tokio.workspace = true", "wire -> tokio"),
    _depends(crates.pure_crates_have_no_hands, "plan", "socket2.workspace = true", "plan -> socket2"),
    _depends(crates.pure_crates_have_no_hands, "balance", "fastrand.workspace = true", "balance -> fastrand"),
    _depends(crates.pure_crates_have_no_hands, "balance", "memchr.workspace = true", "balance -> memchr"),
    Break(
        crates.outside_crates_are_known,
        "rust/engine/Cargo.toml",
        "[dependencies]\n",
        '[dependencies]\ncfg-if = "1"\n',
        "engine -> cfg-if",
    ),
    _depends(crates.versions_have_one_home, "engine", 'cfg-if = "1"', "cfg-if has a version of its own"),
    Break(
        crates.versions_have_one_home,
        "rust/plan/Cargo.toml",
        "version.workspace = true\nedition",
        'version = "0.2.0"\nedition',
        "rust/plan: version",
    ),
    Break(
        crates.versions_have_one_home,
        "rust/wire/Cargo.toml",
        "[lints]\nworkspace = true\n",
        "",
        "rust/wire: lints",
    ),
    Break(
        crates.locked_versions_keep_floors,
        "Cargo.lock",
        'name = "pyo3"\nversion = "0.30',
        'name = "pyo3"\nversion = "0.28',
        "pyo3 0.28",
    ),
    Break(
        crates.release_stays_safe,
        "Cargo.toml",
        "overflow-checks = true",
        "overflow-checks = false",
        "overflow",
    ),
    Break(crates.release_stays_safe, "Cargo.toml", 'panic = "unwind"', 'panic = "abort"', "panic"),
    Break(
        crates.release_stays_safe,
        "Cargo.toml",
        'undocumented_unsafe_blocks = "deny"',
        'undocumented_unsafe_blocks = "allow"',
        "undocumented_unsafe_blocks",
    ),
    *(
        Break(
            rust.pure_crates_forbid_unsafe, f"rust/{crate}/src/lib.rs", "#![forbid(unsafe_code)]\n", "", crate
        )
        for crate in ("wire", "balance", "plan")
    ),
    Break(
        rust.unsafe_stands_where_it_may,
        "rust/plan/src/key.rs",
        "",
        "// SAFETY: none\nunsafe fn key() {}\n",
        "rust/plan/src/key.rs",
    ),
    Break(
        rust.unsafe_stands_where_it_may,
        "rust/engine/src/listen.rs",
        "",
        "fn one() -> u8 {\n    unsafe { std::mem::zeroed() }\n}\n",
        "no SAFETY note",
    ),
    *(
        Break(
            rust.clippy_bans_the_world,
            f"rust/{crate}/clippy.toml",
            f'path = "{path}"',
            'path = "std::x"',
            path,
        )
        for crate, path in [
            ("wire", "std::net::TcpStream"),
            ("balance", "std::time::Instant"),
            ("plan", "std::thread::spawn"),
            ("plan", "std::fs::File"),
            ("balance", "std::hash::RandomState"),
        ]
    ),
    Break(
        rust.bans_are_not_lifted,
        "rust/balance/src/pool.rs",
        "",
        "#![allow(clippy::disallowed_types)]\n",
        "rust/balance/src/pool.rs",
    ),
    Break(
        rust.wire_is_strict_on_bytes, "rust/wire/src/lib.rs", "    clippy::unwrap_used,\n", "", "unwrap_used"
    ),
    Break(
        rust.wire_is_strict_on_bytes,
        "rust/wire/src/host.rs",
        "",
        "#![allow(clippy::indexing_slicing)]\n",
        "rust/wire/src/host.rs",
    ),
    Break(
        rust.errors_change_language_once,
        "rust/binding/src/lib.rs",
        "",
        "use engine::ApplyError;\n",
        "ApplyError",
    ),
    Break(
        rust.errors_change_language_once,
        "rust/binding/src/lib.rs",
        "#[pyclass(frozen, ",
        "#[pyclass(",
        "frozen",
    ),
    Break(
        rust.errors_change_language_once,
        "rust/binding/src/lib.rs",
        "",
        "fn call() { Python::attach(drop) }\n",
        "Python::attach",
    ),
    Break(
        python.one_door_to_the_core,
        "python/pylb/serve.py",
        "import trio",
        "import trio\nfrom pylb import _core",
        "pylb.serve",
    ),
    Break(
        python.one_door_to_the_core,
        "python/pylb/health/probe.py",
        "import trio",
        "import pylb._core\nimport trio",
        "pylb.health.probe",
    ),
    Break(
        python.pure_modules_know_no_loop,
        "python/pylb/health/threshold.py",
        "",
        "import trio\n",
        "pylb.health.threshold -> trio",
    ),
    Break(
        python.pure_modules_know_no_loop,
        "python/pylb/config/scalar.py",
        "",
        "import pylb.core\n",
        "pylb.config.scalar -> pylb.core",
    ),
    Break(python.one_event_loop, "python/pylb/admin/server.py", "import trio", "import asyncio", "asyncio"),
    Break(
        python.durations_are_trios,
        "python/pylb/health/probe.py",
        "import trio",
        "import time",
        "pylb.health.probe -> time",
    ),
    Break(
        python.python_dependencies_are_known,
        "pyproject.toml",
        '    "h11>=0.16",\n',
        '    "h11>=0.16",\n    "httpx>=0.28",\n',
        "httpx",
    ),
    Break(
        python.python_dependencies_are_known,
        "python/pylb/cli.py",
        "import click",
        "import httpx",
        "pylb.cli -> httpx",
    ),
    Break(prose.the_map_is_true, "rust/README.md", "`exchange.rs`", "`barter.rs`", "no file barter.rs"),
    Break(prose.the_map_is_true, "rust/README.md", "`Presence`", "`Absence`", "no type Absence"),
    Break(prose.the_map_is_true, "rust/README.md", "`poll_room()`", "`poll_space()`", "poll_space"),
    Break(prose.the_map_is_whole, "rust/README.md", "| `pace.rs` |", "| pace |", "rust/engine/src/pace.rs"),
    Break(
        prose.nothing_points_at_lines,
        "rust/engine/src/client.rs",
        "",
        "// See line 120 of worker.rs\n",
        "rust/engine/src/client.rs",
    ),
    Break(prose.nothing_points_at_lines, "README.md", "", "As in exchange.rs:45\n", "README.md"),
    Break(prose.nothing_is_left_open, "python/pylb/serve.py", "", "# TODO: more\n", "python/pylb/serve.py"),
    Break(
        prose.floors_agree,
        "pyproject.toml",
        'requires-python = ">=3.11"',
        'requires-python = ">=3.12"',
        "abi3",
    ),
    Break(prose.floors_agree, "README.md", "Python 3.11 or later", "Python 3.9 or later", "README.md"),
    Break(
        prose.floors_agree,
        "Cargo.toml",
        'version = "0.1.0"\nedition',
        'version = "0.2.0"\nedition',
        "CHANGELOG.md",
    ),
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of all that the rules look at."""
    return Tree().copy(tmp_path_factory.mktemp("tree")).root


@pytest.mark.parametrize("broken", BREAKS, ids=str)
def test_goes_red(broken: Break, copy: Path) -> None:
    file = copy / broken.file
    sound = file.read_text()
    lock = (copy / "Cargo.lock").read_text()
    assert broken.old in sound, f"{broken.file} no longer has {broken.old!r}: this break breaks nothing"
    file.write_text(sound.replace(broken.old, broken.new, 1))
    try:
        complaints = list(broken.rule(Tree(copy)))
    finally:
        file.write_text(sound)
        (copy / "Cargo.lock").write_text(lock)
    assert any(broken.named in complaint for complaint in complaints), complaints


def test_every_rule_is_broken_once() -> None:
    assert {broken.rule for broken in BREAKS} == set(RULES)
