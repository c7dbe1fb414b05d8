"""pydantic's errors -> mistakes in the user's words, each at its place in the file.

pydantic says where by a path through types: it names union members and key checks, which are not in the file.
The walk below follows the types, so that what is left is the path the user wrote, and the section that was
meant is known: its keys give "did you mean", its `later` says what is not built yet.
"""

from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import Tag
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from pylb.config.model import Settings
from pylb.config.section import Section
from pylb.config.tree import Tree, dotted
from pylb.config.wording import Kind, shown, suggest
from pylb.errors import Mistake, Path

Tagged = tuple[str, Any]
"""A member of a union, after its tag."""


class _Spot:
    """What an error is about: the path in the file, the section that holds its last key, and that key's
    field."""

    def __init__(self, location: Iterable[str | int]) -> None:
        self.path: Path = ()
        self.section: type[Section] = Settings
        self.field: FieldInfo | None = None
        self.is_key = False
        self.types: list[Tagged] = [("", Settings)]
        """What may stand at the path."""
        for part in location:
            self.types = self._step(part)

    def _step(self, part: str | int) -> list[Tagged]:
        if part == "[key]":
            self.is_key = True
            return self.types
        if chosen := [kind for tag, kind in self.types if tag and tag == part]:
            return [("", kind) for kind in chosen]
        self.path = (*self.path, part)
        kinds = [kind for _, kind in self.types]
        if sections := [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Section)]:
            self.section = sections[0]
            self.field = self.section.model_fields.get(str(part))
            return members(self.field.annotation) if self.field else []
        inner = [get_args(kind)[-1 if get_origin(kind) is dict else 0] for kind in kinds if get_args(kind)]
        return [member for kind in inner for member in members(kind)]

    def go(self, at: Path, is_key: bool) -> None:
        """Further on, into a value that was checked as one."""
        self.path, self.is_key = (*self.path, *at), self.is_key or is_key


def explain(errors: Iterable[ErrorDetails], tree: Tree) -> list[Mistake]:
    """One mistake per error. Those that only follow from another one are left out; empty values are
    for cross to find."""
    spots = [(_spot(error), error) for error in errors]
    excused = {
        (*spot.path[:-1], replaced)
        for spot, error in spots
        if error["type"] == "extra_forbidden" and (replaced := _replaced(spot))
    }
    return [
        _mistake(spot, error, tree)
        for spot, error in spots
        if not _is_nothing(error) and not (error["type"] == "missing" and spot.path in excused)
    ]


def leaves(annotation: Any) -> list[Any]:
    """The members of a type behind Annotated, Optional and unions."""
    return [kind for _, kind in members(annotation)]


def members(annotation: Any, tag: str = "") -> list[Tagged]:
    """The same with their tags, which pydantic puts into the path of an error; "" for none."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        tags = [item.tag for item in inner[1:] if isinstance(item, Tag)]
        return members(inner[0], *tags[:1] or (tag,))
    if origin in (Union, UnionType):
        return [found for one in inner for found in members(one) if found[1] is not type(None)]
    return [(tag, annotation)]


def example(field: FieldInfo | None) -> str:
    """How a value of this field may be written; empty if nothing short can show it."""
    if field is None:
        return ""
    if field.examples:
        return str(field.examples[0])
    return next((kind.example for kind in kinds(field)), "")


def kinds(field: FieldInfo) -> list[Kind]:
    """What the value of a field is called, its own annotation first, then those inside Optional."""
    return [item for item in (*field.metadata, *_metadata(field.annotation)) if isinstance(item, Kind)]


def _metadata(annotation: Any) -> list[Any]:
    """What Annotated types carry, through Optional and unions."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return [*inner[1:], *_metadata(inner[0])]
    return [item for member in inner for item in _metadata(member)] if origin in (Union, UnionType) else []


def _spot(error: ErrorDetails) -> _Spot:
    spot, context = _Spot(error["loc"]), error.get("ctx", {})
    spot.go(context.get("at", ()), context.get("is_key", False))
    return spot


def _is_nothing(error: ErrorDetails) -> bool:
    """Whether the error is about a value that is not there."""
    found = error["input"]
    for part in error.get("ctx", {}).get("at", ()):
        found = found.get(part, "") if isinstance(found, dict) else found
    return found is None


def _replaced(spot: _Spot) -> str:
    """The required key that an unknown or unsupported key was written for."""
    key = str(spot.path[-1])
    section = spot.section
    return section.later.get(key) or section.instead.get(key) or suggest(key, section.model_fields)


def _mistake(spot: _Spot, error: ErrorDetails, tree: Tree) -> Mistake:
    kind = error["type"]
    if kind == "extra_forbidden":
        message, hint = _unknown(spot)
        return Mistake(tree.locate_key(spot.path), spot.path, message, hint)
    key = last_key(spot.path)
    if kind == "missing":
        where = dotted(spot.path[:-1])
        message = f"`{key}` is missing" + (f" in {where}" if where else "")
        return Mistake(tree.locate_key(spot.path[:-1]), spot.path, message, _write(key, spot.field))
    message, hint = _value(error, spot)
    place = tree.locate_key(spot.path) if spot.is_key else tree.locate(spot.path)
    return Mistake(place, spot.path, message if spot.is_key else named(spot.path, message), hint)


def named(path: Path, message: str) -> str:
    """A message about a value, with the key that it belongs to in front."""
    key = last_key(path)
    return f"`{key}`: {message}" if key else message


def last_key(path: Path) -> str:
    """`("pools", "web", "backends", 0)` -> `backends`."""
    return next((part for part in reversed(path) if isinstance(part, str)), "")


def _unknown(spot: _Spot) -> tuple[str, str]:
    key = str(spot.path[-1])
    where = dotted(spot.path[:-1])
    if key in spot.section.later:
        return f"`{key}` is not supported yet", spot.section.elsewhere.get(key, "remove it")
    if key in spot.section.elsewhere:
        return f"`{key}` does not belong here", spot.section.elsewhere[key]
    near = suggest(key, [*spot.section.model_fields, *spot.section.later])
    message = f"unknown key `{key}`" + (f" in {where}" if where else "")
    return (
        message,
        f"did you mean `{near}`?" if near else f"known here: {', '.join(spot.section.model_fields)}",
    )


def _value(error: ErrorDetails, spot: _Spot) -> tuple[str, str]:
    found = shown(error["input"])
    context: Mapping[str, Any] = error.get("ctx", {})
    match error["type"]:
        case "pylb":
            return context["message"], context["hint"] or _write_value(spot.field)
        case "string_type":
            hint = f'write it in quotes: "{found}"' if isinstance(error["input"], bool | int | float) else ""
            return f"expected text, found {found}", hint or _write_value(spot.field)
        case "literal_error":
            return f"{found} is not one of its values", _choose(error["input"], spot.field)
        case "tuple_type":
            return f"expected a list, found {found}", _write_value(spot.field)
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"expected keys and values, found {found}", _keys_hint(spot)
        case _:
            return error["msg"], _write_value(spot.field)


def _choose(written: object, field: FieldInfo | None) -> str:
    choices = [str(choice) for kind in leaves(field.annotation) for choice in get_args(kind)] if field else []
    near = (
        {True: "on", False: "off"}.get(written)
        if isinstance(written, bool)
        else suggest(str(written), choices)
    )
    if near in choices:
        return f"write {near}" if isinstance(written, bool) else f"did you mean {near}?"
    return f"choose {' or '.join(choices)}"


def _keys_hint(spot: _Spot) -> str:
    sections = [kind for _, kind in spot.types if isinstance(kind, type) and issubclass(kind, Section)]
    known = [name for section in sections for name in section.model_fields]
    return f"known here: {', '.join(known)}" if known else _write_value(spot.field)


def _write(key: str, field: FieldInfo | None) -> str:
    text = example(field)
    return f"write {key}: {text}" if text else ""


def _write_value(field: FieldInfo | None) -> str:
    text = example(field)
    return f"write for example {text}" if text else ""
