"""A pool as a draft has it: every default filled in, pages read.

Backends behind a name stay one entry, and sticky cookies have no ids yet: both follow from the world, which
desired.py adds.
"""

from collections.abc import Callable
from typing import Any

from pylb.config.balance import Balance
from pylb.config.pages import Pages
from pylb.config.pools import Backend, DnsBackend, Pool, Retries
from pylb.config.scalar import milliseconds
from pylb.config.sticky import (
    AddressSticking,
    CookieSticking,
    LearnSticking,
    PresetSticking,
    QuerySticking,
    Sticky,
)
from pylb.config.tls import BackendTls
from pylb.config.tls_draft import pool_tls, server_name
from pylb.errors import Path

Address = Callable[[str, Path], str]
"""An address as written, and its path in the file -> one without names."""


def pool_draft(pool: Pool, path: Path, address: Address, pages: Pages) -> dict[str, Any]:
    """`path` is that of the pool, for what is wrong with addresses and pages."""
    backends = enumerate(pool.backends)
    errors = pool.errors.items()
    return {
        "balance": _balance(pool.balance),
        "backends": [
            _backend(backend, (*path, "backends", at), address, pool.tls) for at, backend in backends
        ],
        "checked": pool.health is not None,
        "passive": {**pool.passive.model_dump(), **milliseconds({"eject": pool.passive.eject})},
        "timeouts": milliseconds(pool.timeouts.model_dump()),
        "idle_connections": pool.idle_connections,
        **milliseconds({"slow_start": pool.slow_start or 0, "drain": pool.drain.timeout}),
        "queue": {"size": pool.queue.size, **milliseconds({"timeout": pool.queue.timeout})},
        "retries": _retries(pool.retries),
        "errors": {str(status): pages.page(file, (*path, "errors", str(status))) for status, file in errors},
        "sticky": _sticky(pool.sticky) if pool.sticky else None,
        "tls": pool_tls(pool.tls) if pool.tls else None,
        "proxy_protocol": pool.proxy_protocol,
    }


def _balance(balance: Balance) -> dict[str, Any]:
    where, what = balance.key or ("", "")
    key = {where: what if where != "path" else True} if where else None
    return {"policy": balance.policy, "key": key}


def _backend(
    backend: Backend | DnsBackend, path: Path, address: Address, tls: BackendTls | None
) -> dict[str, Any]:
    common = {
        "weight": backend.weight,
        "backup": backend.backup,
        "max_in_flight": backend.max_in_flight,
        "draining": False,
        "server_name": server_name(backend, tls),
    }
    if isinstance(backend, DnsBackend):
        return {"dns": backend.dns, **milliseconds({"refresh": backend.refresh}), **common}
    return {"name": backend.address, "address": address(backend.address, path), **common}


def _retries(retries: Retries) -> dict[str, Any]:
    return {
        "tries": retries.tries,
        "on": list(retries.on),
        "budget": retries.budget,
        "replay": retries.replay or 0,
        **milliseconds({"per_try": retries.per_try}),
    }


def _sticky(sticky: Sticky) -> dict[str, Any]:
    if isinstance(sticky, PresetSticking):
        sticky = sticky.meaning
    common = {**milliseconds({"ttl": sticky.ttl}), "on_lost": sticky.on_lost}
    if isinstance(sticky, CookieSticking):
        return {"kind": "cookie", "name": sticky.cookie, "path": "/", "secure": "auto", **common}
    if isinstance(sticky, LearnSticking):
        learn = sticky.learn
        return {
            "kind": "learn",
            "response": learn.response.plain(),
            "request": learn.request.plain(),
            **common,
        }
    if isinstance(sticky, AddressSticking):
        return {"kind": "source_ip", **common}
    key = {"query": sticky.query} if isinstance(sticky, QuerySticking) else {"header": sticky.header}
    return {"kind": "key", **key, **common}
