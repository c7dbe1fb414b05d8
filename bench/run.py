"""Rounds over cells and peers: every round measures every peer, so that slow changes of the machine meet all
alike.

The order turns by one from round to round. A peer that fails in a cell is left out of its further rounds, and
the report says why; the others go on.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import load, meter, origin, proxy
from bench.cells import Cell, Idle, Load
from bench.peers import Peer
from bench.place import PORT, Cores, on_core
from bench.results import CellResult, Run
from bench.say import say

_WARM_UP = 1
_SETTLE, _SETTLED_KIB, _PATIENCE = 0.5, 32, 10
_IDLE_ROUNDS = 3
_GIB = 1 << 30


@dataclass(frozen=True)
class Effort:
    """How long to look: seconds of each wrk run, and how often."""

    seconds: int
    rounds: int


def measure(cell: Cell, peers: Sequence[Peer], effort: Effort, cores: Cores) -> CellResult:
    """All rounds of one cell."""
    result = CellResult(cell.title, cell.unit, cell.bar)
    peers = [peer for peer in peers if peer.takes_part(cell.name, access_log=cell.access_log)]
    rounds = min(effort.rounds, _IDLE_ROUNDS) if isinstance(cell, Idle) else effort.rounds
    for number in range(rounds):
        turn = number % max(len(peers), 1)
        for peer in [*peers[turn:], *peers[:turn]]:
            if peer.name in result.failures:
                continue
            try:
                run = _once(cell, peer, effort.seconds, cores)
            except (RuntimeError, OSError) as error:
                result.failures[peer.name] = str(error)
                say(f"  {cell.name}: {peer.name} failed: {error}")
                continue
            result.runs.setdefault(peer.name, []).append(run)
            where = f"  {cell.name} round {number + 1}/{rounds}"
            say(f"{where} {peer.name:14} {run.cost:8.2f} {cell.unit}, {run.errors} errors")
    return result


def _once(cell: Cell, peer: Peer, seconds: int, cores: Cores) -> Run:
    with (
        origin.serving(cores.others),
        proxy.running(peer, core=cores.proxy, access_log=cell.access_log) as pid,
        on_core(cores.others),
    ):
        proxy.check(peer)
        if isinstance(cell, Idle):
            return _hold(cell, pid, origin.binary())
        return _drive(cell, pid, seconds, cores.proxy)


def _drive(cell: Load, pid: int, seconds: int, core: int) -> Run:
    load.drive(cell, PORT, _WARM_UP)
    pids = meter.tree(pid)
    before, core_before, began = meter.cpu(pids), meter.core_seconds(core), time.monotonic()
    saw = load.drive(cell, PORT, seconds)
    used, took = meter.cpu(pids).since(before), time.monotonic() - began
    others = meter.core_seconds(core) - core_before - used.total
    if not saw.requests:
        raise RuntimeError("no request was answered")
    unit = 1e3 * _GIB / saw.bytes if cell.per_gib else 1e6 / saw.requests
    memory = meter.memory(pids)
    return Run(
        cost=used.total * unit,
        user=used.user * unit,
        system=used.system * unit,
        busy=used.total / took,
        disturbed=max(others, 0.0) / took,
        per_second=saw.requests / saw.seconds,
        p50_us=saw.p50_us,
        p99_us=saw.p99_us,
        rss_kib=memory.rss,
        pss_kib=memory.pss,
        errors=saw.errors,
    )


def _hold(cell: Idle, pid: int, opener: Path) -> Run:
    """Private memory with the connections open, less that before; some come first, for what is made once."""
    with load.holding(opener, PORT, 64):
        pass
    pids = meter.tree(pid)
    before = _settled(pids)
    with load.holding(opener, PORT, cell.connections):
        after = _settled(pids)
    return Run((after.private - before.private) / cell.connections, rss_kib=after.rss, pss_kib=after.pss)


def _settled(pids: list[int]) -> meter.Memory:
    """Memory once it has stopped moving: a process that has just started is not done with itself."""
    seen = [meter.memory(pids)]
    for _ in range(_PATIENCE):
        time.sleep(_SETTLE)
        seen.append(meter.memory(pids))
        if (
            len(seen) > 2
            and max(abs(seen[-1].private - other.private) for other in seen[-3:]) <= _SETTLED_KIB
        ):
            break
    return seen[-1]
