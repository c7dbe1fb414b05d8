"""Clients that stay with a backend: what they carry, and where they are."""

import base64
import struct
from collections.abc import Sequence
from typing import Any

from .balancer import Config, site
from .origin import Origin
from .talk import Response, Talk

KEY = base64.b64encode(bytes(range(32))).decode()
OTHER_KEY = base64.b64encode(bytes(range(100, 132))).decode()


def sticky(origins: Sequence[Origin], **rule: Any) -> dict[str, Any]:
    """A site whose pool keeps clients; by cookie, unless the rule says otherwise."""
    rule = {"cookie": "pylb", "keys": [KEY], **rule} if "cookie" in rule or not rule else rule
    many = {"limits": {"requests": 1_000_000}}
    return site([one.address for one in origins], pool={"sticky": rule}, listener=many)


def cookie_of(answer: Response) -> str | None:
    """The cookie that an answer sets, as the client sends it back."""
    found = answer.get("set-cookie")
    return found and found.partition(";")[0]


def visit(talk: Talk, cookie: str | None = None, *lines: str) -> tuple[str, str | None]:
    """Who answers a client with this cookie, and the cookie that it has then. Anything but 200 fails."""
    answer = talk.get("/", *([f"Cookie: {cookie}"] if cookie else []), *lines)
    assert answer.status == 200, answer
    return answer.body.decode(), cookie_of(answer) or cookie


Session = tuple[str, str]
"""A client's cookie, and the backend it is at."""


def new_sessions(talk: Talk, count: int = 1_000) -> list[Session]:
    """Clients who have just come."""
    sessions = []
    for _ in range(count):
        name, cookie = visit(talk)
        assert cookie
        sessions.append((cookie, name))
    return sessions


def visit_all(talk: Talk, sessions: list[Session]) -> list[Session]:
    """The same clients after another visit."""
    visits = [visit(talk, cookie) for cookie, _ in sessions]
    return [(cookie or "", name) for name, cookie in visits]


def moved(before: list[Session], after: list[Session]) -> int:
    """How many are at another backend."""
    return sum(one != other for (_, one), (_, other) in zip(before, after, strict=True))


def with_backends(config: Config, origins: Sequence[Origin]) -> dict[str, Any]:
    """The same site with other backends."""
    pool = {**config["pools"]["app"], "backends": [one.address for one in origins]}
    return {**config, "pools": {"app": pool}}


def with_rule(config: Config, **rule: Any) -> dict[str, Any]:
    """The same site, in which clients stay by another rule."""
    return {**config, "pools": {"app": {**config["pools"]["app"], "sticky": rule}}}


def aged(cookie: str, minutes: int) -> str:
    """The same cookie, issued earlier."""
    name, _, value = cookie.partition("=")
    number, minute, key = struct.unpack(">BIQ", base64.urlsafe_b64decode(value + "=="))
    raw = struct.pack(">BIQ", number, minute - minutes, key)
    return f"{name}={base64.urlsafe_b64encode(raw).decode().rstrip('=')}"
