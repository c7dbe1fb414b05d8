"""Listeners: one model for each protocol, so that a key of another is a mistake with a hint of its own."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from pylb.config import protocols
from pylb.config.http import HttpListener
from pylb.config.listening import Connecting, Listening, Spoken, Terminating
from pylb.config.scalar import Duration, Whole
from pylb.config.section import DatagramBinds, Section, Some, default, gather, point
from pylb.config.sni import NameRoute
from pylb.config.text import Name

_HTTP = ("limits", "lenient", "encoded_slash", "half_close", "path", "redirect_https", "http2")
_ONLY_HTTP = point(*_HTTP, to="only protocol: http has it; remove it")
_ONLY_UDP = point("udp", to="only protocol: udp has it; write protocol: udp, or remove it")
_TRUSTED = point(
    "trusted_proxies",
    to="there are no headers to read; behind a proxy write proxy_protocol: {from: [NETWORK]}",
)
_ONE_POOL = "there are no requests to route; write pool: NAME"


class TcpTimeouts(Section):
    """How long a listener waits for its clients."""

    elsewhere = gather(
        point("idle", "connect", to="write it in timeouts of the pool"),
        point("head", "body_idle", "keepalive", "send_idle", to="only protocol: http has it; remove it"),
    )
    tls_handshake: Duration = default("10s")
    """For a TLS handshake; then the connection is cut."""


class TcpListener(Terminating):
    """Any protocol over TCP: each connection goes to one backend, and bytes pass both ways as they are. With
    `tls`, what backends get is decrypted."""

    elsewhere = gather(_ONLY_HTTP, _ONLY_UDP, _TRUSTED, point("routes", to=_ONE_POOL))
    instead = gather(routes="pool")
    protocol: Annotated[Literal["tcp"], Spoken]
    """Must be `tcp`."""
    pool: Name = Field(examples=["postgres"])
    """The pool whose backends serve. How long a session may be idle is said there."""
    timeouts: TcpTimeouts = TcpTimeouts()

    @property
    def pools(self) -> tuple[str, ...]:
        """The pools that connections may go to."""
        return (self.pool,)


class Udp(Section):
    """When a flow ends: the datagrams of one client, and what is sent back."""

    idle: Duration = default("60s")
    """After that long without a datagram in either direction."""
    replies: Whole | None = None
    """After so many replies to each datagram of the client: 1 for DNS. Left out: no limit."""
    flows: Whole = default(65536)
    """The most at once, over all workers; half of the descriptors at most. Beyond that, the oldest ends."""


class UdpListener(Listening):
    """Any protocol over UDP: all datagrams of a client go to one backend, until they stop."""

    elsewhere = gather(
        _ONLY_HTTP,
        point("routes", to=_ONE_POOL),
        point("tls", to="there is no TLS over UDP; write protocol: tcp or http, or remove it"),
        point("timeouts", to="write udp: {idle: 60s}"),
        point("proxy_protocol", "trusted_proxies", to="datagrams have no header to read; remove it"),
    )
    instead = gather(routes="pool")
    protocol: Annotated[Literal["udp"], Spoken]
    """Must be `udp`."""
    bind: Annotated[DatagramBinds, Some] = Field(examples=["0.0.0.0:5353"])
    """`0.0.0.0:5353`, `:5353` (all IPv4 and IPv6 addresses) or `"[::]:53"` (IPv6 only); one, or a list."""
    pool: Name = Field(examples=["resolvers"])
    """The pool whose backends answer."""
    udp: Udp = Udp()

    @property
    def pools(self) -> tuple[str, ...]:
        """The pools that datagrams may go to."""
        return (self.pool,)


class NamesListener(Connecting):
    """TLS by the name that clients ask for, which they send in clear: connections are passed on encrypted as
    they are, or handed to a listener that decrypts them."""

    elsewhere = gather(
        _ONLY_HTTP,
        _ONLY_UDP,
        _TRUSTED,
        point("pool", to="write routes: [{pool: NAME}]"),
        point("tls", to="nothing is decrypted here; write routes: [{terminate: LISTENER}], and tls there"),
        point("timeouts", to="write timeouts in the pool, or in the listener that terminate names"),
    )
    instead = gather(pool="routes")
    protocol: Annotated[Literal["tls"], Spoken]
    """Must be `tls`."""
    routes: Annotated[tuple[NameRoute, ...], Some] = Field(examples=["[{match: {sni: a.example}, pool: a}]"])
    """Tried from the first to the last; a connection that none takes is closed."""

    @property
    def pools(self) -> tuple[str, ...]:
        """The pools that connections may go to."""
        return tuple(route.pool for route in self.routes if route.pool is not None)


Listener = HttpListener | TcpListener | UdpListener | NamesListener

AnyListener = Annotated[
    Annotated[HttpListener, Tag("http")]
    | Annotated[TcpListener, Tag("tcp")]
    | Annotated[UdpListener, Tag("udp")]
    | Annotated[NamesListener, Tag("tls")],
    Discriminator(protocols.spoken),
]
