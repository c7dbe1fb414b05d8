"""The short forms a user may write, turned into the one long form before anything is validated.

One mistake must be one error: were `backends: [x]` a union of text and mapping, pydantic would report what is
wrong with both readings. So the reading is chosen here, by looking at the value, and then only that one is
checked.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationInfo, WithJsonSchema

from pylb.config.text import file_path
from pylb.config.wording import Kind, shown, suggest, wrong

_LEARN = ("response_header", "response_cookie", "request_header", "request_cookie", "request_query")


def one_or_more(value: object) -> object:
    """A single value where a list is expected -> a list of it."""
    return value if isinstance(value, list | tuple) or value is None else [value]


def one_key(value: object, known: Sequence[str], example: str) -> tuple[str, Any]:
    """The only entry of a mapping that must have exactly one, whose key is one of `known`."""
    if not isinstance(value, dict) or not value:
        raise wrong(
            f"expected {' or '.join(known)}, found {shown(value or None)}", f"write for example {example}"
        )
    for key in value:
        if key not in known:
            near = suggest(str(key), known)
            hint = f"did you mean `{near}`?" if near else f"known here: {', '.join(known)}"
            raise wrong(f"unknown key `{key}`", hint, at=(key,), is_key=True)
    first, *others = value
    if others:
        raise wrong(
            f"`{first}` and `{others[0]}` exclude each other",
            "keep one of the two",
            at=(others[0],),
            is_key=True,
        )
    return first, value[first]


def some(value: object) -> object:
    """Refuses an empty list or mapping before its entries are looked at."""
    if value in ([], (), {}):
        raise wrong("must not be empty")
    return value


def once_in_any_case(value: object) -> object:
    """Refuses names of header fields that differ in nothing but case."""
    seen: dict[str, str] = {}
    for name in value if isinstance(value, dict) else ():
        first = seen.setdefault(str(name).lower(), name)
        if first != name:
            raise wrong(
                f"`{name}` is the same header as `{first}`", "keep one of the two", at=(name,), is_key=True
            )
    return value


def backend(value: object) -> object:
    """`10.0.0.1:9001` -> `{address: 10.0.0.1:9001}`."""
    if isinstance(value, list | tuple):
        raise wrong(f"expected an address, found {shown(value)}", "write for example 10.0.0.1:9001")
    return {"address": value} if isinstance(value, str | int) else value


def backend_kind(value: Any) -> str:
    """Whether an address or a name to look up is meant; the name if both are written, whose model then
    refuses `address`."""
    named = "dns" in value if isinstance(value, dict) else hasattr(value, "dns")
    return "dns" if named else "address"


def learned(value: object) -> object:
    """Refuses a `learn` that does not have one place in the answer and one in the request."""
    if not isinstance(value, dict):
        return value
    for side, ends in (("response", ("header", "cookie")), ("request", ("header", "cookie", "query"))):
        known = [f"{side}_{end}" for end in ends]
        found = [key for key in value if key in known]
        if len(found) > 1:
            text = f"`{found[0]}` and `{found[1]}` exclude each other"
            raise wrong(text, "keep one of the two", at=(found[1],), is_key=True)
        if not found and all(key in _LEARN for key in value):
            raise wrong(f"the {side} is missing", f"add one of {', '.join(known)}")
    return value


def check(value: object) -> object:
    """Lets through only what is clearly an http or a tcp check."""
    if not isinstance(value, dict):
        path = value if isinstance(value, str) and value.startswith("/") else "/healthz"
        raise wrong(
            f"expected how to check, found {shown(value)}", f"write {{http: {path}}} or {{tcp: true}}"
        )
    for later in ("grpc", "hook"):
        if later in value:
            raise wrong(f"{later} checks are not supported yet", "write {http: /healthz} or {tcp: true}")
    if "http" not in value and "tcp" not in value:
        raise wrong("it does not say how to check", "add http: /healthz, or tcp: true")
    return value


def check_kind(value: Any) -> str:
    """Which of the two checks is meant; http if both are written, whose model then refuses `tcp`."""
    return "http" if "http" in value else "tcp"


def only_true(value: object) -> bool:
    if value not in (True, "true"):
        raise wrong(f"{shown(value)} would check nothing", "write tcp: true, or leave out health")
    return True


def address_sticks(value: object) -> bool:
    if value not in (True, "true"):
        raise wrong(f"{shown(value)} would know nobody", "write source_ip: true, or leave out sticky")
    return True


def sink(value: object, info: ValidationInfo) -> str:
    """`stdout`, `stderr`, `off` (where the field's own type allows it), or a file."""
    if value in ("stdout", "stderr", "off"):
        return str(value)
    if not isinstance(value, str):
        hint = "write off" if value is False else "write stdout, stderr, off, or a file"
        raise wrong(f"expected where to write, found {shown(value)}", hint)
    return file_path(value, info)


def messages_sink(value: object, info: ValidationInfo) -> str:
    """As `sink`, without off."""
    if value in ("off", False):
        raise wrong("messages cannot be turned off", "write level: error for fewer of them")
    return sink(value, info)


_SINK_SCHEMA = WithJsonSchema({"type": "string", "examples": ["stdout", "stderr", "off", "access.log"]})

Sink = Annotated[
    str, BeforeValidator(sink), _SINK_SCHEMA, Kind("`stdout`, `stderr`, `off` or file path", "stdout")
]
MessagesSink = Annotated[
    str, BeforeValidator(messages_sink), _SINK_SCHEMA, Kind("`stderr`, `stdout` or file path", "stderr")
]
