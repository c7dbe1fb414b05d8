"""Listeners of HTTP: how patient and how strict pylb is there, and the routes of their requests."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from pylb.config import protocols
from pylb.config.address import Port
from pylb.config.listening import Spoken, Terminating
from pylb.config.routes import Route
from pylb.config.scalar import Duration, OffOrSize, Size, Switch, Whole
from pylb.config.section import Networks, Section, default, gather, point, refuse
from pylb.config.wording import Kind


class HttpTimeouts(Section):
    """How long a listener waits for its clients."""

    head: Duration = default("10s")
    """For a complete request head, counted from its first byte; then 408."""
    body_idle: Duration = default("60s")
    """Between two pieces of a request body; then 408."""
    keepalive: Duration = default("75s")
    """For the next request on an open connection; then it is closed."""
    send_idle: Duration = default("60s")
    """For a client that takes no byte of an answer; then the connection is cut."""
    tls_handshake: Duration = default("10s")
    """For a TLS handshake; then the connection is cut."""


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


class HttpListener(Terminating):
    """HTTP/1: requests go by host, path and more to the backends of pools. Over TLS with `tls`."""

    later = refuse("http2")
    elsewhere = gather(
        point("pool", to="write routes: [{pool: NAME}]; or protocol: tcp, to pass on bytes of any kind"),
        point("udp", to="only protocol: udp has it; write protocol: udp, or remove it"),
    )
    instead = gather(pool="routes")
    protocol: Annotated[Literal["http"], Spoken] = "http"
    """What is spoken here. Left out: http."""
    trusted_proxies: Networks = ()
    """Networks whose `X-Forwarded-*` headers are believed. From everybody else they are removed."""
    timeouts: HttpTimeouts = HttpTimeouts()
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
    redirect_https: Annotated[
        Port | None,
        BeforeValidator(protocols.redirect_https, json_schema_input_type=bool | Port),
        Kind("`true` or port", "true"),
    ] = Field(default=None, examples=["true"])
    """Sends every request in clear to the same URL with `https://` (308), at port 443 (`true`) or another.
    What came to a trusted proxy over TLS goes through `routes`."""
    routes: tuple[Route, ...] = Field(default=(), examples=["[{pool: web}]"])
    """Tried from the first to the last; a request that none takes is answered with 404. Required
    without `redirect_https`."""

    @property
    def pools(self) -> tuple[str, ...]:
        """The pools that requests may go to."""
        return tuple(pool for route in self.routes for pool in route.pools)
