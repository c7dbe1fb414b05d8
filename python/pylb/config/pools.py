"""Pools: the backends, how one is chosen, and what is done when they fail or are busy."""

from typing import Annotated

from pydantic import BeforeValidator, Discriminator, Field, Tag

from pylb import affinity
from pylb.config import shorthand
from pylb.config.address import Address, DnsName
from pylb.config.answer import ErrorStatus, RetryOn
from pylb.config.balance import BalanceText
from pylb.config.checks import Health
from pylb.config.proxy import ProxyVersion
from pylb.config.scalar import (
    Amount,
    Duration,
    LearnedOrDuration,
    OffOrDuration,
    OffOrSize,
    Share,
    Switch,
    Whole,
)
from pylb.config.section import Section, Some, default, point, refuse
from pylb.config.sticky import Sticky
from pylb.config.text import FilePath
from pylb.config.tls import TlsToBackends
from pylb.config.wording import Kind


class Server(Section):
    """What backends have in common, however their addresses are found."""

    weight: Whole = default(1)
    """Its share of the requests, beside the weights of the others."""
    backup: Switch = False
    """Used only when no other backend of the pool can be."""
    max_in_flight: Whole | None = None
    """The most requests it gets at a time, over all workers; more wait in the `queue`. Left out: no limit."""


class Backend(Server):
    """One server. Short form: only its address."""

    later = refuse("zone", "labels")
    elsewhere = point(
        "refresh", to="only names under dns: are looked up again; write dns: in place of address:"
    )
    address: Address = Field(examples=["10.0.0.1:9001"])
    """`10.0.0.1:9001`, `"[::1]:9001"`, `name:9001` (its first address) or `unix:/run/app.sock`."""


class DnsBackend(Server):
    """All servers that a name stands for: each of its A and AAAA addresses is a backend."""

    later = refuse("zone", "labels")
    elsewhere = point("address", to="a backend has either address or dns; remove one")
    dns: DnsName = Field(examples=["web.internal:9001"])
    """`name:9001`. While the name cannot be looked up, the addresses found last stay."""
    refresh: Duration = default("30s")
    """Between two look-ups."""


BackendOrAddress = Annotated[
    Annotated[Backend, Tag("address")] | Annotated[DnsBackend, Tag("dns")],
    Discriminator(shorthand.backend_kind),
    BeforeValidator(shorthand.backend, json_schema_input_type=Address | Backend | DnsBackend),
]


class Passive(Section):
    """When backends that fail real requests are left out for a while."""

    failures: Whole = default(5)
    """Failures in a row (connect error, no complete answer, 502, 503, 504) that eject a backend."""
    eject: Duration = default("10s")
    """For how long, times the number of ejections without a success in between; at most 300s."""
    max_ejected: Share = default("50%")
    """The most of a pool that may be out at once. Never the last backend."""


class Drain(Section):
    """How backends are emptied, by `pylb drain` or because a reload removed them."""

    timeout: Duration = default("10m")
    """How long sessions, tunnels and long answers may stay; then sessions move, and what is open is cut."""


class Retries(Section):
    """When a request that failed is sent again, to another backend if there is one."""

    tries: Whole = default(3)
    """In all; 1 turns retries off."""
    on: Annotated[
        tuple[RetryOn, ...],
        BeforeValidator(shorthand.one_or_more, json_schema_input_type=str | tuple[str, ...]),
        Kind("reason, or list", "[connect, stale, closed, refused_stream]"),
    ] = default(("connect", "stale", "closed", "refused_stream"))
    """`connect` (no connection), `stale` (a reused connection was closed already), `closed` (before a byte of
    an answer), `refused_stream` (HTTP/2); also `timeout`, `reset` or a status such as `503`. Methods that are
    not idempotent are only sent again if no byte of them can have been processed."""
    budget: Share = default("20%")
    """The most retries, as a share of the pool's requests of the last 10s; ten a second are free."""
    replay: OffOrSize = default("64KiB")
    """How much of a request's body is kept for it. `off`: nothing."""
    per_try: OffOrDuration = default("off")
    """For the head of an answer, in each try; then it counts as `timeout`."""


class Queue(Section):
    """Where requests wait while every backend is at its `max_in_flight`."""

    size: Amount = default(1000)
    """How many may wait; more are answered with 503, and TCP connections closed. 0: none waits."""
    timeout: Duration = default("5s")
    """How long one waits; then 503."""


class PoolTimeouts(Section):
    """How long a pool waits for its backends."""

    connect: Duration = default("3s")
    """For a connection; then another backend is tried, at last 504."""
    tls_handshake: Duration = default("5s")
    """For a TLS handshake on it; then another backend is tried, at last 504."""
    keepalive: LearnedOrDuration = default("learned")
    """How long an idle connection is kept. `learned`: as the backend says or shows, starting at 4s."""
    idle: Duration = default("1h")
    """For a byte in either direction of a TCP session, WebSocket or other tunnel; then it is closed."""


class Pool(Section):
    """Backends that can stand in for one another, and how to choose among them."""

    later = refuse("http2")
    balance: BalanceText = default("two_choices")
    """`two_choices` (the less busy of two drawn at random), `round_robin`, `least_connections`, `peak_ewma`
    (latency), `ip_hash`, `{hash: {header: x-user}}` (or `cookie`, `query`, `{path: true}`), `random`, or
    `failover` (the first that works, in order)."""
    backends: Annotated[
        tuple[BackendOrAddress, ...], Some, Kind("list of addresses or keys", "[127.0.0.1:9001]")
    ]
    """The servers, each an address or a mapping."""
    health: Health | None = None
    """Active checks. Left out: only real requests show whether a backend works."""
    passive: Passive = Passive()
    slow_start: OffOrDuration = default("off")
    """How long a backend that was added, or works again, takes to get its whole share."""
    drain: Drain = Drain()
    sticky: Sticky | None = None
    """How clients stay with a backend. Left out: every request is balanced anew."""
    retries: Retries = Retries()
    timeouts: PoolTimeouts = PoolTimeouts()
    idle_connections: Whole = default(64)
    """Open connections kept for reuse, per worker and backend."""
    errors: Annotated[
        dict[ErrorStatus, FilePath], Kind("statuses and file paths", "{503: pages/busy.html}")
    ] = default({})
    """Files that are sent in place of pylb's own answers with these statuses; at most 256 KiB each."""
    queue: Queue = Queue()
    tls: TlsToBackends | None = Field(default=None, examples=["{ca: certs/internal.pem}"])
    proxy_protocol: ProxyVersion | None = None
    """Tell backends in a PROXY header who the client is. They must expect one."""

    @property
    def keys(self) -> tuple[bytes, ...]:
        """The keys of this pool's own for sticky cookies."""
        written = getattr(self.sticky, "keys", None) or ()
        return affinity.ring([key.get_secret_value() for key in written]) if written else ()
