"""What listeners of every protocol have in common."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from pylb.config import protocols
from pylb.config.proxy import ProxyPeers
from pylb.config.section import Binds, Section, Some
from pylb.config.tls import ListenerTls

Spoken = BeforeValidator(protocols.protocol)
"""Refuses what is no protocol."""


class Listening(Section):
    """A place where clients come in."""

    bind: Annotated[Binds, Some] = Field(examples=["0.0.0.0:8080"])
    """`0.0.0.0:8080`, `:8080` (all IPv4 and IPv6 addresses), `"[::]:80"` (IPv6 only), `unix:/run/x.sock` or
    `fd:3`; one, or a list."""
    protocol: str
    """What is spoken there."""
    access_log: Literal["on", "off"] = "on"
    """Whether what comes in here appears in the access log."""


class Connecting(Listening):
    """One that takes connections."""

    proxy_protocol: ProxyPeers | None = None
    """Networks of proxies, which must say in a PROXY header (v1 or v2) for whom they connect. It is read from
    nobody else."""


class Terminating(Connecting):
    """One that may speak TLS."""

    tls: Annotated[ListenerTls, BeforeValidator(protocols.listener_tls)] | None = Field(
        default=None, examples=["{certificates: [{cert: certs/shop.pem, key: certs/shop.key}]}"]
    )
