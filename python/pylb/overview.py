"""The status of a running pylb as text for people: one table per pool.

Pure: it gets the status as a dict (the core's, with what the health checker adds) and returns lines.
"""

from collections.abc import Sequence
from typing import Any

_HEADS = ("backend", "state", "weight", "in flight", "requests", "failures", "latency", "last check", "why")
_RIGHT = {"weight", "in flight", "requests", "failures", "latency"}


def overview(status: dict[str, Any]) -> str:
    """All of it; ends without a newline."""
    lines = [
        f"generation {status['generation']}, up {span(status['uptime'])}, {status['workers']} workers, "
        f"{status['clients']} of at most {status['max_clients']} clients",
    ]
    for name, listener in status["listeners"].items():
        lines.append(f"listener {name}: {', '.join(listener['bind'])}, {_served(listener)}")
        lines += [f"  {_certificate(one)}" for one in listener["certificates"]]
    for name, why in status["names_failing"].items():
        lines.append(f"name {name}: {why}; its last addresses are kept")
    for name, pool in status["pools"].items():
        rows = [_row(backend) for backend in pool["backends"]]
        lines += ["", f"pool {name} ({pool['policy']}){_queue(pool['queue'])}", *table(_HEADS, rows)]
        lines += [f"  {_certificate(one)}" for one in pool["certificates"]]
    return "\n".join(lines)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Aligned columns; those of numbers to the right."""
    widths = [max(len(row[at]) for row in (heads, *rows)) for at in range(len(heads))]

    def line(cells: Sequence[str]) -> str:
        aligned = (
            cell.rjust(width) if head in _RIGHT else cell.ljust(width)
            for head, cell, width in zip(heads, cells, widths, strict=True)
        )
        return "  " + "  ".join(aligned).rstrip()

    return [line(heads), *map(line, rows)]


def span(seconds: float) -> str:
    """`93784` -> `1d 2h`; the two largest units that matter."""
    units = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
    left = int(seconds)
    parts = []
    for unit, size in units:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2]) or "0s"


def _served(listener: dict[str, Any]) -> str:
    flows = listener["flows"]
    if flows is None:
        return f"{listener['requests']} requests"
    dropped = f", {flows['dropped']} datagrams dropped" if flows["dropped"] else ""
    return f"{flows['open']} of at most {flows['limit']} flows, {flows['total']} in all{dropped}"


def _certificate(one: dict[str, Any]) -> str:
    """`certificate shop.pem (shop.example): until 2026-12-01`, and why its file is not in force."""
    what, until = "authorities", ""
    if one["until"] is not None:
        what, until = "certificate", f": until {one['until'].partition('T')[0]}"
    more = ", ..." if len(one["names"]) > 3 else ""
    names = f" ({', '.join(one['names'][:3])}{more})" if one["names"] else ""
    broken = f"; the last good one is in force: {one['broken']}" if one["broken"] else ""
    return f"{what} {one['file']}{names}{until}{broken}"


def _row(backend: dict[str, Any]) -> list[str]:
    latency = backend["latency"]
    return [
        _name(backend),
        backend["state"],
        str(backend["weight"]),
        str(backend["in_flight"]) + (f"/{backend['limit']}" if backend["limit"] else ""),
        str(backend["requests"]),
        str(backend["failures"]),
        "-" if latency is None else f"{latency * 1000:.1f}ms",
        _check(backend.get("check")),
        _why(backend),
    ]


def _queue(queue: dict[str, Any]) -> str:
    """Who waits, if anybody does or had to be turned away."""
    if not (queue["waiting"] or queue["refused"] or queue["late"]):
        return ""
    oldest = "" if queue["oldest"] is None else f", the oldest for {queue['oldest']:.1f}s"
    return (
        f": {queue['waiting']} of at most {queue['size']} wait{oldest}; "
        f"{queue['refused']} refused, {queue['late']} waited in vain"
    )


def _name(backend: dict[str, Any]) -> str:
    notes = [backend["dns"]] if backend["dns"] else []
    notes += ["backup"] if backend["backup"] else []
    return f"{backend['name']} ({', '.join(notes)})" if notes else str(backend["name"])


def _check(check: dict[str, Any] | None) -> str:
    """`200 in 1.2ms, 3s ago`; an empty cell says that no check has run, or that there is none."""
    if check is None:
        return "-"
    outcome = str(check["status"] or ("ok" if check["good"] else "failed"))
    took = "" if check["latency"] is None else f" in {check['latency'] * 1000:.1f}ms"
    return f"{outcome}{took}, {span(check['ago'])} ago"


def _why(backend: dict[str, Any]) -> str:
    """The reason of a state that is not up, what the last check received, for how long it is out, and what an
    operator said of it."""
    parts = [backend["why"] or ""]
    if backend["ejected_for"] is not None:
        parts.append(f"back in {backend['ejected_for']:.0f}s")
    if backend["warming"] is not None:
        parts.append(f"warming up, {backend['warming']} %")
    override = backend["override"] or {"draining": False, "weight": None}
    if override["draining"]:
        left = backend["drained_in"] or 0
        parts.append("drained by an operator: " + ("empty" if backend["drained"] else f"cut in {span(left)}"))
    if override["weight"] is not None:
        parts.append("weight by an operator")
    return ", ".join(part for part in parts if part)
