"""What cargo has to say about the crates: tests, lints, form.

Tests run in the dev profile: it compiles in well under a minute, where the release profile's whole-program
link would be paid once per test program.
"""

import os
import subprocess
from pathlib import Path

import pytest
from architecture.tree import ROOT, Tree

BROKEN = {
    "wire": "pub fn call(at: std::net::SocketAddr) { let _ = std::net::TcpStream::connect(at); }\n",
    "balance": "pub fn pick() -> std::time::Instant { std::time::Instant::now() }\n",
    "plan": 'pub fn work() { std::thread::spawn(|| ()); let _ = std::fs::read("x"); }\n',
}
"""For each pure crate a function that touches the world."""


def cargo(*arguments: str, root: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    """Runs cargo on the workspace at `root`."""
    environ = {**os.environ, "CARGO_TERM_COLOR": "never", "CARGO_TARGET_DIR": str(ROOT / "target")}
    return subprocess.run(["cargo", *arguments], cwd=root, env=environ, capture_output=True, text=True)


def expect_success(ran: "subprocess.CompletedProcess[str]") -> None:
    """Fails with what cargo printed, the end of it if it was much."""
    if ran.returncode:
        pytest.fail((ran.stdout + ran.stderr)[-20_000:], pytrace=False)


def test_tests() -> None:
    expect_success(cargo("test", "--workspace", "--locked", "--no-fail-fast"))


def test_clippy() -> None:
    expect_success(cargo("clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"))


def test_format() -> None:
    expect_success(cargo("fmt", "--all", "--check"))


def test_fuzz_targets_compile_and_have_form() -> None:
    """They are no part of the workspace, because fuzzing needs a nightly compiler; a look does not."""
    manifest = ["--manifest-path", str(ROOT / "rust/fuzz/Cargo.toml")]
    expect_success(cargo("check", *manifest, "--locked"))
    expect_success(cargo("fmt", *manifest, "--check"))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace, elsewhere."""
    return Tree().copy(tmp_path_factory.mktemp("workspace")).root


@pytest.mark.parametrize("crate", BROKEN)
def test_clippy_keeps_the_world_out(crate: str, copy: Path) -> None:
    source = copy / "rust" / crate / "src" / "lib.rs"
    sound = source.read_text()
    source.write_text(sound + "/// Touches the world.\n" + BROKEN[crate])
    try:
        ran = cargo("clippy", "-p", crate, "--locked", "--", "-D", "warnings", root=copy)
    finally:
        source.write_text(sound)
    assert ran.returncode != 0
    assert "use of a disallowed" in ran.stderr, ran.stderr
