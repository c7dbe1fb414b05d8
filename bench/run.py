"""Rounds over cells and peers: every round measures every peer, so that slow changes of the machine meet all
alike.

The order turns by one from round to round. A peer that fails in a cell is left out of its further rounds, and
the report says why; the others go on. One that cannot do what the cell asks for, for want of a
module perhaps, is left out from the beginning, with the reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bench import once
from bench.cells import Cell, Idle
from bench.peers import Peer
from bench.place import Cores
from bench.results import CellResult
from bench.say import say

_IDLE_ROUNDS = 3


@dataclass(frozen=True)
class Effort:
    """How long to look: seconds of each load, and how often."""

    seconds: int
    rounds: int


def measure(cell: Cell, peers: Sequence[Peer], effort: Effort, cores: Cores) -> CellResult:
    """All rounds of one cell."""
    result = CellResult(cell.title, cell.unit, cell.bar, list(cell.against), cell.rule)
    peers = [peer for peer in peers if peer.takes_part(cell)]
    for peer in peers:
        if reason := peer.lacks(cell):
            result.left_out[peer.name] = reason
            say(f"  {cell.name}: {peer.name} is left out: {reason}")
    peers = [peer for peer in peers if peer.name not in result.left_out]
    rounds = min(effort.rounds, _IDLE_ROUNDS) if isinstance(cell, Idle) else effort.rounds
    for number in range(rounds):
        turn = number % max(len(peers), 1)
        for peer in [*peers[turn:], *peers[:turn]]:
            if peer.name in result.failures:
                continue
            try:
                run = once.measure(cell, peer, effort.seconds, cores)
            except (RuntimeError, OSError) as error:
                result.failures[peer.name] = str(error)
                say(f"  {cell.name}: {peer.name} failed: {error}")
                continue
            result.runs.setdefault(peer.name, []).append(run)
            where = f"  {cell.name} round {number + 1}/{rounds}"
            say(f"{where} {peer.name:14} {run.cost:8.2f} {cell.unit}, {run.errors} errors")
    return result
