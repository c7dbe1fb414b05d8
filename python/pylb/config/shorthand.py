"""The short forms a user may write, turned into the one long form before anything is validated.

One mistake must be one error: were `backends: [x]` a union of text and mapping, pydantic would report what is
wrong with both readings. So the reading is chosen here, by looking at the value, and then only that one is
checked.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, PlainValidator, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from pylb.config.scalar import Kind, shown, wrong
from pylb.config.text import cookie, file_path, token

Policy = Literal[
    "two_choices", "round_robin", "least_connections", "peak_ewma", "ip_hash", "hash", "random", "failover"
]
_KEYS = ("header", "cookie", "query", "path")
_HASH_EXAMPLE = "{hash: {header: x-user}}"


@dataclass(frozen=True, slots=True)
class Balance:
    """How a pool chooses. `key` is (header | cookie | query, its name) or ("path", ""), for `hash` only."""

    policy: Policy
    key: tuple[str, str] | None = None


def balance(value: object) -> Balance:
    """`two_choices`, or `{hash: {header: x-user}}`."""
    if isinstance(value, Balance):
        return value
    if isinstance(value, dict) and list(value) == ["hash"]:
        return Balance("hash", _hash_key(value["hash"]))
    if value == "hash":
        raise wrong(
            "hash needs to know what to hash", f"write {_HASH_EXAMPLE}, or ip_hash for the client's address"
        )
    policies = get_args(Policy)
    if isinstance(value, str) and value in policies:
        return Balance(value)  # type: ignore[arg-type]
    near = get_close_matches(str(value), policies, n=1)
    names = ", ".join(policy for policy in policies if policy != "hash")
    hint = f"did you mean {near[0]}?" if near else f"choose one of {names} or {_HASH_EXAMPLE}"
    raise wrong(f"{shown(value)} is not a way to balance", hint)


def one_or_more(value: object) -> object:
    """A single value where a list is expected -> a list of it."""
    return value if isinstance(value, list | tuple) or value is None else [value]


def some(value: object) -> object:
    """Refuses an empty list or mapping before its entries are looked at."""
    if value in ([], (), {}):
        raise wrong("must not be empty")
    return value


def backend(value: object) -> object:
    """`10.0.0.1:9001` -> `{address: 10.0.0.1:9001}`."""
    return {"address": value} if isinstance(value, str | int) else value


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


def protocol(value: object) -> object:
    if value in ("tcp", "udp", "tls"):
        raise wrong(f"protocol {value} is not supported yet", "write http")
    return value


def route_path(value: object) -> object:
    if isinstance(value, dict) and "regex" in value:
        raise wrong(
            "regex is not supported yet", "write a path such as /api/, which matches /api and all below"
        )
    return value


def only_true(value: object) -> bool:
    if value not in (True, "true"):
        raise wrong(f"{shown(value)} would check nothing", "write tcp: true, or leave out health")
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


def _hash_key(value: object) -> tuple[str, str]:
    if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in _KEYS:
        raise wrong(
            f"expected one of {', '.join(_KEYS)} to hash, found {_keys(value)}", f"write {_HASH_EXAMPLE}"
        )
    ((where, what),) = value.items()
    if where == "path":
        if what not in (True, "true"):
            raise wrong(f"path is {shown(what)}", "write {hash: {path: true}}")
        return where, ""
    if not isinstance(what, str) or not what:
        raise wrong(
            f"expected the name of the {where}, found {shown(what)}", f"write {{hash: {{{where}: NAME}}}}"
        )
    try:
        return where, {"header": token, "cookie": cookie}.get(where, str)(what)
    except PydanticCustomError as error:
        raise error from None


def _keys(value: object) -> str:
    return ", ".join(map(str, value)) or "nothing" if isinstance(value, dict) else shown(value)


_BALANCE_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"enum": [policy for policy in get_args(Policy) if policy != "hash"]},
        {
            "type": "object",
            "properties": {
                "hash": {
                    "type": "object",
                    "properties": {
                        "header": {"type": "string"},
                        "cookie": {"type": "string"},
                        "query": {"type": "string"},
                        "path": {"const": True},
                    },
                    "minProperties": 1,
                    "maxProperties": 1,
                    "additionalProperties": False,
                }
            },
            "required": ["hash"],
            "additionalProperties": False,
        },
    ]
}
_SINK_SCHEMA = WithJsonSchema({"type": "string", "examples": ["stdout", "stderr", "off", "access.log"]})

BalanceText = Annotated[
    Balance, PlainValidator(balance), WithJsonSchema(_BALANCE_SCHEMA), Kind("policy", "two_choices")
]
Sink = Annotated[
    str, BeforeValidator(sink), _SINK_SCHEMA, Kind("`stdout`, `stderr`, `off` or file path", "stdout")
]
MessagesSink = Annotated[
    str, BeforeValidator(messages_sink), _SINK_SCHEMA, Kind("`stderr`, `stdout` or file path", "stderr")
]
