"""The load generators: wrk for requests, `pylb-origin` for all that wrk cannot do."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.cells import Load
from bench.origin import PREFIX, binary

_SCRIPT = Path(__file__).with_name("report.lua")
# One version, suite and group for wrk, as `tls.rs` of the origin program has it for the other clients. wrk
# has no options for them, but OpenSSL reads its defaults from a file.
_OPENSSL = """openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = tls
[tls]
MinProtocol = TLSv1.3
Ciphersuites = TLS_AES_256_GCM_SHA384
Groups = X25519
"""
_GRACE = 30


@dataclass(frozen=True)
class Outcome:
    """What a client saw. Errors: failed connects, reads and writes, timeouts, answers that are not right."""

    requests: int
    bytes: int
    seconds: float
    p50_us: int
    p99_us: int
    errors: int
    resumed: int = 0


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
    return [wrk(), *shape, *heads, f"{cell.service}://127.0.0.1:{port}{cell.path}"]


def drive(cell: Load, port: int, seconds: int) -> Outcome:
    """Runs wrk to its end; the caller has put this process on the core that wrk shall use."""
    with tempfile.NamedTemporaryFile("w", suffix=".cnf") as defaults:
        defaults.write(_OPENSSL)
        defaults.flush()
        environment = {**os.environ, "OPENSSL_CONF": defaults.name}
        told = _told(_result(command(cell, port, seconds), seconds, environment))
    errors = sum(told.pop(kind) for kind in ("connect", "read", "write", "timeout", "status"))
    return Outcome(**told, errors=errors)


def client(arguments: list[str], port: int, seconds: int) -> Outcome:
    """Runs a client of the origin program to its end, on the core of this process too."""
    return Outcome(**_told(_result(_command(arguments, port, seconds), seconds)))


@contextlib.contextmanager
def beside(arguments: list[str], port: int, seconds: int) -> Iterator[list[Outcome]]:
    """Such a client runs meanwhile, when nothing else wants its core; afterwards the list has its outcome."""
    outcome: list[Outcome] = []
    with subprocess.Popen(_command(arguments, port, seconds), stdout=subprocess.PIPE, text=True) as process:
        os.sched_setscheduler(process.pid, os.SCHED_IDLE, os.sched_param(0))
        try:
            yield outcome
            outcome.append(Outcome(**_told(process.communicate(timeout=seconds + _GRACE)[0])))
        finally:
            process.kill()


@contextlib.contextmanager
def holding(kind: str, port: int, connections: int) -> Iterator[None]:
    """Inside, so many keep-alive connections are open, each used once; `kind` is idle or idle-tls."""
    shape = [str(binary()), kind, "--to", str(port), "--connections", str(connections)]
    with subprocess.Popen(shape, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        try:
            if not holder.stdout.readline().startswith("holding"):
                raise RuntimeError(f"could not open {connections} connections")
            yield
            told = holder.communicate(timeout=_GRACE)[0]
            if told.strip() != f"held {connections}":
                raise RuntimeError(f"of {connections} connections only these were left: {told.strip()}")
        finally:
            holder.kill()


def _command(arguments: list[str], port: int, seconds: int) -> list[str]:
    return [str(binary()), *arguments, "--to", str(port), "--seconds", str(seconds)]


def _result(command: list[str], seconds: int, environment: dict[str, str] | None = None) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, timeout=seconds + _GRACE, env=environment)
    if PREFIX not in ran.stdout:
        why = ran.stderr.strip() or ran.stdout.strip()
        raise RuntimeError(f"{Path(command[0]).name} gave no result: {why}")
    return ran.stdout


def _told(output: str) -> dict[str, int]:
    lines = [line for line in output.splitlines() if line.startswith(PREFIX)]
    if not lines:
        raise RuntimeError(f"no result, but: {output.strip() or 'nothing'}")
    told: dict[str, int] = json.loads(lines[0].removeprefix(PREFIX))
    return told
