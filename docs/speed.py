"""The table of results in README.md, made from bench/results: `python docs/speed.py` writes it anew.

Numbers are medians of one run. A test compares the table with the results, so neither can change alone.
"""

import json
import statistics
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
RESULTS = ROOT / "bench/results/latest.json"
BEGIN, END = "<!-- speed: written by docs/speed.py -->\n", "<!-- /speed -->\n"


def table(results: dict[str, Any]) -> str:
    """The results as Markdown: a row per cell, a column per proxy, costs as measured."""
    found = {peer for cell in results["cells"].values() for peer in cell["runs"]}
    peers = sorted(found, key=lambda peer: (peer != "pylb", peer != "floor", peer))
    rows = [f"| | {' | '.join(peers)} |", f"|---|{'---|' * len(peers)}"]
    for cell in results["cells"].values():
        costs = [_cost(cell, peer) for peer in peers]
        rows.append(f"| {cell['title']}, {cell['unit']} | {' | '.join(costs)} |")
    about, machine = results["about"], results["about"]["machine"]
    rows += ["", f"Medians of {about['rounds']} rounds of {about['seconds']} s on {machine['cpu']},"]
    rows += [f"Linux {machine['kernel']}. {_versions(about['versions'])}."]
    return "\n".join(rows) + "\n"


def _cost(cell: dict[str, Any], peer: str) -> str:
    runs = cell["runs"].get(peer)
    return f"{statistics.median(run['cost'] for run in runs):.2f}" if runs else "-"


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{peer} {version}" for peer, version in versions.items() if version and peer != "floor")


def page(readme: str) -> str:
    """README.md with the table of the results that are there; without results, without a table."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    made = table(json.loads(RESULTS.read_text())) if RESULTS.exists() else ""
    return before + BEGIN + made + END + after


if __name__ == "__main__":
    README.write_text(page(README.read_text()))
