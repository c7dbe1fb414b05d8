"""Names: pools and listeners that must exist, pools that nobody uses, things that may be written once."""

from collections.abc import Iterable, Iterator
from typing import Any

from pylb.config.cross.walk import entries, listeners, mapping, routes
from pylb.config.model import Settings
from pylb.config.protocols import spoken
from pylb.config.tree import Tree
from pylb.config.wording import suggest
from pylb.errors import Mistake, Path


def unknown_pools(data: dict[str, Any], tree: Tree) -> Iterator[Mistake]:
    """Routes to pools that are not there. If a file could not be read, they may be in it."""
    if not tree.is_whole:
        return
    pools = [str(name) for name in mapping(data.get("pools"))]
    for path, pool in _routed_pools(data):
        if isinstance(pool, str) and pool not in pools:
            near = suggest(pool, pools)
            known = (
                f"pools here: {', '.join(sorted(pools)[:10])}" if pools else f"add it under pools: {pool}:"
            )
            hint = f"did you mean {near}?" if near else known
            place = tree.locate_key(path) if path[-2] == "split" else tree.locate(path)
            yield Mistake(place, path, f'there is no pool "{pool}"', hint)


def unknown_listeners(data: dict[str, Any], tree: Tree) -> Iterator[Mistake]:
    """Names that are handed to listeners that are not there."""
    if not tree.is_whole:
        return
    known = [str(name) for name in mapping(data.get("listeners"))]
    for path, route in routes(data, "tls"):
        name = route.get("terminate")
        if isinstance(name, str) and name not in known:
            near = suggest(name, known)
            hint = f"did you mean {near}?" if near else f"listeners here: {', '.join(sorted(known)[:10])}"
            at = (*path, "terminate")
            yield Mistake(tree.locate(at), at, f'there is no listener "{name}"', hint)


def _routed_pools(data: dict[str, Any]) -> Iterator[tuple[Path, object]]:
    for path, where in (*routes(data), *routes(data, "tls"), *listeners(data, "tcp", "udp")):
        if "pool" in where:
            yield (*path, "pool"), where["pool"]
        yield from (((*path, "split", name), name) for name in mapping(where.get("split")))


def unused_pools(settings: Settings, tree: Tree) -> Iterator[Mistake]:
    used = {pool for listener in settings.listeners.values() for pool in listener.pools}
    for name in settings.pools:
        if name not in used:
            path = ("pools", name)
            text = f'nothing uses the pool "{name}"'
            yield Mistake(tree.locate_key(path), path, text, "remove it, or route to it")


def twice(data: dict[str, Any], tree: Tree) -> Iterator[Mistake]:
    """Every group of things of which each may be written once: binds everywhere, routes of a listener,
    backends of a pool. Datagrams and connections may share an address."""
    binds: list[tuple[Path, object]] = []
    datagrams: list[tuple[Path, object]] = []
    for name, listener in mapping(data.get("listeners")).items():
        path: Path = ("listeners", name)
        group = datagrams if spoken(listener) == "udp" else binds
        group += _binds((*path, "bind"), mapping(listener).get("bind"))
        routes = enumerate(entries(mapping(listener).get("routes")))
        names = (((*path, "routes", at, "name"), mapping(route).get("name")) for at, route in routes)
        yield from _repeated(names, tree, "the name {} is taken by another route here", "rename one of them")
    binds += _binds(("metrics", "bind"), mapping(data.get("metrics")).get("bind"))
    for group in (binds, datagrams):
        yield from _repeated(group, tree, "{} is bound twice", "give each listener an address of its own")
    for name, pool in mapping(data.get("pools")).items():
        backends = enumerate(entries(mapping(pool).get("backends")))
        addresses = ((("pools", name, "backends", at), _address(backend)) for at, backend in backends)
        yield from _repeated(
            addresses, tree, "the backend {} is in this pool twice", "use weight: to give it more"
        )


def _repeated(
    values: Iterable[tuple[Path, object]], tree: Tree, message: str, hint: str
) -> Iterator[Mistake]:
    first: dict[str, Path] = {}
    for path, value in values:
        if not isinstance(value, str):
            continue
        if value in first:
            text = f"{message.format(value)}, first at {tree.locate(first[value])}"
            yield Mistake(tree.locate(path), path, text, hint)
        first.setdefault(value, path)


def _binds(path: Path, value: object) -> Iterator[tuple[Path, object]]:
    """Addresses with their paths; port 0 (any free port) may be bound often."""
    for at, bind in enumerate(value if isinstance(value, list) else [value]):
        if not str(bind).endswith(":0"):
            yield (*path, at), bind


def _address(backend: object) -> object:
    """What a backend is called. One that is looked up never equals one that is not."""
    if not isinstance(backend, dict):
        return backend
    return f"dns {backend['dns']}" if "dns" in backend else backend.get("address")
