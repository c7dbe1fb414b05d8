"""Routes: which requests, what becomes of them, what is changed on the way.

What a single key cannot show (one action per route, names of pools, a prefix to replace) is looked for by
cross/.
"""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from pylb.config import shorthand
from pylb.config.answer import Body, ContentType, RedirectStatus, Status, Target
from pylb.config.rate import RateText
from pylb.config.scalar import Amount, Duration, Whole
from pylb.config.section import Networks, Section, Some, default, gather, point
from pylb.config.selector import RateKey, SplitKey
from pylb.config.text import (
    Authority,
    Cookie,
    FieldValue,
    Host,
    Method,
    Name,
    Parameter,
    Prefix,
    Token,
    UrlPath,
)
from pylb.config.wanted import RoutePath, WantedValue
from pylb.config.wording import Kind

ACTIONS = ("pool", "split", "redirect", "respond")
"""What may become of a request; every route has exactly one of them."""

Headers = Annotated[
    dict[Token, FieldValue],
    BeforeValidator(shorthand.once_in_any_case),
    Kind("names and text", "{x-env: prod}"),
]


Methods = Annotated[
    tuple[Method, ...],
    Some,
    BeforeValidator(shorthand.one_or_more, json_schema_input_type=str | tuple[str, ...]),
    Kind("method, or list", "[GET, HEAD]"),
]


class Match(Section):
    """Which requests a route takes. What is left out matches everything."""

    elsewhere = point("sni", "alpn", to="only protocol: tls routes on it; in http write host: shop.example")
    host: Host | None = None
    """`shop.example` exactly, or `*.shop.example` for every name below it. Compared without port and case."""
    path: RoutePath | None = None
    """`/api/` matches `/api` and everything below; without the last slash, only the path itself; `{regex:
    "/v[0-9]+/.*"}` matches whole paths."""
    methods: Methods | None = None
    """One of these."""
    headers: Annotated[
        dict[Token, WantedValue],
        BeforeValidator(shorthand.once_in_any_case),
        Kind("names and values", "{x-debug: {present: true}}"),
    ] = default({})
    """All of these, each with this text, `{present: true}` (or `false`), or a value that `{regex: ...}`
    matches as a whole."""
    cookies: Annotated[dict[Cookie, WantedValue], Kind("names and values", "{sid: {present: true}}")] = (
        default({})
    )
    """The same for cookies."""
    query: Annotated[dict[Parameter, WantedValue], Kind("names and values", '{version: "2"}')] = default({})
    """The same for parameters of the query, decoded. Of a name that comes twice the first counts, as in
    headers and cookies."""
    client: Networks = ()
    """The client's address (behind trusted proxies) is in one of these networks."""


class RouteTimeouts(Section):
    """How long a route waits for a backend. There is never a limit on a whole answer."""

    response_head: Duration = default("60s")
    """For the head of the answer; then 504."""
    response_idle: Duration = default("300s")
    """Between two pieces of the answer's body; then it is cut."""


class RateLimit(Section):
    """How many requests one client may send through this route; then 429 with `Retry-After`."""

    rate: RateText = Field(examples=["100/s"])
    """In the long run: `100/s`, `30/m` or `5/h`."""
    burst: Whole | None = None
    """At once, after a pause. Left out: the number in the rate."""
    key: RateKey = default("client")
    """Whose requests are counted together: those of one `client` address (IPv6: one /64), or with one value
    of `{header: x-api-key}` or `{cookie: sid}`."""


class Rewrite(Section):
    """What backends are asked for, in place of what the client asked for."""

    strip_prefix: Prefix | None = None
    """Taken from the front of the path, where it is there as whole segments; an empty rest becomes `/`."""
    replace_prefix: Prefix | None = None
    """Put in place of the prefix that `match: {path: ...}` names."""
    path: UrlPath | None = None
    """Put in place of the whole path; the query stays."""
    host: Authority | None = None
    """Put in place of `Host`."""


class HeaderEdits(Section):
    """Header fields to change: first those of `remove`, then of `set`, then of `add`."""

    set: Headers = default({})
    """In place of whatever has that name."""
    add: Headers = default({})
    """Beside whatever has that name."""
    remove: Annotated[
        tuple[Token, ...],
        BeforeValidator(shorthand.one_or_more, json_schema_input_type=str | tuple[str, ...]),
        Kind("header name, or list", "[server]"),
    ] = ()
    """Whatever has one of these names."""


class Redirect(Section):
    """Sends the client elsewhere."""

    to: Target = Field(examples=['"https://{host}{uri}"'])
    """A URL or a path. `{host}` (without port), `{path}` and `{uri}` (path and query) are those of the
    request."""
    status: RedirectStatus = default(307)
    """301 or 308 for good, 302, 303 or 307 for now; 307 and 308 keep the method."""


class Respond(Section):
    """Answers without a backend."""

    status: Status = default(200)
    """From 200 to 599."""
    body: Body = ""
    """At most 64 KiB."""
    content_type: ContentType = default("text/plain; charset=utf-8")
    """What the body is."""


class Route(Section):
    """Which requests, and what becomes of them: one of `pool`, `split`, `redirect` and `respond`. The first
    route that matches wins, in the order of the file."""

    elsewhere = point("terminate", to="only routes of protocol: tls have it; here write pool: NAME")
    instead = gather(terminate="pool")
    name: Name | None = None
    """For logs and metrics. Left out, it is LISTENER#N, counting from 1."""
    match: Match = Match()
    """Which requests. Left out: all that no earlier route took."""
    pool: Name | None = Field(default=None, examples=["web"])
    """The pool whose backends answer."""
    split: Annotated[dict[Name, Amount], Some, Kind("names and weights", "{web: 95, canary: 5}")] | None = (
        None
    )
    """Several pools, each with its share: `{web: 95, canary: 5}`."""
    split_by: SplitKey | None = None
    """What a choice of `split` stays the same for: one value of `{cookie: sid}` or `{header: x-user}`. Left
    out: every request is drawn anew."""
    redirect: Redirect | None = None
    respond: Respond | None = None
    timeouts: RouteTimeouts = RouteTimeouts()
    rate_limit: RateLimit | None = None
    rewrite: Annotated[Rewrite, Some] | None = Field(default=None, examples=["{strip_prefix: /api}"])
    request_headers: HeaderEdits | None = None
    """Header fields to change on the way to the backend."""
    response_headers: HeaderEdits | None = None
    """Header fields to change on the way to the client."""

    @property
    def pools(self) -> tuple[str, ...]:
        """The pools that requests of this route may go to."""
        return (self.pool,) if self.pool is not None else tuple(self.split or ())


def actions(route: dict[str, Any]) -> list[str]:
    """Which of ACTIONS a route as written has, in its order."""
    return [key for key in route if key in ACTIONS]
