"""What becomes of a request: exactly one thing per route, and only rewrites that can be done."""

from collections.abc import Iterator
from typing import Any

from pylb.config.cross.walk import mapping, routes
from pylb.config.routes import ACTIONS, Route, actions
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


def _action(path: Path, route: dict[str, Any], tree: Tree) -> Iterator[Mistake]:
    first, *others = actions(route) or [""]
    for other in others:
        text = f"`{first}` and `{other}` exclude each other"
        yield Mistake(tree.locate_key((*path, other)), (*path, other), text, "keep one of the two")
    if not first and not any(_meant(key) in ACTIONS for key in route):
        text = f"`pool` is missing in {dotted(path)}"
        hint = "write pool: web, or one of split, redirect and respond"
        yield Mistake(tree.locate_key(path), (*path, "pool"), text, hint)


def _meant(key: str) -> str:
    """What an unknown key was probably written for; that it is unknown is enough to say."""
    if key in Route.model_fields:
        return ""
    return Route.later.get(key) or suggest(key, Route.model_fields)


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
