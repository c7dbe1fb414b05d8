"""What the admin socket answers: the JSON of each route, from functions that serve hands over.

A reload that is refused is an answer, not a failure of the conversation: 200 with `ok: false`, the text a
user reads, and the exit code the command leaves with.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pylb.admin.server import Answer, Routes
from pylb.config.outcome import Outcome, Published
from pylb.config.report import plain

Status = Callable[[], Mapping[str, Any]]
Reload = Callable[[], Awaitable[Outcome]]


def routes(status: Status, reload: Reload) -> Routes:
    """(method, path) -> handler."""

    async def show() -> Answer:
        return Answer(200, status())

    async def again() -> Answer:
        return Answer(200, told(await reload()))

    return {("GET", "/status"): show, ("POST", "/reload"): again}


def told(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON."""
    if isinstance(outcome, Published):
        return {"ok": True, "text": outcome.describe(), "exit_code": 0, "generation": outcome.generation}
    return {
        "ok": False,
        "text": outcome.describe(),
        "exit_code": outcome.exit_code,
        "mistakes": [plain(each) for each in outcome.mistakes],
    }
