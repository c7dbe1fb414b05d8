"""Where in a message a key is found: the value of a header, a cookie or a parameter of the query, by name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import PlainValidator, WithJsonSchema

from pylb.config.shorthand import one_key
from pylb.config.text import cookie, parameter, token
from pylb.config.wording import Kind, below, shown, wrong

Where = Literal["header", "cookie", "query"]
_NAMES: dict[str, Callable[[str], str]] = {"header": token, "cookie": cookie, "query": parameter}


@dataclass(frozen=True, slots=True)
class Selector:
    """One named value of a message."""

    where: Where
    name: str

    def plain(self) -> dict[str, str]:
        """As the draft has it."""
        return {self.where: self.name}


def selector(where: Where, name: object) -> Selector:
    """The value called `name`, or an error about that name."""
    if not isinstance(name, str) or not name:
        raise wrong(f"expected the name of the {where}, found {shown(name)}", f"write {where}: NAME")
    return Selector(where, _NAMES[where](name))


def split_key(value: object) -> Selector:
    """`{cookie: sid}` or `{header: x-user}`."""
    return value if isinstance(value, Selector) else _one(value, "{cookie: sid}")


def rate_key(value: object) -> Selector | None:
    """`client` -> None; else `{header: x-api-key}` or `{cookie: sid}`."""
    if isinstance(value, Selector):
        return value
    if value in ("client", None):
        return None
    if isinstance(value, str):
        raise wrong(f"{shown(value)} is not a key", "write client, {header: x-api-key} or {cookie: sid}")
    return _one(value, "client, or {header: x-api-key}")


def _one(value: object, example: str) -> Selector:
    where, name = one_key(value, ("header", "cookie"), example)
    with below(where):
        return selector("header" if where == "header" else "cookie", name)


_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"header": {"type": "string"}, "cookie": {"type": "string"}},
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": False,
}

SplitKey = Annotated[
    Selector,
    PlainValidator(split_key),
    WithJsonSchema(_SCHEMA),
    Kind("`{cookie: NAME}` or `{header: NAME}`", "{cookie: sid}"),
]
RateKey = Annotated[
    Selector | None,
    PlainValidator(rate_key),
    WithJsonSchema({"anyOf": [{"const": "client"}, _SCHEMA]}),
    Kind("`client`, `{header: NAME}` or `{cookie: NAME}`", "client"),
]
