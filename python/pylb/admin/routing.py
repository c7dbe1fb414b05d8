"""Which handler answers a request: `POST /v1/pools/{pool}/backends/{backend}/drain` and the like.

Pure but for the handler itself. A part in braces takes one segment of the path, percent-decoded, so that
`unix:%2Frun%2Fapp.sock` names a backend. What the user got wrong comes back as an answer with the reason.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from pylb.errors import PylbError, UnknownBackend


class Misused(PylbError):
    """A request that makes no sense; its text says why."""


@dataclass(frozen=True)
class Answer:
    """A status, what becomes its JSON, and headers of its own."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ask:
    """A request; `path` is without its query."""

    method: str
    path: str
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Call:
    """What a handler gets: the parts of the path by name, and the body, which most do not look at."""

    path: Mapping[str, str]
    body: bytes

    def members(self) -> Mapping[str, Any]:
        """The body as a JSON object; raises Misused if it is none."""
        try:
            found = json.loads(self.body or b"{}")
        except ValueError as error:
            raise Misused(f"the body is not JSON: {error}") from None
        if not isinstance(found, dict):
            raise Misused('the body must be a JSON object, as in {"weight": 3}')
        return found


Handler = Callable[[Call], Awaitable[Answer]]
Routes = Mapping[tuple[str, str], Handler]
"""(method, template of a path) -> what answers it."""


async def answer_to(ask: Ask, routes: Routes) -> Answer:
    """The answer, whatever was asked; only a fault of ours raises."""
    found = {method: template for method, template in routes if _parts(template, ask.path) is not None}
    if not found:
        return Answer(404, {"error": f"there is no {ask.path} here; /openapi.json says what is"})
    if ask.method not in found:
        known = ", ".join(sorted(found))
        return Answer(405, {"error": f"{ask.path} answers {known}, not {ask.method}"}, {"Allow": known})
    template = found[ask.method]
    try:
        return await routes[ask.method, template](Call(_parts(template, ask.path) or {}, ask.body))
    except UnknownBackend as error:
        return Answer(404, {"error": str(error)})
    except Misused as error:
        return Answer(400, {"error": str(error)})
    except PylbError as error:
        return Answer(409, {"error": str(error)})


def _parts(template: str, path: str) -> dict[str, str] | None:
    """The named parts of a path, or None if it is not of this form."""
    wanted, given = template.split("/"), path.split("/")
    if len(wanted) != len(given):
        return None
    parts: dict[str, str] = {}
    for want, have in zip(wanted, given, strict=True):
        if want.startswith("{"):
            parts[want.strip("{}")] = unquote(have)
        elif want != have:
            return None
    return parts
