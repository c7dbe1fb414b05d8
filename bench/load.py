"""The load generators: wrk for requests, `pylb-origin idle` for connections that hold still."""

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.cells import Load

_SCRIPT = Path(__file__).with_name("report.lua")
_PREFIX = "RESULT "


@dataclass(frozen=True)
class Outcome:
    """What wrk saw. Errors are failed connects, reads, writes, timeouts and answers of 400 and above."""

    requests: int
    bytes: int
    seconds: float
    p50_us: int
    p99_us: int
    errors: int


def wrk() -> str:
    """Where wrk is."""
    found = shutil.which("wrk")
    if found is None:
        raise SystemExit("bench needs wrk: apt-get install wrk")
    return found


def command(cell: Load, port: int, seconds: int) -> list[str]:
    """wrk with one thread for that cell."""
    heads = [part for head in cell.heads for part in ("-H", head)]
    shape = ["-t1", f"-c{cell.connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(_SCRIPT)]
    return [wrk(), *shape, *heads, f"http://127.0.0.1:{port}{cell.path}"]


def drive(cell: Load, port: int, seconds: int) -> Outcome:
    """Runs wrk to its end; the caller has put this process on the core that wrk shall use."""
    ran = subprocess.run(command(cell, port, seconds), capture_output=True, text=True, timeout=seconds + 30)
    lines = [line for line in ran.stdout.splitlines() if line.startswith(_PREFIX)]
    if not lines:
        raise RuntimeError(f"wrk gave no result: {ran.stderr.strip() or ran.stdout.strip()}")
    told = json.loads(lines[0].removeprefix(_PREFIX))
    errors = sum(told.pop(kind) for kind in ("connect", "read", "write", "timeout", "status"))
    return Outcome(**told, errors=errors)


@contextlib.contextmanager
def holding(origin: Path, port: int, connections: int) -> Iterator[None]:
    """Inside, so many keep-alive connections are open, each used once."""
    shape = [str(origin), "idle", "--to", str(port), "--connections", str(connections)]
    with subprocess.Popen(shape, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        try:
            if not holder.stdout.readline().startswith("holding"):
                raise RuntimeError(f"could not open {connections} connections")
            yield
        finally:
            holder.stdin.close()
