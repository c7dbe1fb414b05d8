"""Listeners: where clients connect, how patient and how strict pylb is there, and the routes of their
requests."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from pylb.config import shorthand
from pylb.config.routes import Route
from pylb.config.scalar import Duration, OffOrSize, Size, Switch, Whole
from pylb.config.section import Binds, Networks, Section, Some, default, point, refuse


class ListenerTimeouts(Section):
    """How long a listener waits for its clients."""

    later = refuse("tls_handshake")
    head: Duration = default("10s")
    """For a complete request head, counted from its first byte; then 408."""
    body_idle: Duration = default("60s")
    """Between two pieces of a request body; then 408."""
    keepalive: Duration = default("75s")
    """For the next request on an open connection; then it is closed."""
    send_idle: Duration = default("60s")
    """For a client that takes no byte of an answer; then the connection is cut."""


class Limits(Section):
    """What a listener refuses to take."""

    later = refuse("clients_per_ip")
    head: Size = default("64KiB")
    """A whole request head; then 431."""
    fields: Whole = default(128)
    """Header fields of one request; then 431."""
    request_line: Size = default("8KiB")
    """Method, target and version; then 414."""
    field: Size = default("16KiB")
    """One header field; then 431."""
    body: OffOrSize = default("off")
    """One request body; then 413. `off`: no limit."""
    requests: Whole = default(10_000)
    """Requests on one connection; after the last one it is closed."""


class Listener(Section):
    """Where pylb listens, how strict it is there, and where each request goes."""

    later = refuse("proxy_protocol", "http2", "tls", "udp", "redirect_https", pool="routes")
    elsewhere = point("pool", to="in an http listener, write routes: [{pool: NAME}]")
    bind: Annotated[Binds, Some] = Field(examples=["0.0.0.0:8080"])
    """`0.0.0.0:8080`, `:8080` (all IPv4 and IPv6 addresses), `"[::]:80"` (IPv6 only), `unix:/run/x.sock` or
    `fd:3`; one, or a list."""
    protocol: Annotated[Literal["http"], BeforeValidator(shorthand.protocol)] = "http"
    """What is spoken here."""
    trusted_proxies: Networks = ()
    """Networks whose `X-Forwarded-*` headers are believed. From everybody else they are removed."""
    timeouts: ListenerTimeouts = ListenerTimeouts()
    limits: Limits = Limits()
    lenient: Switch = False
    """Accept, and log, three old habits of HTTP/1 clients: lines that end without CR, equal `Content-Length`
    fields repeated, folded header lines."""
    encoded_slash: Literal["keep", "reject"] = "keep"
    """`%2f` and `%5c` in a path: data that stays encoded, or 400."""
    half_close: Literal["abort", "keep"] = "abort"
    """A client that ends its side while an answer is owed: cancel the backend's work, or finish the
    answer."""
    path: Literal["normal", "raw"] = "normal"
    """Send backends the normalised path, or the path as received (dot segments are then refused)."""
    access_log: Literal["on", "off"] = "on"
    """Whether requests here appear in the access log."""
    routes: Annotated[tuple[Route, ...], Some] = Field(examples=["[{pool: web}]"])
    """Tried from the first to the last; a request that none takes is answered with 404."""
