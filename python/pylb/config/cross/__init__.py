"""What no single key can show: names that must exist, things that may be written only once or not together.

Mistakes are looked for in the plain values, not in the model, so that they are found together with every
other mistake of the file; whatever has the wrong shape there is skipped, because the model says so already.
Warnings need a valid model: they are about what is legal but surely not meant.
"""

from collections.abc import Iterator
from typing import Any

from pylb.config.cross import actions, layer4, names, sense, tls
from pylb.config.cross.walk import mapping
from pylb.config.explain import last_key
from pylb.config.model import Settings
from pylb.config.tree import Tree
from pylb.errors import Mistake, Path


def mistakes(tree: Tree) -> list[Mistake]:
    """Keys with nothing behind them, unknown pools, what is written twice, routes that say too much or too
    little, TLS to backends that cannot work, an admin address that everybody could use."""
    data = mapping(tree.data)
    return [
        *_empty(tree.data, (), tree),
        *names.unknown_pools(data, tree),
        *names.unknown_listeners(data, tree),
        *names.twice(data, tree),
        *actions.mistakes(data, tree),
        *tls.mistakes(data, tree),
        *_unguarded(data, tree),
    ]


def warnings(settings: Settings, tree: Tree) -> list[Mistake]:
    """Pools that nothing uses, keys that have no effect. Routes that never match are the core's to find."""
    return [
        *names.unused_pools(settings, tree),
        *sense.warnings(settings, tree),
        *layer4.warnings(settings, tree),
    ]


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


def _unguarded(data: dict[str, Any], tree: Tree) -> Iterator[Mistake]:
    """Whoever can reach a TCP port can talk to it; a unix socket has a mode."""
    admin = mapping(data.get("admin"))
    bind = admin.get("bind")
    if (
        isinstance(bind, str)
        and ":" in bind
        and not bind.startswith(("unix:", "fd:"))
        and "token" not in admin
    ):
        path = ("admin", "bind")
        text = f"`bind`: admin on {bind} needs a token"
        yield Mistake(
            tree.locate(path),
            path,
            text,
            'add token: "${PYLB_ADMIN_TOKEN}", or write unix:/run/pylb/admin.sock',
        )
