"""The backends and the floor: building the workspace's small Rust program, and running it."""

import contextlib
import http.client
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import place
from bench.place import BACKENDS

ROOT = Path(__file__).resolve().parent.parent
PREFIX = "RESULT "
"""What stands before the result in the output of a load generator or a server."""


@dataclass
class Seen:
    """What the backends without HTTP have seen, once they have stopped."""

    bytes: int = 0
    errors: int = 0


def build() -> Path:
    """Builds the program, if it is not built yet, and returns where it is."""
    told = subprocess.run(
        ["cargo", "build", "--release", "--quiet", "-p", "pylb-origin"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if told.returncode:
        raise SystemExit(f"the origin does not build:\n{told.stderr}")
    return binary()


def binary() -> Path:
    """Where cargo puts it."""
    return ROOT / "target" / "release" / "pylb-origin"


@contextlib.contextmanager
def serving(core: int) -> Iterator[None]:
    """Both backends answer inside."""
    with place.on_core(core):
        process = subprocess.Popen(_command("origin"))
    try:
        deadline = time.monotonic() + 5
        while not _answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the origin does not start; is something else on ports {BACKENDS}?")
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def relayed(kind: str, core: int) -> Iterator[Seen]:
    """The same for backends without HTTP: echo, stream or echo-udp. What they saw is there afterwards."""
    seen = Seen()
    with place.on_core(core):
        process = subprocess.Popen(
            _command(kind), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
    with process:
        assert process.stdout is not None
        try:
            if not process.stdout.readline().startswith("serving"):
                raise SystemExit(f"{kind} does not start; is something else on ports {BACKENDS}?")
            yield seen
            told = json.loads(process.communicate(timeout=10)[0].removeprefix(PREFIX))
            seen.bytes, seen.errors = told["bytes"], told["errors"]
        finally:
            process.kill()


def _command(kind: str) -> list[str]:
    return [str(binary()), kind, *(part for port in BACKENDS for part in ("--port", str(port)))]


def served() -> int:
    """Requests that the backends have answered so far."""
    connection = http.client.HTTPConnection("127.0.0.1", BACKENDS[0], timeout=5)
    try:
        connection.request("GET", "/served")
        return int(connection.getresponse().read())
    finally:
        connection.close()


def _answers() -> bool:
    with contextlib.suppress(OSError, http.client.HTTPException):
        return served() >= 0
    return False
