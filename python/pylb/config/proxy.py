"""The PROXY protocol: whose header a listener believes, and which version a pool writes.

https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, PlainValidator, WithJsonSchema

from pylb.config.address import network
from pylb.config.shorthand import one_key, one_or_more
from pylb.config.wording import Kind, below, shown, wrong

_EXAMPLE = "{from: [10.1.0.0/16]}"


def peers(value: object) -> tuple[str, ...]:
    """`{from: [10.1.0.0/16]}` -> the networks. They, and only they, must send a header."""
    if isinstance(value, tuple):
        return value
    if not isinstance(value, dict):
        read = "both versions are read here; " if value in ("v1", "v2", 1, 2, "1", "2") else ""
        text = f"expected who sends the header, found {shown(value)}"
        raise wrong(text, f"{read}write {_EXAMPLE}" if value is not False else "remove it")
    _, inner = one_key(value, ("from",), _EXAMPLE)
    written = one_or_more(inner)
    with below("from"):
        if not isinstance(written, list | tuple) or not written:
            raise wrong("names nobody, so no header would be read", "write the networks of your proxies")
        return tuple(_network(one, at, inner) for at, one in enumerate(written))


def _network(one: object, at: int, inner: object) -> str:
    with below(*([at] if isinstance(inner, list | tuple) else [])):
        return network(one)


def version(value: object) -> object:
    """`v1` or `v2`; what else it may be called is told."""
    if isinstance(value, dict):
        raise wrong("a pool writes the header and has no peers", "write v1 or v2; from is for listeners")
    number = str(value).lower().lstrip("v")
    if value not in ("v1", "v2") and (number in ("1", "2") or value is True):
        raise wrong(f"{shown(value)} is not a version", f"write v{number if number in '12' else 2}")
    return value


_NETWORK = {"type": "string", "examples": ["10.1.0.0/16"]}
_PEERS = {
    "type": "object",
    "properties": {"from": {"anyOf": [_NETWORK, {"type": "array", "items": _NETWORK, "minItems": 1}]}},
    "required": ["from"],
    "additionalProperties": False,
}

ProxyPeers = Annotated[
    tuple[str, ...],
    PlainValidator(peers),
    WithJsonSchema(_PEERS),
    Kind("`{from: [NETWORK]}`", _EXAMPLE),
]
ProxyVersion = Annotated[Literal["v1", "v2"], BeforeValidator(version)]
