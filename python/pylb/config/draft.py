"""Settings -> the draft: what the core compiles, with every default filled in, every name resolved.

A draft keeps the file's keys and list positions, so the path of an error in the draft is a path in the file.
Times are whole milliseconds, sizes bytes. It is JSON and holds no secret, so it may be printed.
"""

import resource
import socket
from collections.abc import Callable, Sequence
from typing import Any

from pylb.config.address import host_port
from pylb.config.model import Backend, Listener, Pool, Route, Settings
from pylb.config.text import ip
from pylb.errors import Path

STAND_IN = "192.0.2.1"
"""The address of a name that has none (RFC 5737: nobody's), so that the core can check the rest."""

SPARE_DESCRIPTORS = 64
"""Kept for listeners, logs, health checks and the admin socket."""

Resolve = Callable[[str], Sequence[str]]
"""A host name -> the texts of its IP addresses, at least one; raises OSError."""
Unresolved = list[tuple[Path, str]]
"""Paths of the backends whose names have no address, each with a message."""


def draft(settings: Settings, resolve: Resolve, max_clients: int) -> tuple[dict[str, Any], Unresolved]:
    """The draft as plain values, and what could not be resolved: there, STAND_IN is the address."""
    names = _Names(resolve)
    pools = {name: _pool(pool, ("pools", name), names) for name, pool in settings.pools.items()}
    plain = {
        "listeners": {name: _listener(listener) for name, listener in settings.listeners.items()},
        "pools": pools,
        "metrics": list(settings.metrics.bind),
        "log": {"access": settings.log.access, "format": settings.log.format},
        "max_clients": max_clients,
    }
    return plain, names.unresolved


def resolve(host: str) -> list[str]:
    """Every address of a name, IPv4 before IPv6: servers on `localhost` mostly listen on 127.0.0.1 only.
    Blocks."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    in_order = sorted(found, key=lambda entry: entry[0] != socket.AF_INET)
    return list(dict.fromkeys(str(entry[4][0]) for entry in in_order))


def carried_clients(descriptors: int | None = None) -> int:
    """How many clients a soft descriptor limit carries: each may need one to its client and one to a
    backend."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if descriptors is None else descriptors
    if soft == resource.RLIM_INFINITY:
        soft = 1 << 20
    return max(1, (soft - SPARE_DESCRIPTORS) // 2)


class _Names:
    """Resolves each name once, and remembers what has no address."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._known: dict[str, Sequence[str] | OSError] = {}
        self.unresolved: Unresolved = []

    def address(self, written: str, path: Path) -> str:
        if written.startswith("unix:"):
            return written
        host, port = host_port(written)
        if ip(host) is None:
            host = self._lookup(host, path)
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def _lookup(self, host: str, path: Path) -> str:
        if host not in self._known:
            try:
                self._known[host] = self._resolve(host)
            except OSError as error:
                self._known[host] = error
        found = self._known[host]
        if isinstance(found, OSError):
            self.unresolved.append((path, f'"{host}" has no address: {found.strerror or found}'))
            return STAND_IN
        return found[0]


def _listener(listener: Listener) -> dict[str, Any]:
    return {
        "bind": list(listener.bind),
        "protocol": listener.protocol,
        "trusted_proxies": list(listener.trusted_proxies),
        "timeouts": _milliseconds(listener.timeouts.model_dump()),
        "limits": listener.limits.model_dump(),
        "lenient": listener.lenient,
        "encoded_slash": listener.encoded_slash,
        "half_close": listener.half_close,
        "path": listener.path,
        "access_log": listener.access_log == "on",
        "routes": [_route(route) for route in listener.routes],
    }


def _route(route: Route) -> dict[str, Any]:
    return {
        "name": route.name,
        "match": {
            **route.match.model_dump(),
            "methods": [],
            "headers": {},
            "cookies": {},
            "query": {},
            "client": [],
        },
        "pool": route.pool,
        "split": None,
        "split_by": None,
        "redirect": None,
        "respond": None,
        "timeouts": _milliseconds(route.timeouts.model_dump()),
        "rate_limit": None,
        "rewrite": None,
        "request_headers": {"set": {}, "add": {}, "remove": []},
        "response_headers": {"set": {}, "add": {}, "remove": []},
    }


def _pool(pool: Pool, path: Path, names: _Names) -> dict[str, Any]:
    backends = enumerate(pool.backends)
    where, what = pool.balance.key or ("", "")
    return {
        "balance": {
            "policy": pool.balance.policy,
            "key": {where: what if where != "path" else True} if where else None,
        },
        "backends": [_backend(backend, (*path, "backends", at), names) for at, backend in backends],
        "checked": pool.health is not None,
        "passive": {**pool.passive.model_dump(), **_milliseconds({"eject": pool.passive.eject})},
        "timeouts": {**_milliseconds(pool.timeouts.model_dump()), "idle": 3_600_000},
        "idle_connections": pool.idle_connections,
        "slow_start": 0,
        "drain": 600_000,
        "queue": {"size": 1000, "timeout": 5000},
        "retries": {
            "tries": 3,
            "on": ["connect", "stale", "closed", "refused_stream"],
            "budget": 20,
            "replay": 65_536,
            "per_try": None,
        },
        "errors": {},
        "sticky": None,
    }


def _backend(backend: Backend, path: Path, names: _Names) -> dict[str, Any]:
    return {
        "name": backend.address,
        "address": names.address(backend.address, path),
        "weight": backend.weight,
        "backup": backend.backup,
        "max_in_flight": None,
        "draining": False,
    }


def _milliseconds(times: dict[str, float | None]) -> dict[str, int | None]:
    return {name: None if seconds is None else round(seconds * 1000) for name, seconds in times.items()}
