"""Session persistence: how a client that comes again is known, so that it meets the same backend.

Six forms, told apart by their first key. A preset is only a name for one of the others, with what an
application needs.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, WithJsonSchema

from pylb.config import shorthand
from pylb.config.presets import PRESETS, spelled_out
from pylb.config.scalar import Duration
from pylb.config.secret import Keys
from pylb.config.section import Section, default
from pylb.config.selector import Selector
from pylb.config.text import Cookie, Parameter, Token
from pylb.config.wording import Kind, shown, suggest, wrong

FORMS = ("cookie", "header", "query", "source_ip", "learn", "preset")
"""Keys of which `sticky` has exactly one."""

_PRESET_SCHEMA = WithJsonSchema({"enum": list(PRESETS)})

_ONE = f"a client is known by one of {', '.join(FORMS)}; keep one"
_KEYS = "only cookies are signed; remove it"


def _others(*mine: str) -> dict[str, str]:
    """What a form says of the keys of the other forms."""
    return {key: _ONE for key in FORMS if key not in mine} | ({} if "cookie" in mine else {"keys": _KEYS})


class Sticking(Section):
    """What all forms of session persistence have in common."""

    ttl: Duration = default("1h")
    """How long a client that does not come is remembered."""
    on_lost: Literal["move", "fail"] = "move"
    """When the backend of a client is gone: another takes over, or 503."""


class CookieSticking(Sticking):
    """By a cookie of pylb's own, which names the backend by a number that means nothing to others."""

    elsewhere = _others("cookie")
    cookie: Cookie = Field(examples=["pylb"])
    """The name of the cookie. Pools that one site uses need different ones."""
    keys: Keys | None = None
    """What backends are named with; the first for new cookies, all for those that come. The same keys on
    several nodes make cookies that hold on all of them. Left out: one is made at the first start, and kept in
    `state_dir`."""


class HeaderSticking(Sticking):
    """By a header that clients send, such as a session's id."""

    elsewhere = _others("header")
    header: Token = Field(examples=["x-session"])
    """The name of the header."""


class QuerySticking(Sticking):
    """By a parameter of the query."""

    elsewhere = _others("query")
    query: Parameter = Field(examples=["sid"])
    """The name of the parameter."""


class AddressSticking(Sticking):
    """By the client's address."""

    elsewhere = _others("source_ip")
    source_ip: Annotated[bool, BeforeValidator(shorthand.address_sticks), Kind("`true`", "true")]
    """Must be `true`. IPv6 clients count by /64."""


class Learn(Section):
    """Where an application names a session, and where its clients send that name."""

    response_header: Token | None = None
    """The header of an answer that names a new session."""
    response_cookie: Cookie | None = None
    """Or the cookie that an answer sets."""
    request_header: Token | None = None
    """The header with which clients come again."""
    request_cookie: Cookie | None = None
    """Or the cookie."""
    request_query: Parameter | None = None
    """Or the parameter of the query."""

    @property
    def response(self) -> Selector:
        return _selected(("header", self.response_header), ("cookie", self.response_cookie))

    @property
    def request(self) -> Selector:
        header, cookie = self.request_header, self.request_cookie
        return _selected(("header", header), ("cookie", cookie), ("query", self.request_query))


class LearnSticking(Sticking):
    """By a session id that the application itself gives out."""

    elsewhere = _others("learn")
    learn: Annotated[
        Learn,
        BeforeValidator(shorthand.learned),
        Field(examples=["{response_header: x-session, request_header: x-session}"]),
    ]


def preset(value: str) -> str:
    """One of PRESETS."""
    if value not in PRESETS:
        near = suggest(value, PRESETS)
        hint = f"did you mean {near}?" if near else f"choose one of {', '.join(PRESETS)}"
        raise wrong(f"there is no preset {shown(value)}", hint)
    return value


class PresetSticking(Section):
    """As an application needs it."""

    elsewhere = _others("preset", "cookie")
    preset: Annotated[str, AfterValidator(preset), _PRESET_SCHEMA, Kind("preset", "streamlit")]
    """`streamlit`, `gradio`, `socketio` and `jupyter`: a cookie called `pylb-PRESET`; `mcp`: learned from
    `mcp-session-id`."""
    cookie: Cookie | None = None
    """Another name for the cookie."""
    ttl: Duration | None = None
    """As in the other forms. Left out: 24h."""
    on_lost: Literal["move", "fail"] = "move"
    """As in the other forms."""
    keys: Keys | None = None
    """As for a cookie."""

    @property
    def meaning(self) -> CookieSticking | LearnSticking:
        """The form that it stands for."""
        beside = {key: getattr(self, key) for key in self.model_fields_set}
        if self.ttl is not None:
            beside["ttl"] = f"{self.ttl}s"
        written = spelled_out(beside)
        return LearnSticking(**written) if "learn" in written else CookieSticking(**written)


def sticky(value: object) -> object:
    """Lets through only what clearly has one of the forms."""
    if not isinstance(value, dict):
        preset = f"{{preset: {value}}}" if str(value) in PRESETS else "{cookie: pylb}"
        meant = "{source_ip: true}" if value == "source_ip" else preset
        raise wrong(f"expected what a client is known by, found {shown(value)}", f"write {meant}")
    if any(key in value for key in FORMS):
        return value
    for key in value:
        if near := suggest(str(key), FORMS):
            raise wrong(f"unknown key `{key}`", f"did you mean `{near}`?", at=(key,), is_key=True)
    raise wrong(
        "it does not say what a client is known by", f"add one of {', '.join(FORMS)}, such as cookie: pylb"
    )


def form(value: Any) -> str:
    """Which form is meant: the first that is written, whose model then refuses the others. A preset may
    have a cookie."""
    return "preset" if "preset" in value else next(key for key in value if key in FORMS)


def _selected(*named: tuple[Literal["header", "cookie", "query"], str | None]) -> Selector:
    return next(Selector(where, name) for where, name in named if name is not None)


Sticky = Annotated[
    Annotated[CookieSticking, Tag("cookie")]
    | Annotated[HeaderSticking, Tag("header")]
    | Annotated[QuerySticking, Tag("query")]
    | Annotated[AddressSticking, Tag("source_ip")]
    | Annotated[LearnSticking, Tag("learn")]
    | Annotated[PresetSticking, Tag("preset")],
    Discriminator(form),
    BeforeValidator(sticky),
]
