"""What a run found out, as it is kept in bench/results/NAME.json.

`runs` are raw; medians and ratios are computed from them when shown, so that a file can be judged anew.
"""

import json
import os
import platform
import statistics
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.cells import Rule

FOLDER = Path(__file__).with_name("results")


@dataclass(frozen=True)
class Run:
    """One peer, one cell, one round. `cost`, `user` and `system` in the cell's unit; what a cell lacks is 0.

    `busy` is the share of its core that the proxy used, `disturbed` what others used or the host took.
    `per_second` counts requests, handshakes or echoes. Under a flood it is the handshakes of the flood, and
    `quiet_p99_us` what `p99_us` was without it.
    """

    cost: float
    user: float = 0.0
    system: float = 0.0
    busy: float = 0.0
    disturbed: float = 0.0
    per_second: float = 0.0
    p50_us: float = 0.0
    p99_us: float = 0.0
    quiet_p99_us: float = 0.0
    rss_kib: int = 0
    pss_kib: int = 0
    errors: int = 0


@dataclass
class CellResult:
    """All runs of one cell, by peer, and by peer what went wrong and why one did not take part.

    The bar is against the peers of `against`; all reference peers if there are none. `rule`: see `cells`.
    """

    title: str
    unit: str
    bar: float
    against: list[str] = field(default_factory=list)
    rule: Rule = "ratio"
    runs: dict[str, list[Run]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def median(self, peer: str, member: str = "cost") -> float:
        """The median over the rounds."""
        return statistics.median(float(getattr(run, member)) for run in self.runs[peer])

    def spread(self, peer: str) -> float:
        """How far the rounds lie apart: (highest - lowest) / median of the cost."""
        costs = [run.cost for run in self.runs[peer]]
        return (max(costs) - min(costs)) / statistics.median(costs) if statistics.median(costs) else 0.0

    def errors(self, peer: str) -> int:
        """Over all rounds."""
        return sum(run.errors for run in self.runs[peer])


@dataclass
class Results:
    """One run of the benchmark."""

    about: dict[str, Any]
    references: list[str]
    cells: dict[str, CellResult] = field(default_factory=dict)

    def store(self, name: str) -> Path:
        """Writes NAME.json and returns its path."""
        FOLDER.mkdir(exist_ok=True)
        path = FOLDER / f"{name}.json"
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")
        return path


def machine() -> dict[str, Any]:
    """What the numbers depend on besides the programs."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    named = [line for line in cpuinfo.splitlines() if line.startswith("model name")]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=FOLDER.parent, capture_output=True, text=True)
    return {
        "kernel": platform.release(),
        "cpu": named[0].partition(":")[2].strip() if named else platform.machine(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "commit": commit.stdout.strip() or None,
    }
