"""The picture of a run: a panel per cell, a bar per proxy in user and system time, pylb's bar as a line."""

import statistics
from pathlib import Path
from typing import Any

from bench.report import OURS, is_absolute, rival
from bench.results import CellResult, Results

_COLUMNS = 3
_USER, _SYSTEM, _OURS_USER, _OURS_SYSTEM = "#8fa8c8", "#c9d5e5", "#d9734e", "#f0b9a3"


def draw(results: Results, path: Path) -> bool:
    """Writes the PNG; False where matplotlib is missing."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        return False
    rows = -(-len(results.cells) // _COLUMNS)
    figure, axes = pyplot.subplots(rows, _COLUMNS, figsize=(5.2 * _COLUMNS, 3.1 * rows), squeeze=False)
    panels = list(axes.flat)
    for panel, result in zip(panels, results.cells.values(), strict=False):
        _panel(panel, result, results.references)
    for empty in panels[len(results.cells) :]:
        empty.axis("off")
    about = results.about
    figure.suptitle(f"one worker, {about['machine']['cpu']}, {about['started']}; less is better")
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
    return True


def _panel(panel: Any, result: CellResult, references: list[str]) -> None:
    peers = sorted(result.runs, key=result.median, reverse=True)
    costs = [result.median(peer) for peer in peers]
    users = [result.median(peer, "user") or cost for peer, cost in zip(peers, costs, strict=True)]
    ours = [peer == OURS for peer in peers]
    panel.barh(peers, costs, color=[_OURS_SYSTEM if mine else _SYSTEM for mine in ours])
    panel.barh(peers, users, color=[_OURS_USER if mine else _USER for mine in ours])
    best = rival(result, references)
    line = result.bar if is_absolute(result) else result.bar * result.median(best) if best else 0.0
    # A peer that spends several times as much would squeeze the others into one corner: its bar is cut.
    edge = max(min(max(costs), 3 * statistics.median(costs)), line) * 1.15 if costs else 1.0
    panel.set_xlim(0, edge)
    for row, cost in enumerate(costs):
        panel.text(max(min(cost, edge * 0.87), 0), row, f" {cost:.3g}", va="center", fontsize=8)
    if line:
        panel.axvline(line, color="#333333", linestyle=":", linewidth=1)
    panel.set_title(result.title, fontsize=9)
    split = any(result.median(peer, "user") for peer in peers)
    panel.set_xlabel(result.unit + (" (dark: user)" if split else ""), fontsize=8)
    panel.tick_params(labelsize=8)
