"""Keys that are legal and have no effect, or not the one that was surely meant."""

from collections.abc import Iterator

from pylb.config.http import HttpListener
from pylb.config.model import Settings
from pylb.config.pools import Pool
from pylb.config.routes import Route
from pylb.config.sticky import CookieSticking
from pylb.config.tree import Tree
from pylb.errors import Mistake, Path

FOR_BACKENDS = ("timeouts", "rewrite", "request_headers")
"""Keys of a route that are only about backends."""
OWN = (400, 408, 413, 426, 429, 502, 503, 504)
"""Statuses with which pylb itself answers once the route is found."""


def warnings(settings: Settings, tree: Tree) -> Iterator[Mistake]:
    """Of routes, pools and admin."""
    for name, listener in settings.listeners.items():
        if not isinstance(listener, HttpListener):
            continue
        for at, route in enumerate(listener.routes):
            yield from _without_backend(("listeners", name, "routes", at), route, tree)
        yield from _same_cookie(settings, list(listener.pools), tree)
    for name, pool in settings.pools.items():
        yield from _pool(("pools", name), pool, tree)
    if settings.admin.token is not None and (settings.admin.bind or "unix:").startswith("unix:"):
        path: Path = ("admin", "token")
        text = "`token` has no effect: who may use a unix socket is decided by its mode"
        yield Mistake(tree.locate_key(path), path, text, "remove it, or write bind: 127.0.0.1:9902")


def _without_backend(path: Path, route: Route, tree: Tree) -> Iterator[Mistake]:
    if route.pools:
        return
    for key in FOR_BACKENDS:
        if key in route.model_fields_set:
            at = (*path, key)
            text = f"`{key}` has no effect: this route answers without a backend"
            yield Mistake(tree.locate_key(at), at, text, "remove it")


def _same_cookie(settings: Settings, pools: list[str], tree: Tree) -> Iterator[Mistake]:
    """Pools behind one listener whose cookies would overwrite each other."""
    first: dict[str, str] = {}
    for pool in dict.fromkeys(pools):
        sticky = settings.pools[pool].sticky if pool in settings.pools else None
        if not isinstance(sticky, CookieSticking):
            continue
        known = first.setdefault(sticky.cookie, pool)
        if known != pool:
            path = ("pools", pool, "sticky", "cookie")
            text = (
                f"the pools {known} and {pool} share the cookie {sticky.cookie}, and overwrite each other's"
            )
            yield Mistake(tree.locate(path), path, text, f"write cookie: {sticky.cookie}-{pool}")


def _pool(path: Path, pool: Pool, tree: Tree) -> Iterator[Mistake]:
    policy, on = pool.balance.policy, pool.retries.on
    if pool.sticky is not None and policy in ("hash", "ip_hash"):
        text = f"`sticky` and balance: {policy} both keep clients at a backend; `sticky` wins"
        yield Mistake(tree.locate_key((*path, "sticky")), (*path, "sticky"), text, "remove one of the two")
    if "queue" in pool.model_fields_set and not any(backend.max_in_flight for backend in pool.backends):
        text = "`queue` has no effect: no backend of this pool has max_in_flight"
        yield Mistake(
            tree.locate_key((*path, "queue")), (*path, "queue"), text, "add max_in_flight: 100, or remove it"
        )
    for status in pool.errors:
        if status not in OWN:
            at = (*path, "errors", str(status))
            text = f"pylb has no answer {status} of its own here; those of backends pass as they are"
            own = ", ".join(map(str, OWN))
            yield Mistake(tree.locate_key(at), at, text, f"remove it, or choose from {own}")
    if pool.retries.per_try is not None and "timeout" not in on:
        at = (*path, "retries", "per_try")
        text = "a try that `per_try` ends is not followed by another"
        yield Mistake(tree.locate_key(at), at, text, f"write on: [{', '.join((*on, 'timeout'))}]")
