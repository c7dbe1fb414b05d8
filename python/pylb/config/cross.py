"""What no single key can show: names that must exist, things that may be written only once, routes that never
match.

Mistakes are looked for in the plain values, not in the model, so that they are found together with every
other mistake of the file; whatever has the wrong shape there is skipped, because the model says so already.
Warnings need a valid model.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any

from pylb.config.explain import last_key, suggest
from pylb.config.model import Match, Settings
from pylb.config.tree import Tree
from pylb.errors import Mistake, Path


def mistakes(tree: Tree) -> list[Mistake]:
    """Keys with nothing behind them; unknown pools; routes, binds and backends that are written twice."""
    data = tree.data if isinstance(tree.data, dict) else {}
    return [*_empty(tree.data, (), tree), *_unknown_pools(data, tree), *_twice(data, tree)]


def warnings(settings: Settings, tree: Tree) -> list[Mistake]:
    """Pools that nothing uses, and routes that an earlier one leaves nothing for."""
    return [*_unused_pools(settings, tree), *_unreachable(settings, tree)]


def covers(first: Match, second: Match) -> bool:
    """Whether every request that `second` takes is taken by `first`."""
    return first.host in _wider_hosts(second.host) and first.path in _wider_paths(second.path)


def _empty(value: object, path: Path, tree: Tree) -> Iterator[Mistake]:
    """Nothing never means "none" here: `health:` with its value forgotten must not turn a check off."""
    if value is None:
        yield Mistake(
            tree.locate_key(path), path, f"`{last_key(path)}` is empty", "write a value, or remove it"
        )
    if isinstance(value, dict | list):
        entries: list[tuple[Any, Any]] = list(value.items() if isinstance(value, dict) else enumerate(value))
        for part, inner in entries:
            yield from _empty(inner, (*path, part), tree)


def _unknown_pools(data: dict[str, Any], tree: Tree) -> Iterator[Mistake]:
    if not tree.is_whole:
        return
    pools = [str(name) for name in _mapping(data.get("pools"))]
    for path, pool in _routed_pools(data):
        if isinstance(pool, str) and pool not in pools:
            near = suggest(pool, pools)
            known = (
                f"pools here: {', '.join(sorted(pools)[:10])}" if pools else f"add it under pools: {pool}:"
            )
            hint = f"did you mean {near}?" if near else known
            yield Mistake(tree.locate(path), path, f'there is no pool "{pool}"', hint)


def _routed_pools(data: dict[str, Any]) -> Iterator[tuple[Path, object]]:
    for name, listener in _mapping(data.get("listeners")).items():
        for at, route in enumerate(_list(_mapping(listener).get("routes"))):
            if "pool" in _mapping(route):
                yield ("listeners", name, "routes", at, "pool"), route["pool"]


def _twice(data: dict[str, Any], tree: Tree) -> Iterator[Mistake]:
    """Every group of things of which each may be written once: binds everywhere, routes of a listener,
    backends of a pool."""
    binds: list[tuple[Path, object]] = []
    for name, listener in _mapping(data.get("listeners")).items():
        path: Path = ("listeners", name)
        binds += _binds((*path, "bind"), _mapping(listener).get("bind"))
        routes = enumerate(_list(_mapping(listener).get("routes")))
        names = (((*path, "routes", at, "name"), _mapping(route).get("name")) for at, route in routes)
        yield from _repeated(names, tree, "the name {} is taken by another route here", "rename one of them")
    binds += _binds(("metrics", "bind"), _mapping(data.get("metrics")).get("bind"))
    yield from _repeated(binds, tree, "{} is bound twice", "give each listener an address of its own")
    for name, pool in _mapping(data.get("pools")).items():
        backends = enumerate(_list(_mapping(pool).get("backends")))
        addresses = ((("pools", name, "backends", at), _address(backend)) for at, backend in backends)
        yield from _repeated(
            addresses, tree, "the backend {} is in this pool twice", "use weight: to give it more"
        )


def _repeated(
    values: Iterator[tuple[Path, object]] | list[tuple[Path, object]], tree: Tree, message: str, hint: str
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
    return _mapping(backend).get("address") if isinstance(backend, dict) else backend


def _unused_pools(settings: Settings, tree: Tree) -> Iterator[Mistake]:
    used = {route.pool for listener in settings.listeners.values() for route in listener.routes}
    for name in settings.pools:
        if name not in used:
            path = ("pools", name)
            yield Mistake(
                tree.locate_key(path), path, f'no route uses the pool "{name}"', "remove it, or route to it"
            )


def _unreachable(settings: Settings, tree: Tree) -> Iterator[Mistake]:
    """Looks up the few matches that could cover a route, so that 10,000 routes cost 10,000 look-ups and not
    their square."""
    for name, listener in settings.listeners.items():
        first: dict[tuple[str | None, str | None], int] = {}
        for at, match in enumerate(route.match for route in listener.routes):
            wider = product(_wider_hosts(match.host), _wider_paths(match.path))
            covering = [first[one] for one in wider if one in first]
            if covering:
                path: Path = ("listeners", name, "routes", at)
                where = tree.locate(("listeners", name, "routes", min(covering)))
                message = f"this route never matches: the one at {where} takes all its requests"
                yield Mistake(tree.locate(path), path, message, "move it up, or remove it")
            first.setdefault((match.host, match.path), at)


def _wider_hosts(host: str | None) -> list[str | None]:
    """The values of `host` that cover this one: none, itself, and the wildcards above it."""
    if host is None:
        return [None]
    labels = host.removeprefix("*.").split(".")
    return [None, host, *(f"*.{'.'.join(labels[at:])}" for at in range(1, len(labels)))]


def _wider_paths(path: str | None) -> list[str | None]:
    """The values of `path` that cover this one: none, itself, and the prefixes at a slash."""
    if path is None:
        return [None]
    return [None, path, *(path[: at + 1] for at, sign in enumerate(path) if sign == "/"), f"{path}/"]


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
