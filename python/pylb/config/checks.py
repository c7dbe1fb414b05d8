"""Active health checks: what is asked of a backend, and how often."""

from typing import Annotated

from pydantic import BeforeValidator, Discriminator, Field, Tag

from pylb.config import shorthand
from pylb.config.address import Port
from pylb.config.scalar import Duration, Whole
from pylb.config.section import Section, default, point
from pylb.config.text import FieldValue, RequestPath, StatusRange, Token
from pylb.config.wording import Kind


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
    """Another port to check, spoken to plainly. Left out: the backend's own, with the pool's `tls`."""


class HttpCheck(Check):
    """A check that sends a GET request and looks at the status."""

    elsewhere = point("tcp", to="a check is either http or tcp; remove one")
    http: RequestPath = Field(examples=["/healthz"])
    """The path to ask for."""
    expect: StatusRange = default("200-399")
    """Statuses that count as good: `200-399`, or one such as `204`."""
    host: FieldValue | None = None
    """The `Host` header. Left out: the backend's address."""
    headers: Annotated[dict[Token, FieldValue], Kind("names and text", '{x-probe: "1"}')] = default({})
    """More request headers."""


class TcpCheck(Check):
    """A check that only connects."""

    elsewhere = point("expect", "host", "headers", to="only http checks have it; write http: /healthz")
    tcp: Annotated[bool, BeforeValidator(shorthand.only_true), Kind("`true`", "true")]
    """Must be `true`."""


Health = Annotated[
    Annotated[HttpCheck, Tag("http")] | Annotated[TcpCheck, Tag("tcp")],
    Discriminator(shorthand.check_kind),
    BeforeValidator(shorthand.check),
]
