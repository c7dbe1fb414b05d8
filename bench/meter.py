"""What a process tree has used: CPU time to the nanosecond, and memory as the kernel accounts it.

CPU time is read from each process's own clock (clock_getcpuclockid(3)), which the scheduler keeps exactly and
which includes threads that have ended. The split into user and system comes from /proc/PID/stat, which
samples at the timer tick: a share of the exact total, good to a few per cent over some seconds.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cpu:
    """Seconds of CPU time."""

    total: float
    user: float
    system: float

    def since(self, before: "Cpu") -> "Cpu":
        """What was used between two readings; user and system add up to the exact total."""
        total = self.total - before.total
        user, system = self.user - before.user, self.system - before.system
        share = user / (user + system) if user + system > 0 else 0.0
        return Cpu(total, total * share, total * (1 - share))


@dataclass(frozen=True)
class Memory:
    """KiB of a process tree: resident, proportional (shared pages divided) and private."""

    rss: int
    pss: int
    private: int


def tree(root: int) -> list[int]:
    """The process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(_after_name(stat)[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, []))
    return found


def cpu(pids: list[int]) -> Cpu:
    """CPU time of those processes so far."""
    ticks = [_after_name(Path(f"/proc/{pid}/stat"))[11:13] for pid in pids]
    user, system = (sum(float(pair[side]) for pair in ticks) / _TICKS for side in (0, 1))
    return Cpu(sum(time.clock_gettime(_clock(pid)) for pid in pids), user, system)


def core_seconds(core: int) -> float:
    """Seconds that a core was not idle, or was taken by the host: /proc/stat, to the tick."""
    lines = Path("/proc/stat").read_text().splitlines()
    user, nice, system, _idle, _waiting, *interrupts_and_steal = next(
        [int(ticks) for ticks in line.split()[1:9]] for line in lines if line.startswith(f"cpu{core} ")
    )
    return (user + nice + system + sum(interrupts_and_steal)) / _TICKS


def memory(pids: list[int]) -> Memory:
    """Memory of those processes now."""
    sums: dict[str, int] = {}
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, size = line.split()[:2]
            sums[name] = sums.get(name, 0) + int(size)
    return Memory(sums["Rss:"], sums["Pss:"], sums["Private_Clean:"] + sums["Private_Dirty:"])


def _clock(pid: int) -> int:
    """The number of a process's CPU clock: Linux's MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED)."""
    return (~pid << 3) | 2


def _after_name(stat: Path) -> list[str]:
    """The fields of /proc/PID/stat behind the name, which may itself hold spaces: state, parent, ..."""
    return stat.read_text().rpartition(")")[2].split()
