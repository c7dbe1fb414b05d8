"""The status of a running pylb: what the core reports, with what the Python layer knows beside it.

Each backend gets `check` (the last answer of an active check), `override` (what an operator said of it, None
for nothing), `dns` (the name that it was found behind, None for one that is written as an address) and
`drained` (whether one that drains is empty, None for one that does not drain). Each certificate gets `broken`
(why the last good one is in force and not what is in its file now, None if that is the same).

Empty is more than having nothing in flight where clients are pinned: between two of its requests a session
looks like nothing. There, a backend is empty once the time is over in which its sessions may come back.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import trio

from pylb.config.desired import Key, Override
from pylb.health.checker import Seen


def completed(
    status: dict[str, Any],
    seen: Callable[[str, str], Seen | None],
    overrides: Mapping[Key, Override],
    hosts: Mapping[Key, str],
    sticky: Collection[str],
    broken: Mapping[str, str],
) -> dict[str, Any]:
    """The core's status, changed in place. `sticky` are the pools that pin clients, `broken` files that are
    of no use now, and why."""
    for entry in (*status["listeners"].values(), *status["pools"].values()):
        for certificate in entry["certificates"]:
            certificate["broken"] = broken.get(certificate["file"])
    for pool, entry in status["pools"].items():
        for backend in entry["backends"]:
            key = (pool, backend["name"])
            _add_check(backend, seen(*key))
            backend["override"] = _override(overrides.get(key))
            backend["dns"] = hosts.get(key)
            backend["drained"] = _drained(backend, pool in sticky)
    return status


def _drained(backend: dict[str, Any], sticky: bool) -> bool | None:
    if backend["drained_in"] is None:
        return None
    return not backend["in_flight"] and not (sticky and backend["drained_in"])


def _override(said: Override | None) -> dict[str, Any] | None:
    return None if said is None else {"draining": said.draining, "weight": said.weight}


def _add_check(backend: dict[str, Any], seen: Seen | None) -> None:
    """Adds `check` (None without one), and the reason of a state that the checks decided."""
    backend["check"] = None
    if seen is None or seen.answer is None:
        return
    answer = seen.answer
    backend["check"] = {
        "good": answer.good,
        "why": answer.why,
        "status": answer.status,
        "latency": answer.latency,
        "ago": trio.current_time() - seen.at,
    }
    if backend["state"] in ("down", "pending") and not answer.good:
        backend["why"] = answer.describe()
