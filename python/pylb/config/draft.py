"""Settings -> the draft: what the core compiles, with every default filled in, every name resolved.

A draft keeps the file's keys and list positions, so the path of an error in the draft is a path in the file.
Times are whole milliseconds, sizes bytes. It is JSON and holds no secret, so it may be printed: files of TLS
are only named in it, and what is in them crosses to the core beside it (tls_files.py).
"""

import resource
import socket
from collections.abc import Callable, Sequence
from typing import Any

from pylb.config.address import host_port
from pylb.config.listener_draft import listener_draft
from pylb.config.model import Settings
from pylb.config.pages import Pages
from pylb.config.pool_draft import pool_draft
from pylb.config.text import ip
from pylb.config.tls_files import internal_files
from pylb.errors import Path

STAND_IN = "192.0.2.1"
"""The address of a name that has none (RFC 5737: nobody's), so that the core can check the rest."""

SPARE_DESCRIPTORS = 64
"""Kept for listeners, logs, health checks and the admin socket."""

Resolve = Callable[[str], Sequence[str]]
"""A host name -> the texts of its IP addresses, at least one; raises OSError."""
Unresolved = list[tuple[Path, str]]
"""Paths of the backends whose names have no address, each with a message."""


def draft(
    settings: Settings, resolve: Resolve, max_clients: int, pages: Pages
) -> tuple[dict[str, Any], Unresolved]:
    """The draft as plain values, and what could not be resolved: there, STAND_IN is the address."""
    names = _Names(resolve)
    pools = {
        name: pool_draft(pool, ("pools", name), names.address, pages) for name, pool in settings.pools.items()
    }
    plain = {
        "listeners": {
            name: listener_draft(listener, internal_files(settings, name))
            for name, listener in settings.listeners.items()
        },
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
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in in_order))
    if usable := [address for address in addresses if "%" not in address]:
        return usable
    raise OSError(f"only {', '.join(addresses)}, which needs an interface")


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
