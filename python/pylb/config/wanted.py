"""What a route wants of one value of a request: this text, its mere presence, or a regular expression.

Expressions are compiled by the core, whose engine takes time linear in what it is matched with (no
backtracking, no look-around), so their mistakes are the core's to find.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import PlainValidator, WithJsonSchema

from pylb.config.scalar import switch
from pylb.config.shorthand import one_key
from pylb.config.text import field_value, url_path
from pylb.config.wording import Kind, below, shown, wrong

LONGEST_REGEX = 4096
"""Characters of one regular expression."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a header, cookie or parameter must be: `kind` says how to read `what`."""

    kind: Literal["exact", "present", "regex"]
    what: str | bool


@dataclass(frozen=True, slots=True)
class Regex:
    """A regular expression that a whole path must match."""

    regex: str


def wanted(value: object) -> Wanted:
    """`acme`, `{present: true}` or `{regex: "a.*"}`."""
    if isinstance(value, Wanted):
        return value
    if isinstance(value, str):
        return Wanted("exact", field_value(value))
    if not isinstance(value, dict):
        hint = f'write it in quotes: "{shown(value)}"' if isinstance(value, bool | int | float) else ""
        raise wrong(f"expected text, found {shown(value)}", hint or "write for example acme")
    key, inner = one_key(value, ("present", "regex"), "{present: true}")
    if key == "present":
        with below("present"):
            return Wanted("present", switch(inner))
    return Wanted("regex", _regex(inner))


def route_path(value: object) -> str | Regex:
    """`/api/` (with all below), `/api` (only itself), or `{regex: "/v[0-9]+/.*"}`."""
    if isinstance(value, Regex):
        return value
    if isinstance(value, str):
        return url_path(value)
    if not isinstance(value, dict):
        hint = (
            f"write /{value}" if type(value) is int else "write for example /api/, and a route for every path"
        )
        raise wrong(f"expected a path, found {shown(value)}", hint)
    _, inner = one_key(value, ("regex",), '{regex: "/v[0-9]+/.*"}')
    return Regex(_regex(inner))


def _regex(value: object) -> str:
    if not isinstance(value, str):
        raise wrong(
            f"expected a regular expression, found {shown(value)}", "write it in quotes", at=("regex",)
        )
    if not value:
        raise wrong("the regular expression is empty", 'write for example "[0-9]+"', at=("regex",))
    if len(value) > LONGEST_REGEX:
        text = f"the regular expression has more than {LONGEST_REGEX} characters"
        raise wrong(text, "write several routes instead", at=("regex",))
    return value


def _one(key: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {key: value}, "required": [key], "additionalProperties": False}


_TEXT = {"type": "string"}

WantedValue = Annotated[
    Wanted,
    PlainValidator(wanted),
    WithJsonSchema({"anyOf": [_TEXT, _one("present", {"type": "boolean"}), _one("regex", _TEXT)]}),
    Kind("text", "acme"),
]
RoutePath = Annotated[
    str | Regex,
    PlainValidator(route_path),
    WithJsonSchema({"anyOf": [_TEXT, _one("regex", _TEXT)]}),
    Kind("path, or `{regex: ...}`", "/api/"),
]
