"""`python -m bench`: the whole comparison, or part of it.

Ends with 0 if every bar holds, with 1 if one does not or a proxy failed. A `--quick` run is too short to read
bars from: it ends with 1 only if a proxy failed or lost requests.
"""

import argparse
import time
from collections.abc import Callable, Sequence

from bench import chart, load, origin, place, report, run
from bench.cells import CELLS
from bench.peers import PEERS, QUICK, Peer, before
from bench.report import Verdict
from bench.results import FOLDER, Results, machine
from bench.say import say


def main(arguments: Sequence[str] | None = None) -> int:
    """Parses arguments, measures, shows, stores."""
    options = _options(arguments)
    load.wrk()
    origin.build()
    isolated = place.enter_namespace("bench", _as_given(options))
    descriptors = place.raise_descriptors()
    cells = [cell for cell in CELLS if cell.name in options.cells]
    peers = _found(options.only)
    if options.before:
        peers.append(before(options.before))
    effort = run.Effort(options.seconds, options.rounds)
    about = {
        "started": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "machine": machine(),
        "seconds": effort.seconds,
        "rounds": effort.rounds,
        "own_network": isolated,
        "descriptors": descriptors,
        "versions": {peer.name: peer.version() for peer in peers},
    }
    results = Results(about, [peer.name for peer in peers if peer.reference])
    say(f"{len(cells)} cells, {len(peers)} proxies, {effort.rounds} rounds of {effort.seconds} s")
    say(", ".join(f"{peer.name} {peer.version()}".strip() for peer in peers))
    for cell in cells:
        results.cells[cell.name] = run.measure(cell, peers, effort, place.cores())
        results.store(options.name)
    verdicts = report.show(results)
    stored = [results.store(options.name)]
    if chart.draw(results, FOLDER / f"{options.name}.png"):
        stored.append(FOLDER / f"{options.name}.png")
    else:
        say("no chart without matplotlib: pip install matplotlib")
    say("stored " + " and ".join(str(path) for path in stored))
    return _code(results, verdicts, options.quick)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    names, known = [cell.name for cell in CELLS], [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser(
        "python -m bench", description="pylb against its peers, by CPU per request."
    )
    option = parser.add_argument
    option("--quick", action="store_true", help="a smoke test: one cell, five proxies, three rounds of 3 s")
    option("--cells", type=_list_of(names), metavar="A,B", help=f"only these of {', '.join(names)}")
    option("--only", type=_list_of(known), metavar="A,B", help=f"only these of {', '.join(known)}")
    option("--before", metavar="PYTHON", help="another build of pylb beside this one: the Python that has it")
    option("--rounds", type=int, metavar="N", help="rounds of each cell (default 5)")
    option("--seconds", type=int, metavar="N", help="seconds of each wrk run (default 5)")
    option("--name", help="name of the files in bench/results (default: latest, or quick)")
    options = parser.parse_args(arguments)
    options.cells = options.cells or (names[:1] if options.quick else names)
    options.only = options.only or (list(QUICK) if options.quick else known)
    options.rounds = options.rounds or (3 if options.quick else 5)
    options.seconds = options.seconds or (3 if options.quick else 5)
    options.name = options.name or ("quick" if options.quick else "latest")
    return options


def _list_of(known: list[str]) -> Callable[[str], list[str]]:
    def split(text: str) -> list[str]:
        names = text.split(",")
        if strangers := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"{', '.join(strangers)}: not one of {', '.join(known)}")
        return names

    return split


def _as_given(options: argparse.Namespace) -> list[str]:
    """The same options for the process inside the namespace."""
    given = ["--cells", ",".join(options.cells), "--only", ",".join(options.only), "--name", options.name]
    given += ["--rounds", str(options.rounds), "--seconds", str(options.seconds)]
    if options.before:
        given += ["--before", options.before]
    return [*given, "--quick"] if options.quick else given


def _found(names: list[str]) -> list[Peer]:
    wanted = [peer for peer in PEERS if peer.name in names]
    for peer in wanted:
        if peer.find() is None:
            say(f"{peer.name} is missing and left out: {peer.package}")
    return [peer for peer in wanted if peer.find() is not None]


def _code(results: Results, verdicts: list[Verdict], quick: bool) -> int:
    failed = any(result.failures for result in results.cells.values())
    lost = any(result.errors(peer) for result in results.cells.values() for peer in result.runs)
    if quick:
        return int(failed or lost)
    return int(failed or not all(verdict.holds for verdict in verdicts))


if __name__ == "__main__":
    raise SystemExit(main())
