"""What `pylb explain` prints: the way that a request takes through a configuration.

The core decides, with the code that serves requests. Here its trace is only told, each thing beside the place
in the file where it was said.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pylb.affinity import KeyRing
from pylb.asked import Asked
from pylb.config import Config, verdict
from pylb.config.desired import NO_KEYS
from pylb.core import Core
from pylb.errors import Path

_STICKY = {
    None: "by {}",
    "none": "by {}, and not to stay",
    "honoured": "where the client was before",
    "issued": "by {}, to stay",
}
"""How a backend was found, by policy and stickiness."""

Trace = dict[str, Any]
Lines = Iterator[tuple[str, str]]


def decision(config: Config, asked: Asked, environ: Mapping[str, str]) -> Trace:
    """The core's trace of a request. `config` must have passed a check. Sticky cookies of a pylb whose state
    directory may be read here are understood. Looks up names, and blocks."""
    ring = KeyRing(environ).found(config.model.state_dir) or NO_KEYS
    draft = verdict.draft(config, ring=ring)
    headers = list(asked.headers)
    trace = Core.explain(
        draft, asked.listener, asked.method, asked.target, headers, asked.client, asked.secure
    )
    return {**json.loads(trace), "secure": asked.secure, "through": asked.through}


def told(config: Config, trace: Trace) -> str:
    """The trace for people, a line for each thing."""
    where = _Where(config)
    parts = (_routes, _choices, _changes, _answer)
    names = [name for name in (trace["through"], trace["listener"]) if name]
    lines = [("listener", where.at(name, ("listeners", name))) for name in names]
    if trace["secure"]:
        lines[-1] = ("listener", f"{lines[-1][1]}, over TLS")
    lines += [line for part in parts for line in part(trace, where)]
    width = max(len(label) for label, _ in lines)
    return "\n".join(f"{label:<{width}}  {text}" for label, text in lines)


class _Where:
    """Puts places beside names, if there is a file."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def at(self, name: str, path: Path) -> str:
        return f"{name} ({self._config.locate(path)})" if self._config.files else name


def _routes(trace: Trace, where: _Where) -> Lines:
    if trace["refused"]:
        yield "refused", f"{trace['refused']['status']}: {trace['refused']['why']}"
        return
    path: Path = ("listeners", trace["listener"], "routes")
    for passed in trace["routes"]:
        yield "not", f"{where.at(passed['name'], (*path, passed['index']))}: {passed['why']}"
    if trace["more"]:
        yield "not", f"and {trace['more']} more"
    route = trace["route"]
    yield "route", where.at(route["name"], (*path, route["index"])) if route else "none"


def _choices(trace: Trace, where: _Where) -> Lines:
    rate, split, pool = trace["rate"], trace["split"], trace["pool"]
    if rate:
        yield "limit", f"{rate['limit']} in {rate['window']}s by {rate['by']}, {rate['remaining']} left"
    if pool:
        yield "pool", where.at(pool, ("pools", pool)) + (f", drawn by {split['by']}" if split else "")
    if trace["backend"]:
        yield "backend", f"{trace['backend']['name']}, {_STICKY[trace['sticky']].format(trace['policy'])}"
    if trace["wait"]:
        yield "waits", "for a free place"


def _changes(trace: Trace, where: _Where) -> Lines:
    if trace["backend"]:
        yield "asks", f"{trace['method']} {trace['target']}, Host {trace['host_sent']}"
    for label, key in (("request", "request_headers"), ("response", "response_headers")):
        yield from ((label, change) for change in trace[key])


def _answer(trace: Trace, where: _Where) -> Lines:
    answer = trace["answer"]
    if answer:
        to = f" to {answer['location']}" if answer["location"] else ""
        yield "answer", f"{answer['status']}{to}: {answer['why']}"
