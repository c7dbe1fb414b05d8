"""`python -m bench.syscalls`: system calls of pylb per request, counted by strace over 100,000 requests.

64 keep-alive connections, warm: opened and used before counting begins. wrk is stopped (SIGSTOP) while strace
attaches and again before it detaches, so that the requests counted by the origin are exactly those whose
calls were counted; between, pylb is slowed by strace and always has work, as at saturation. All its threads
are counted.

Ends with 0 if both bars hold, 1 if one does not, and 77 (skipped, as automake has it) with a reason where
strace is missing or may not trace.
"""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import load, meter, origin, place, proxy
from bench.cells import Load
from bench.peers import PEERS, Peer, pylb
from bench.say import say

REQUESTS = 100_000
CELL = Load("syscalls", "64 warm keep-alive connections", "/64", 64, bar=0.0)
# One recv and one send on either side make 4; the rest is for what happens beside requests.
INPUT_OUTPUT_BAR, EPOLL_CTL_BAR = 4.2, 1.0
SKIPPED = 77

_RECEIVE = ("recvfrom", "recvmsg", "read", "readv")
_SEND = ("sendto", "sendmsg", "write")
_FAMILIES = {"recv": _RECEIVE, "send": _SEND, "writev": ("writev",), "epoll_ctl": ("epoll_ctl",)}
_PATIENCE = 300.0


class Skip(RuntimeError):
    """Why the count cannot be taken here."""


@dataclass(frozen=True)
class Counts:
    """Calls over a number of requests."""

    requests: int
    calls: dict[str, int]

    def per_request(self, family: str) -> float:
        """Calls of a family: recv, send, writev or epoll_ctl."""
        return sum(self.calls.get(name, 0) for name in _FAMILIES[family]) / self.requests

    @property
    def input_output(self) -> float:
        """recv, send and writev together, per request."""
        return sum(self.per_request(family) for family in ("recv", "send", "writev"))

    @property
    def epoll_ctl_per_thousand(self) -> float:
        """Changes of what is watched: a kept connection needs none."""
        return self.per_request("epoll_ctl") * 1000

    @property
    def holds(self) -> bool:
        return self.input_output <= INPUT_OUTPUT_BAR and self.epoll_ctl_per_thousand <= EPOLL_CTL_BAR


def count(requests: int = REQUESTS, peer: Peer = pylb.PEER) -> Counts:
    """Counts on a proxy of its own; raises Skip where that is impossible."""
    strace = shutil.which("strace")
    if strace is None:
        raise Skip("strace is missing: apt-get install strace")
    if peer.find() is None:
        raise Skip(f"{peer.name} is missing: {peer.package}")
    cores = place.cores()
    with (
        tempfile.TemporaryDirectory() as folder,
        origin.serving(cores.others),
        proxy.running(peer, CELL, core=cores.proxy) as pid,
        place.on_core(cores.others),
        _paused_load() as generator,
    ):
        table = Path(folder) / "table"
        with _traced(strace, meter.tree(pid), table):
            before = origin.served()
            os.kill(generator, signal.SIGCONT)
            _wait(lambda: origin.served() - before >= requests, "requests stay unanswered")
            os.kill(generator, signal.SIGSTOP)
            served = _settled() - before
        calls = _read(table.read_text())
        if not calls:
            raise RuntimeError("strace counted nothing")
        return Counts(served, calls)


@contextlib.contextmanager
def _paused_load() -> Iterator[int]:
    """wrk with its connections open and used, stopped; yields its process id."""
    seconds = int(_PATIENCE) * 2
    start = origin.served()
    process = subprocess.Popen(load.command(CELL, place.PORT, seconds), stdout=subprocess.DEVNULL)
    try:
        _wait(lambda: origin.served() - start > 50 * CELL.connections, "wrk does not get going")
        process.send_signal(signal.SIGSTOP)
        _settled()
        yield process.pid
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def _traced(strace: str, pids: list[int], table: Path) -> Iterator[None]:
    """Every call of every thread is counted inside; afterwards `table` holds the counts."""
    messages = table.with_name("messages")
    command = [strace, "-c", "-f", "-o", str(table), *(part for pid in pids for part in ("-p", str(pid)))]

    def attached_or_ended() -> bool:
        return messages.read_text().count("attached") >= len(pids) or process.poll() is not None

    with messages.open("wb") as told:
        process = subprocess.Popen(command, stdout=told, stderr=told)
    try:
        _wait(attached_or_ended, "strace does not attach")
        if process.poll() is not None:
            raise Skip(f"strace may not trace here: {messages.read_text().strip()}")
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def _settled() -> int:
    """Requests served, once the number has stood still for a moment."""
    seen = [origin.served()]

    def still() -> bool:
        time.sleep(0.2)
        seen.append(origin.served())
        return seen[-1] == seen[-2]

    _wait(still, "requests go on although wrk is stopped")
    return seen[-1]


def _wait(condition: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(otherwise)
        time.sleep(0.02)


def _read(table: str) -> dict[str, int]:
    """Calls by name from strace's table: `% time, seconds, usecs/call, calls, [errors,] syscall`."""
    rows = [line.split() for line in table.splitlines()]
    return {
        row[-1]: int(row[3]) for row in rows if len(row) in (5, 6) and row[3].isdigit() and row[-1] != "total"
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Counts, prints, and says by the exit code how it went."""
    peers = {peer.name: peer for peer in PEERS}
    parser = argparse.ArgumentParser("python -m bench.syscalls", description="System calls per request.")
    parser.add_argument("--peer", choices=peers, default="pylb", help="another proxy, for comparison")
    options = parser.parse_args(arguments)
    load.wrk()
    origin.build()
    place.enter_namespace("bench.syscalls", ["--peer", options.peer])
    place.raise_descriptors()
    try:
        counts = count(peer=peers[options.peer])
    except Skip as reason:
        say(f"skipped: {reason}")
        return SKIPPED
    for name, calls in sorted(counts.calls.items(), key=lambda entry: -entry[1]):
        say(f"{name:20} {calls:9} {calls / counts.requests:9.4f} per request")
    say(f"{counts.requests} requests on {CELL.connections} connections")
    say(", ".join(f"{family} {counts.per_request(family):.3f}" for family in _FAMILIES) + " per request")
    say(f"recv + send + writev {counts.input_output:.3f} per request (at most {INPUT_OUTPUT_BAR})")
    say(f"epoll_ctl {counts.epoll_ctl_per_thousand:.3f} per 1,000 requests (at most {EPOLL_CTL_BAR})")
    say("pass" if counts.holds else "FAIL")
    return int(not counts.holds)


if __name__ == "__main__":
    raise SystemExit(main())
