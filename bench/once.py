"""One measurement: one proxy, one cell, one round. Each kind of cell has its own way to put a load on.

What is the same for all: the backends start first, the proxy has its core to itself and is checked before it
is measured, a second of the load comes before the one that counts, and errors are those of both ends.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from bench import load, meter, origin, probe, proxy
from bench.cells import Cell, Flood, Handshakes, Idle, Load, Relay
from bench.load import Outcome
from bench.peers import Peer
from bench.place import PORT, TLS_PORT, Cores, on_core
from bench.results import Run

_WARM_UP = 1
_SETTLE, _SETTLED_KIB, _PATIENCE = 0.5, 32, 10
_GIB = 1 << 30
_RELAYED = {"echo": probe.tcp_echoes, "stream": probe.tcp_streams, "echo-udp": probe.udp_echoes}


@dataclass(frozen=True)
class Spent:
    """What the proxy used over a load."""

    cpu: meter.Cpu
    took: float
    others: float
    memory: meter.Memory


def measure(cell: Cell, peer: Peer, seconds: int, cores: Cores) -> Run:
    """Starts all, measures, stops all; fails with RuntimeError or OSError."""
    if isinstance(cell, Relay):
        return _relay(cell, peer, seconds, cores)
    answers = probe.https_answers if cell.service == "https" else probe.http_answers
    with (
        origin.serving(cores.others),
        proxy.running(peer, cell, core=cores.proxy, answers=answers) as pid,
        on_core(cores.others),
    ):
        proxy.check(peer, cell)
        match cell:
            case Idle():
                return _hold(cell, pid)
            case Load():
                return _drive(cell, pid, seconds, cores.proxy)
            case Handshakes():
                return _shake(cell, pid, seconds, cores.proxy)
            case Flood():
                return _flood(cell, pid, seconds, cores.proxy)


def _drive(cell: Load, pid: int, seconds: int, core: int) -> Run:
    port = TLS_PORT if cell.service == "https" else PORT
    load.drive(cell, port, _WARM_UP)
    served = origin.served()
    saw, spent = _spend(pid, core, lambda: load.drive(cell, port, seconds))
    if not saw.requests:
        raise RuntimeError("no request was answered")
    # Answers that no backend gave; requests that wrk no longer waited for at its end make it negative.
    made_up = max(saw.requests - (origin.served() - served), 0)
    unit = 1e3 * _GIB / saw.bytes if cell.per_gib else 1e6 / saw.requests
    return _run(saw, spent, unit, errors=made_up)


def _shake(cell: Handshakes, pid: int, seconds: int, core: int) -> Run:
    arguments = ["handshake", "--connections", str(cell.connections), "--resume", str(int(cell.resume))]
    load.client(arguments, TLS_PORT, _WARM_UP)
    saw, spent = _spend(pid, core, lambda: load.client(arguments, TLS_PORT, seconds))
    if not saw.requests:
        raise RuntimeError(f"no handshake succeeded, {saw.errors} failed")
    return _run(saw, spent, 1e6 / saw.requests)


def _relay(cell: Relay, peer: Peer, seconds: int, cores: Cores) -> Run:
    arguments = list(cell.client)
    with (
        origin.relayed(cell.server, cores.others) as seen,
        proxy.running(peer, cell, core=cores.proxy, answers=_RELAYED[cell.server]) as pid,
        on_core(cores.others),
    ):
        load.client(arguments, PORT, _WARM_UP)
        saw, spent = _spend(pid, cores.proxy, lambda: load.client(arguments, PORT, seconds))
    if not saw.requests:
        raise RuntimeError(f"nothing came through, {saw.errors} errors")
    if seen.bytes < saw.bytes:
        raise RuntimeError(f"the clients got {saw.bytes} bytes, of which the servers sent {seen.bytes}")
    unit = 1e3 * _GIB / saw.bytes if cell.per_gib else 1e6 / saw.requests
    return _run(saw, spent, unit, errors=seen.errors)


def _flood(cell: Flood, pid: int, seconds: int, core: int) -> Run:
    """The clear clients go first on their core; the flood has what they and the origin leave of it."""
    pace = ["pace", "--connections", "64", "--rate", str(cell.per_second)]
    flood = ["handshake", "--connections", str(cell.handshakes), "--resume", "0"]
    load.client(pace, PORT, _WARM_UP)
    quiet = load.client(pace, PORT, seconds)
    with load.beside(flood, TLS_PORT, seconds + 2 * _WARM_UP) as flooded:
        time.sleep(_WARM_UP)
        loud, spent = _spend(pid, core, lambda: load.client(pace, PORT, seconds))
    if not flooded[0].requests:
        raise RuntimeError(f"no handshake succeeded, {flooded[0].errors} failed")
    run = _run(loud, spent, 0.0, errors=quiet.errors + flooded[0].errors)
    return Run(
        cost=(loud.p99_us - quiet.p99_us) / 1e3,
        busy=run.busy,
        disturbed=run.disturbed,
        per_second=flooded[0].requests / flooded[0].seconds,
        p50_us=run.p50_us,
        p99_us=run.p99_us,
        quiet_p99_us=quiet.p99_us,
        rss_kib=run.rss_kib,
        pss_kib=run.pss_kib,
        errors=run.errors,
    )


def _hold(cell: Idle, pid: int) -> Run:
    """Private memory with the connections open, less that before; some come first, for what is made once."""
    kind, port = ("idle-tls", TLS_PORT) if cell.service == "https" else ("idle", PORT)
    with load.holding(kind, port, 64):
        pass
    pids = meter.tree(pid)
    before = _settled(pids)
    with load.holding(kind, port, cell.connections):
        after = _settled(pids)
    return Run((after.private - before.private) / cell.connections, rss_kib=after.rss, pss_kib=after.pss)


def _spend(pid: int, core: int, work: Callable[[], Outcome]) -> tuple[Outcome, Spent]:
    pids = meter.tree(pid)
    before, core_before, began = meter.cpu(pids), meter.core_seconds(core), time.monotonic()
    saw = work()
    used, took = meter.cpu(pids).since(before), time.monotonic() - began
    others = meter.core_seconds(core) - core_before - used.total
    return saw, Spent(used, took, max(others, 0.0), meter.memory(pids))


def _run(saw: Outcome, spent: Spent, unit: float, errors: int = 0) -> Run:
    """`unit` turns seconds of CPU into the cell's unit; `errors` are those that the clients could not see."""
    return Run(
        cost=spent.cpu.total * unit,
        user=spent.cpu.user * unit,
        system=spent.cpu.system * unit,
        busy=spent.cpu.total / spent.took,
        disturbed=spent.others / spent.took,
        per_second=saw.requests / saw.seconds,
        p50_us=saw.p50_us,
        p99_us=saw.p99_us,
        rss_kib=spent.memory.rss,
        pss_kib=spent.memory.pss,
        errors=saw.errors + errors,
    )


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
