"""The table of a cell and the verdicts, for people.

Ratios are those of medians within one run: `x best` against the cheapest reference peer, `x floor` against
the byte copier. A bar holds if pylb's ratio to the cheapest of the peers that the cell names (or, where it is
absolute, pylb's number) is at most the bar and none of its requests failed; beside a flood, if pylb's clients
also wait less longer than those of any of these peers.
"""

from dataclasses import dataclass

from bench.results import CellResult, Results
from bench.say import say

OURS, FLOOR, BEFORE = "pylb", "floor", "before"
_SHOWN = ("user", "system", "busy", "disturbed", "per_second", "p50_us", "p99_us", "pss_kib", "rss_kib")
# Above this share of the proxy's core, work of others has moved caches and clocks too much to read a bar.
_QUIET = 0.05


@dataclass(frozen=True)
class Verdict:
    """What became of one bar. `value` is None where it could not be read."""

    cell: str
    value: float | None
    bar: float
    holds: bool
    why: str = ""


def best_reference(result: CellResult, references: list[str]) -> str | None:
    """The cheapest of the reference peers that ran."""
    ran = [peer for peer in references if peer in result.runs]
    return min(ran, key=result.median, default=None)


def rival(result: CellResult, references: list[str]) -> str | None:
    """The cheapest of the peers that the bar is against."""
    return best_reference(result, result.against or references)


def is_absolute(result: CellResult) -> bool:
    """The bar is a number in the cell's unit, not a ratio."""
    return result.rule != "ratio"


def judge(name: str, result: CellResult, references: list[str]) -> Verdict:
    """Reads the bar of one cell."""
    best = rival(result, references)
    if OURS in result.failures or OURS not in result.runs:
        return Verdict(
            name, None, result.bar, False, _gist(result.failures.get(OURS, "pylb was not measured"))
        )
    if result.rule == "absolute":
        value = result.median(OURS)
    elif best is None:
        wanted = ", ".join(result.against) or "reference peer"
        return Verdict(name, None, result.bar, False, f"no {wanted} was measured")
    elif result.rule == "rise":
        value = result.median(OURS)
        if value >= result.median(best):
            return Verdict(name, value, result.bar, False, f"{best} adds {result.median(best):.2f} ms")
    else:
        value = result.median(OURS) / result.median(best)
    if result.errors(OURS):
        return Verdict(name, value, result.bar, False, f"{result.errors(OURS)} requests failed")
    return Verdict(name, value, result.bar, value <= result.bar)


def table(result: CellResult, references: list[str]) -> list[str]:
    """One line per peer, cheapest first."""
    best = best_reference(result, references)
    head = f"{'':15}{'cost':>9}{'user':>8}{'system':>8}{'spread':>8}{'x best':>8}{'x floor':>8}"
    head += f"{'per s':>9}{'busy':>6}{'else':>6}{'p50 us':>8}{'p99 us':>8}{'PSS MiB':>8}{'RSS MiB':>8}"
    head += f"{'errors':>7}"
    lines = [f"{result.title}: {result.unit}", head]
    for peer in sorted(result.runs, key=result.median):
        cost = result.median(peer)
        told = {member: result.median(peer, member) for member in _SHOWN}
        lines.append(
            f"{peer:15}{cost:9.2f}{told['user']:8.2f}{told['system']:8.2f}{result.spread(peer):8.1%}"
            f"{_ratio(result, peer, best):>8}{_ratio(result, peer, FLOOR):>8}"
            f"{told['per_second']:9.0f}{told['busy']:6.0%}{told['disturbed']:6.0%}{told['p50_us']:8.0f}"
            f"{told['p99_us']:8.0f}{told['pss_kib'] / 1024:8.1f}{told['rss_kib'] / 1024:8.1f}"
            f"{result.errors(peer):7}"
        )
    if result.rule == "rise":
        lines += [_beside(result, peer) for peer in sorted(result.runs, key=result.median)]
    lines += [f"{peer}: failed, {_gist(why)}" for peer, why in result.failures.items()]
    lines += [f"{peer}: left out, {why}" for peer, why in result.left_out.items()]
    return lines


def _beside(result: CellResult, peer: str) -> str:
    quiet, loud = (result.median(peer, member) / 1e3 for member in ("quiet_p99_us", "p99_us"))
    busy, shaken = result.median(peer, "busy"), result.median(peer, "per_second")
    return f"{peer}: p99 {quiet:.2f} -> {loud:.2f} ms, worker {busy:.0%} busy, {shaken:.0f} handshakes/s"


def _gist(failure: str) -> str:
    """The last line, where programs put the reason; the run has printed all of it."""
    return failure.splitlines()[-1]


def _ratio(result: CellResult, peer: str, other: str | None) -> str:
    if other not in result.runs or not result.median(other) or is_absolute(result):
        return "-"
    return f"{result.median(peer) / result.median(other):.2f}"


def _loudest(results: Results) -> float:
    """The largest share of the proxy's core that others had, of all medians."""
    cells = results.cells.values()
    return max((cell.median(peer, "disturbed") for cell in cells for peer in cell.runs), default=0.0)


def show(results: Results) -> list[Verdict]:
    """Prints every table, then every bar; returns the verdicts."""
    for result in results.cells.values():
        say()
        for line in table(result, results.references):
            say(line)
    verdicts = [judge(name, result, results.references) for name, result in results.cells.items()]
    say()
    say(f"{'bar':14}{'at most':>10}{'pylb':>10}{'x floor':>9}")
    for verdict in verdicts:
        result = results.cells[verdict.cell]
        unit = result.unit.split()[0] if is_absolute(result) else "x"
        value = "-" if verdict.value is None else f"{verdict.value:.2f} {unit}"
        both = OURS in result.runs and FLOOR in result.runs and not is_absolute(result)
        floor = f"{result.median(OURS) / result.median(FLOOR):.2f} x" if both else "-"
        outcome = "pass" if verdict.holds else "FAIL"
        line = f"{verdict.cell:14}{f'{verdict.bar:.2f} {unit}':>10}{value:>10}{floor:>9}  {outcome}"
        say(f"{line} {verdict.why}".rstrip())
    for name, result in results.cells.items():
        if BEFORE in result.runs and OURS in result.runs:
            say(f"{name:14} {result.median(OURS) / result.median(BEFORE):.3f} x the build before")
    loudest = _loudest(results)
    if loudest > _QUIET:
        say(f"not quiet: others used up to {loudest:.0%} of the proxy's core, and the numbers are worth less")
    return verdicts
