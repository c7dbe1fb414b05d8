"""A fact -> one line for people: how important it is, and what happened.

Facts of the core:
    plan_applied generation · backend_ejected pool backend why seconds · backend_returned pool backend ·
    backend_drained pool backend cut · accept_paused why · client_evicted · connection_panicked ·
    worker_restarted worker · log_dropped count · log_failed why · facts_dropped count
Facts of the Python layer:
    backend_up, backend_down pool backend why status latency · check_skipped pool backend why ·
    config_applied origin generation warnings · config_refused reason mistakes ·
    backend_override pool backend draining weight generation · name_changed name added removed generation ·
    name_failed name why · name_resolved name ·
    certificate_renewed, certificate_restored file · certificate_refused file why · renewal_failed why ·
    stopping clients seconds · stopped cut
"""

import logging
from collections.abc import Callable
from typing import Any

from pylb.core import Fact

Line = tuple[int, str]
"""A level of `logging`, and the text."""


def line(fact: Fact) -> Line:
    """The line of a fact; one that is not known yet is shown as it is."""
    level, say = _LINES.get(fact["fact"], (logging.INFO, _unknown))
    return level, " ".join(say(fact).splitlines())


def lines(fact: Fact) -> list[Line]:
    """The lines of a fact: some hold a list, one line each."""
    level, text = line(fact)
    details = [*fact.get("mistakes", ()), *fact.get("warnings", ())]
    return [(level, text), *((max(level, logging.WARNING), " ".join(each.splitlines())) for each in details)]


def _backend(fact: Fact) -> str:
    return f"{fact['pool']}: {fact['backend']}"


def _check(fact: Fact) -> str:
    """What the check received: its status, how long that took, and what was wrong with it."""
    parts = []
    if fact.get("status") is not None:
        parts.append(f"answered {fact['status']}")
    if fact.get("latency") is not None:
        parts.append(f"after {fact['latency'] * 1000:.1f} ms")
    measured = " ".join(parts)
    return ", ".join(part for part in (measured, fact.get("why")) if part)


def _down(fact: Fact) -> str:
    return f"{_backend(fact)} is down: {_check(fact)}"


def _up(fact: Fact) -> str:
    return f"{_backend(fact)} is up: {_check(fact)}"


def _ejected(fact: Fact) -> str:
    return f"{_backend(fact)} is out for {fact['seconds']:g} s: requests failed in a row, last {fact['why']}"


def _drained(fact: Fact) -> str:
    cut = f", {fact['cut']} in flight were cut" if fact["cut"] else ""
    return f"{_backend(fact)} is drained and empty{cut}"


def _override(fact: Fact) -> str:
    said = ["is drained"] if fact["draining"] else []
    said += [f"has weight {fact['weight']}"] if fact["weight"] is not None else []
    return (
        f"{_backend(fact)} {' and '.join(said)} by an operator"
        if said
        else f"{_backend(fact)} is as configured"
    )


def _name_changed(fact: Fact) -> str:
    parts = [f"{verb} {', '.join(fact[verb])}" for verb in ("added", "removed") if fact[verb]]
    return f"{fact['name']} has other addresses: {'; '.join(parts)}"


def _unknown(fact: Fact) -> str:
    details = " ".join(f"{key}={value}" for key, value in fact.items() if key != "fact")
    return f"{fact['fact']} {details}".rstrip()


def _many(count: Any, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


_LINES: dict[str, tuple[int, Callable[[Fact], str]]] = {
    "backend_up": (logging.INFO, _up),
    "backend_down": (logging.WARNING, _down),
    "backend_ejected": (logging.WARNING, _ejected),
    "backend_returned": (logging.INFO, lambda fact: f"{_backend(fact)} answers requests again"),
    "backend_drained": (logging.INFO, _drained),
    "check_skipped": (logging.WARNING, lambda fact: f"{_backend(fact)} could not be checked: {fact['why']}"),
    "config_applied": (
        logging.INFO,
        lambda fact: f"{fact['origin']} is in force (generation {fact['generation']})",
    ),
    "config_refused": (logging.ERROR, lambda fact: str(fact["reason"])),
    "backend_override": (logging.INFO, _override),
    "name_changed": (logging.INFO, _name_changed),
    "name_failed": (
        logging.WARNING,
        lambda fact: f"{fact['name']}: {fact['why']}; its last addresses are kept",
    ),
    "certificate_renewed": (logging.INFO, lambda fact: f"{fact['file']} has changed and is in force"),
    "certificate_restored": (logging.INFO, lambda fact: f"{fact['file']} is again as it is in force"),
    "certificate_refused": (
        logging.ERROR,
        lambda fact: f"{fact['file']} has changed and is of no use, the last good one is kept: {fact['why']}",
    ),
    "renewal_failed": (logging.ERROR, lambda fact: f"certificates could not be renewed: {fact['why']}"),
    "name_resolved": (logging.INFO, lambda fact: f"{fact['name']}: it has addresses again"),
    "stopping": (
        logging.INFO,
        lambda fact: f"stopping: at most {fact['seconds']:g} s for {_many(fact['clients'], 'client')} to end",
    ),
    "stopped": (
        logging.INFO,
        lambda fact: f"stopped, {_many(fact['cut'], 'connection')} cut" if fact["cut"] else "stopped",
    ),
    "plan_applied": (logging.DEBUG, lambda fact: f"every worker runs plan {fact['generation']}"),
    "accept_paused": (logging.WARNING, lambda fact: f"no new connections for a moment: {fact['why']}"),
    "client_evicted": (
        logging.WARNING,
        lambda fact: "max_clients is reached: the longest idle client connection was closed",
    ),
    "connection_panicked": (
        logging.ERROR,
        lambda fact: "a connection ended by a fault inside pylb; please report this",
    ),
    "worker_restarted": (
        logging.ERROR,
        lambda fact: f"worker {fact['worker']} restarted after a fault inside pylb; please report this",
    ),
    "log_dropped": (
        logging.WARNING,
        lambda fact: f"{_many(fact['count'], 'line')} of the access log dropped: its sink is too slow",
    ),
    "log_failed": (logging.ERROR, lambda fact: f"the access log cannot be written: {fact['why']}"),
    "facts_dropped": (
        logging.WARNING,
        lambda fact: f"{_many(fact['count'], 'message')} dropped: too much happened at once",
    ),
}
