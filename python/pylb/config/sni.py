"""Routes of `protocol: tls`: by the name that a client asks for, before anything is decrypted."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from pylb.config import shorthand
from pylb.config.section import Section, Some, gather, point
from pylb.config.text import Alpn, Name, Sni
from pylb.config.wording import Kind

ACTIONS = ("pool", "terminate")
"""What may become of a connection; every route has exactly one of them."""

_ENCRYPTED = "it is encrypted here; write it in a route of the listener that terminate names"


Protocols = Annotated[
    tuple[Alpn, ...],
    Some,
    BeforeValidator(shorthand.one_or_more, json_schema_input_type=str | tuple[str, ...]),
    Kind("protocol, or list", "[h2, http/1.1]"),
]


class NameMatch(Section):
    """Which connections a route takes. What is left out matches everything."""

    elsewhere = gather(
        point("host", to="names are called sni here; write sni: shop.example"),
        point("path", "methods", "headers", "cookies", "query", to=_ENCRYPTED),
        point("client", to="only http routes have it; remove it"),
    )
    sni: Sni | None = None
    """The name that the client asks for: `shop.example` exactly, or `*.shop.example` for every name below
    it."""
    alpn: Protocols | None = None
    """The client offers one of these protocols (ALPN)."""


class NameRoute(Section):
    """Which connections, and what becomes of them: one of `pool` and `terminate`. The first route that
    matches wins, in the order of the file; a connection that none takes is closed."""

    elsewhere = gather(
        point("split", "split_by", to="a connection goes to one pool; write pool: NAME"),
        point("redirect", "respond", "rewrite", "rate_limit", to=_ENCRYPTED),
        point("request_headers", "response_headers", "timeouts", to=_ENCRYPTED),
    )
    instead = gather(split="pool", redirect="terminate", respond="terminate")
    name: Name | None = None
    """For logs and metrics. Left out, it is LISTENER#N, counting from 1."""
    match: NameMatch = NameMatch()
    """Which connections. Left out: all that no earlier route took."""
    pool: Name | None = Field(default=None, examples=["internal"])
    """The pool that they are passed on to, still encrypted."""
    terminate: Name | None = Field(default=None, examples=["secure"])
    """The listener that decrypts and serves them, as if they had come in there."""
