"""What becomes of a request: exactly one thing per route, and only rewrites that can be done."""

from collections.abc import Iterator
from typing import Any

from pylb.config import sni
from pylb.config.cross.walk import listeners, mapping, routes
from pylb.config.http import HttpListener
from pylb.config.routes import ACTIONS, Route, actions
from pylb.config.section import Section
from pylb.config.tree import Tree, dotted
from pylb.config.wording import suggest
from pylb.errors import Mistake, Path

WITHOUT_BODY = (204, 205, 304)
"""Statuses whose answers never have one (RFC 9110 section 15)."""


def mistakes(data: dict[str, Any], tree: Tree) -> Iterator[Mistake]:
    """Of every route, as it is written."""
    for path, route in routes(data):
        yield from _action(path, route, tree)
        yield from _split(path, route, tree)
        yield from _rewrite(path, route, tree)
        yield from _respond(path, mapping(route.get("respond")), tree)
    for path, route in routes(data, "tls"):
        yield from _connection(path, route, tree)
    for path, listener in listeners(data, "http"):
        yield from _no_routes(path, listener, tree)


def _action(path: Path, route: dict[str, Any], tree: Tree) -> Iterator[Mistake]:
    first, *others = actions(route) or [""]
    for other in others:
        text = f"`{first}` and `{other}` exclude each other"
        yield Mistake(tree.locate_key((*path, other)), (*path, other), text, "keep one of the two")
    if not first and not any(_meant(key, Route) in ACTIONS for key in route):
        text = f"`pool` is missing in {dotted(path)}"
        hint = "write pool: web, or one of split, redirect and respond"
        yield Mistake(tree.locate_key(path), (*path, "pool"), text, hint)


def _connection(path: Path, route: dict[str, Any], tree: Tree) -> Iterator[Mistake]:
    """One of pool and terminate, in a route of names."""
    if all(key in route for key in sni.ACTIONS):
        at = (*path, "terminate")
        text = "`pool` and `terminate` exclude each other"
        hint = "pool passes on what is encrypted, terminate decrypts it; keep one of the two"
        yield Mistake(tree.locate_key(at), at, text, hint)
    if not any(_meant(key, sni.NameRoute) in sni.ACTIONS for key in route):
        text = f"`pool` is missing in {dotted(path)}"
        hint = "write pool: NAME to pass it on encrypted, or terminate: LISTENER"
        yield Mistake(tree.locate_key(path), (*path, "pool"), text, hint)


def _no_routes(path: Path, listener: dict[str, Any], tree: Tree) -> Iterator[Mistake]:
    """Something must become of requests that are not sent to https."""
    written, redirects = listener.get("routes", ()), listener.get("redirect_https", False)
    if written not in ([], ()) or (redirects is not False and redirects != "false"):
        return
    if "routes" in listener:
        text = "`routes`: must not be empty"
    elif any(_meant(key, HttpListener) == "routes" for key in listener):
        return
    else:
        text = f"`routes` is missing in {dotted(path)}"
    at = (*path, "routes")
    place = tree.locate(at) if "routes" in listener else tree.locate_key(path)
    yield Mistake(place, at, text, "write routes: [{pool: web}]")


def _meant(key: str, section: type[Section]) -> str:
    """What an unknown key was probably written for; that it is unknown is enough to say."""
    if key in section.model_fields:
        return key
    return section.instead.get(key) or suggest(key, section.model_fields)


def _split(path: Path, route: dict[str, Any], tree: Tree) -> Iterator[Mistake]:
    split = mapping(route.get("split"))
    if split and all(weight == 0 and not isinstance(weight, bool) for weight in split.values()):
        at = (*path, "split")
        yield Mistake(
            tree.locate_key(at), at, "every weight of `split` is 0", "write a number above 0 for one"
        )
    if route.get("split_by") is not None and "split" not in route:
        at = (*path, "split_by")
        text = "`split_by` has no `split` beside it"
        yield Mistake(tree.locate_key(at), at, text, "write split: {web: 95, canary: 5}, or remove it")


def _rewrite(path: Path, route: dict[str, Any], tree: Tree) -> Iterator[Mistake]:
    rewrite = mapping(route.get("rewrite"))
    first, *others = [key for key in rewrite if key in ("strip_prefix", "replace_prefix", "path")] or [""]
    for other in others:
        at = (*path, "rewrite", other)
        text = f"`{first}` and `{other}` exclude each other"
        yield Mistake(tree.locate_key(at), at, text, "keep one of the two")
    if "replace_prefix" not in rewrite:
        return
    prefix = mapping(route.get("match", {})).get("path")
    if prefix is None or isinstance(prefix, dict) or (isinstance(prefix, str) and not prefix.endswith("/")):
        at = (*path, "rewrite", "replace_prefix")
        known = f"{prefix}/" if isinstance(prefix, str) else "/api/"
        text = "`replace_prefix` needs a prefix to replace"
        yield Mistake(
            tree.locate_key(at), at, text, f"write match: {{path: {known}}}, or path: in place of it"
        )


def _respond(path: Path, respond: dict[str, Any], tree: Tree) -> Iterator[Mistake]:
    if str(respond.get("status")) in map(str, WITHOUT_BODY) and respond.get("body"):
        at = (*path, "respond", "body")
        text = f"an answer with status {respond['status']} has no body"
        yield Mistake(tree.locate_key(at), at, text, "remove body, or choose another status")
