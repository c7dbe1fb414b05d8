"""How a pool chooses: the name of a policy, or `{hash: {header: x-user}}`."""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Literal, get_args

from pydantic import PlainValidator, WithJsonSchema

from pylb.config.text import cookie, token
from pylb.config.wording import Kind, shown, wrong

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
    return where, {"header": token, "cookie": cookie}.get(where, str)(what)


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

BalanceText = Annotated[
    Balance, PlainValidator(balance), WithJsonSchema(_BALANCE_SCHEMA), Kind("policy", "two_choices")
]
