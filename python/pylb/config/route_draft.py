"""A route as the core compiles it: every key there, null for what is not."""

from collections.abc import Mapping
from typing import Any

from pylb.config.routes import HeaderEdits, Match, RateLimit, Route
from pylb.config.scalar import milliseconds
from pylb.config.wanted import Regex, Wanted

_NONE = HeaderEdits()
"""Made once: a default of its own for every route would be copied ten thousand times."""


def route_draft(route: Route) -> dict[str, Any]:
    return {
        "name": route.name,
        "match": _match(route.match),
        "pool": route.pool,
        "split": route.split,
        "split_by": route.split_by.plain() if route.split_by else None,
        "redirect": route.redirect.model_dump() if route.redirect else None,
        "respond": route.respond.model_dump() if route.respond else None,
        "timeouts": milliseconds(route.timeouts.model_dump()),
        "rate_limit": _rate_limit(route.rate_limit) if route.rate_limit else None,
        "rewrite": route.rewrite.model_dump() if route.rewrite else None,
        "request_headers": _edits(route.request_headers),
        "response_headers": _edits(route.response_headers),
    }


def _match(match: Match) -> dict[str, Any]:
    return {
        "host": match.host,
        "path": {"regex": match.path.regex} if isinstance(match.path, Regex) else match.path,
        "methods": list(match.methods or ()),
        "headers": _values(match.headers),
        "cookies": _values(match.cookies),
        "query": _values(match.query),
        "client": list(match.client),
    }


def _values(wanted: Mapping[str, Wanted]) -> dict[str, Any]:
    return {name: {value.kind: value.what} for name, value in wanted.items()}


def _rate_limit(limit: RateLimit) -> dict[str, Any]:
    return {
        "rate": limit.rate.per_second,
        "burst": limit.burst or limit.rate.count,
        "key": limit.key.plain() if limit.key else "client",
    }


def _edits(edits: HeaderEdits | None) -> dict[str, Any]:
    edits = edits or _NONE
    return {"set": edits.set, "add": edits.add, "remove": list(edits.remove)}
