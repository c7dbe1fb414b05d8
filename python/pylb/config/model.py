"""What a user may write: every key once, with its type, its default and its meaning.

Help, JSON Schema and docs/configuration.md are generated from here, so the docstring under a field is written
for users. Defaults stand in the user's own form ("10s") and are validated like anything else. A key that is
part of pylb's contract but not built yet is listed in `later`: it is refused with "not supported yet", never
ignored and never called unknown. Its value names the required key it would stand in for, so that one mistake
stays one error.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from pylb.config import shorthand
from pylb.config.address import Address, AdminBind, Bind, Network, Port
from pylb.config.scalar import (
    Auto,
    Duration,
    Kind,
    LearnedOrDuration,
    OffOrSize,
    Pause,
    Share,
    Size,
    Switch,
    Whole,
)
from pylb.config.shorthand import BalanceText, MessagesSink, Sink
from pylb.config.text import (
    FieldValue,
    FilePath,
    Host,
    Name,
    RequestPath,
    StatusRange,
    Token,
    UrlPath,
)

Binds = Annotated[
    tuple[Bind, ...],
    BeforeValidator(shorthand.one_or_more, json_schema_input_type=Bind | tuple[Bind, ...]),
    Kind("address, or list", "0.0.0.0:8080"),
]
Some = BeforeValidator(shorthand.some)


def default(written: Any) -> Any:
    """A default in the form a user would write."""
    return Field(default=written)


def refuse(*names: str, **instead: str) -> Mapping[str, str]:
    """Keys of the contract that are not built yet; `instead` says which required key each would replace."""
    return MappingProxyType({**dict.fromkeys(names, ""), **instead})


class Section(BaseModel):
    """Keys that belong together."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        validate_default=True,
        hide_input_in_errors=True,
    )
    later: ClassVar[Mapping[str, str]] = refuse()
    """Keys of the contract that are not built yet, and what each stands in for ("" for nothing)."""
    elsewhere: ClassVar[Mapping[str, str]] = {}
    """Keys that belong in another place, and what to do instead."""


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


class Match(Section):
    """Which requests a route takes. What is left out matches everything."""

    later = refuse("methods", "headers", "cookies", "query", "client", "sni")
    host: Host | None = None
    """`shop.example` exactly, or `*.shop.example` for every name below it. Compared without port and case."""
    path: Annotated[UrlPath, BeforeValidator(shorthand.route_path)] | None = None
    """`/api/` matches `/api` and everything below; without the last slash, only the path itself."""


class RouteTimeouts(Section):
    """How long a route waits for a backend. There is never a limit on a whole answer."""

    response_head: Duration = default("60s")
    """For the head of the answer; then 504."""
    response_idle: Duration = default("300s")
    """Between two pieces of the answer's body; then it is cut."""


class Route(Section):
    """Which requests go to which pool. The first that matches wins, in the order of the file."""

    later = refuse(
        "rate_limit", "rewrite", "request_headers", "response_headers", "split_by",
        split="pool", redirect="pool", respond="pool", terminate="pool",
    )  # fmt: skip
    name: Name | None = None
    """For logs and metrics. Left out, it is LISTENER#N, counting from 1."""
    match: Match = Match()
    """Which requests. Left out: all that no earlier route took."""
    pool: Name = Field(examples=["web"])
    """The pool whose backends answer."""
    timeouts: RouteTimeouts = RouteTimeouts()


class Listener(Section):
    """Where pylb listens, how strict it is there, and where each request goes."""

    later = refuse("proxy_protocol", "http2", "tls", "udp", "redirect_https", pool="routes")
    elsewhere = {"pool": "in an http listener, write routes: [{pool: NAME}]"}
    bind: Annotated[Binds, Some] = Field(examples=["0.0.0.0:8080"])
    """`0.0.0.0:8080`, `:8080` (all IPv4 and IPv6 addresses), `"[::]:80"` (IPv6 only), `unix:/run/x.sock` or
    `fd:3`; one, or a list."""
    protocol: Annotated[Literal["http"], BeforeValidator(shorthand.protocol)] = "http"
    """What is spoken here."""
    trusted_proxies: Annotated[
        tuple[Network, ...],
        BeforeValidator(shorthand.one_or_more, json_schema_input_type=Network | tuple[Network, ...]),
        Kind("network, or list", "[10.0.0.0/8]"),
    ] = ()
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


class Backend(Section):
    """One server. Short form: only its address."""

    later = refuse("max_in_flight", "zone", "labels", "refresh", dns="address")
    address: Address = Field(examples=["10.0.0.1:9001"])
    """`10.0.0.1:9001`, `"[::1]:9001"`, `name:9001` or `unix:/run/app.sock`."""
    weight: Whole = default(1)
    """Its share of the requests, beside the weights of the others."""
    backup: Switch = False
    """Used only when no other backend of the pool can be."""


BackendOrAddress = Annotated[
    Backend, BeforeValidator(shorthand.backend, json_schema_input_type=Address | Backend)
]


class Check(Section):
    """What both kinds of active check have in common."""

    interval: Duration = default("5s")
    """Between two checks, give or take 10 %; every second while the outcome is changing."""
    timeout: Duration = default("2s")
    """For one check."""
    rise: Whole = default(2)
    """Good checks in a row that bring a backend up."""
    fall: Whole = default(3)
    """Failed checks in a row that take it down."""
    port: Port | None = None
    """Another port to check. Left out: the backend's own."""


class HttpCheck(Check):
    """A check that sends a GET request and looks at the status."""

    elsewhere = {"tcp": "a check is either http or tcp; remove one"}
    http: RequestPath = Field(examples=["/healthz"])
    """The path to ask for."""
    expect: StatusRange = default("200-399")
    """Statuses that count as good: `200-399`, or one such as `204`."""
    host: FieldValue | None = None
    """The `Host` header. Left out: the backend's address."""
    headers: dict[Token, FieldValue] = {}
    """More request headers."""


class TcpCheck(Check):
    """A check that only connects."""

    elsewhere = dict.fromkeys(("expect", "host", "headers"), "only http checks have it; write http: /healthz")
    tcp: Annotated[bool, BeforeValidator(shorthand.only_true), Kind("`true`", "true")]
    """Must be `true`."""


Health = Annotated[
    Annotated[HttpCheck, Tag("http")] | Annotated[TcpCheck, Tag("tcp")],
    Discriminator(shorthand.check_kind),
    BeforeValidator(shorthand.check),
]


class Passive(Section):
    """When backends that fail real requests are left out for a while."""

    failures: Whole = default(5)
    """Failures in a row (connect error, no complete answer, 502, 503, 504) that eject a backend."""
    eject: Duration = default("10s")
    """For how long, times the number of ejections without a success in between; at most 300s."""
    max_ejected: Share = default("50%")
    """The most of a pool that may be out at once. Never the last backend."""


class PoolTimeouts(Section):
    """How long a pool waits for its backends."""

    later = refuse("tls_handshake", "idle")
    connect: Duration = default("3s")
    """For a connection; then another backend is tried, at last 504."""
    keepalive: LearnedOrDuration = default("learned")
    """How long an idle connection is kept. `learned`: as the backend says or shows, starting at 4s."""


class Pool(Section):
    """Backends that can stand in for one another, and how to choose among them."""

    later = refuse(
        "slow_start", "drain", "sticky", "retries", "errors", "queue", "tls", "http2", "proxy_protocol"
    )  # fmt: skip
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
    timeouts: PoolTimeouts = PoolTimeouts()
    idle_connections: Whole = default(64)
    """Open connections kept for reuse, per worker and backend."""


class Admin(Section):
    """Where `pylb status`, `reload` and the like reach this process."""

    bind: AdminBind | None = None
    """A unix socket, mode 0600. Left out: `pylb/admin.sock` in the user's runtime directory, in `/run` for
    root."""


class Metrics(Section):
    """Where `/metrics` (Prometheus), `/healthz` and `/readyz` are answered. Off unless configured."""

    bind: Binds = ()
    """As in a listener."""


class Log(Section):
    """The access log, and the messages of pylb itself."""

    access: Sink = default("stdout")
    """Where one line per request goes."""
    format: Literal["json", "combined"] = "json"
    """`combined` is the format of Apache and nginx."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important message that is written."""
    to: MessagesSink = default("stderr")
    """Where messages go."""


class Stop(Section):
    """How pylb ends."""

    grace: Pause = default("30s")
    """How long requests in flight may take after TERM; then they are cut."""


class Settings(Section):
    """The whole file. Paths in it are relative to the directory of the main file."""

    later = refuse("plugins")
    include: Annotated[
        tuple[str, ...],
        BeforeValidator(shorthand.one_or_more, json_schema_input_type=str | tuple[str, ...]),
        Kind("file pattern, or list", "conf.d/*.yaml"),
    ] = ()
    """Further files, by name or pattern, whose `listeners` and `pools` belong to this configuration too."""
    listeners: Annotated[dict[Name, Listener], Some] = Field(
        examples=["{web: {bind: 0.0.0.0:8080, routes: [{pool: web}]}}"]
    )
    """Where requests come in, by name."""
    pools: dict[Name, Pool] = Field(default={}, examples=["{web: {backends: [127.0.0.1:9001]}}"])
    """Where requests go, by name."""
    admin: Admin = Admin()
    metrics: Metrics = Metrics()
    log: Log = Log()
    state_dir: FilePath | None = None
    """Where pylb keeps what must survive a restart. Left out: `pylb` in the user's XDG state directory."""
    stop: Stop = Stop()
    max_clients: Auto = default("auto")
    """Client connections at once. `auto`: as many as the descriptor limit carries."""
    workers: Auto = default("auto")
    """Threads that serve. `auto`: one per core."""
