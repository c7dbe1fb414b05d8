"""What a user may write: the whole file, every key once, with its type, its default and its meaning.

Listeners, routes, pools, checks and session persistence have files of their own beside this one; section.py
says how fields are declared. Defaults stand in the user's own form ("10s") and are validated like anything
else.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from pylb.config import shorthand
from pylb.config.address import AdminBind
from pylb.config.listeners import AnyListener
from pylb.config.pools import Pool
from pylb.config.scalar import Auto, Pause
from pylb.config.secret import Secret
from pylb.config.section import Binds, Section, Some, default, refuse
from pylb.config.shorthand import MessagesSink, Sink
from pylb.config.text import FilePath, Name
from pylb.config.wording import Kind


class Admin(Section):
    """Where `pylb status`, `reload` and the like reach this process."""

    bind: AdminBind | None = None
    """A unix socket, mode 0600. Left out: `pylb/admin.sock` in the user's runtime directory, in `/run` for
    root. With a `token` also `127.0.0.1:9902`: TCP, beside the socket at that default place."""
    token: Secret | None = None
    """What clients of a TCP address must send (`Authorization: Bearer TOKEN`)."""


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
    listeners: Annotated[dict[Name, AnyListener], Some] = Field(
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
