"""What operators may ask: the JSON of each route, from what serve hands over. openapi.json describes it.

A reload that is refused is an answer, not a failure of the conversation: 200 with `ok: false`, the text a
user reads, and the exit code the command leaves with.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Protocol

from pylb.admin.routing import Answer, Call, Misused, Routes
from pylb.config.outcome import Outcome, Published
from pylb.config.report import plain
from pylb.errors import UnknownBackend

BACKEND = "/v1/pools/{pool}/backends/{backend}"


class Balancer(Protocol):
    """What is asked: `pylb.balancer`'s LoadBalancer, or a stand-in of a test."""

    def status(self) -> dict[str, Any]: ...

    async def set_draining(self, pool: str, backend: str, draining: bool) -> None: ...

    async def set_weight(self, pool: str, backend: str, weight: int | None) -> None: ...


Reload = Callable[[], Awaitable[Outcome]]


def routes(balancer: Balancer, reload: Reload) -> Routes:
    """(method, path) -> handler."""
    desk = _Desk(balancer, reload)
    return {
        ("GET", "/openapi.json"): desk.describe,
        ("GET", "/v1/status"): desk.status,
        ("POST", "/v1/reload"): desk.reload_file,
        ("GET", BACKEND): desk.backend,
        ("POST", f"{BACKEND}/drain"): desk.drain,
        ("POST", f"{BACKEND}/undrain"): desk.undrain,
        ("PUT", f"{BACKEND}/weight"): desk.weigh,
        ("DELETE", f"{BACKEND}/weight"): desk.reset_weight,
    }


def description() -> dict[str, Any]:
    """The OpenAPI file, which ships with the package."""
    text = resources.files("pylb").joinpath("admin", "openapi.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


@dataclass(frozen=True)
class _Desk:
    balancer: Balancer
    reload: Reload

    async def describe(self, call: Call) -> Answer:
        return Answer(200, description())

    async def status(self, call: Call) -> Answer:
        return Answer(200, self.balancer.status())

    async def reload_file(self, call: Call) -> Answer:
        return Answer(200, told(await self.reload()))

    async def backend(self, call: Call) -> Answer:
        return Answer(200, self._backend(call))

    async def drain(self, call: Call) -> Answer:
        return await self._set_draining(call, True)

    async def undrain(self, call: Call) -> Answer:
        return await self._set_draining(call, False)

    async def weigh(self, call: Call) -> Answer:
        weight = call.members().get("weight")
        if not isinstance(weight, int) or isinstance(weight, bool):
            raise Misused('say the weight as a whole number, as in {"weight": 3}')
        return await self._set_weight(call, weight)

    async def reset_weight(self, call: Call) -> Answer:
        return await self._set_weight(call, None)

    async def _set_draining(self, call: Call, draining: bool) -> Answer:
        await self.balancer.set_draining(call.path["pool"], call.path["backend"], draining)
        return Answer(200, self._backend(call))

    async def _set_weight(self, call: Call, weight: int | None) -> Answer:
        await self.balancer.set_weight(call.path["pool"], call.path["backend"], weight)
        return Answer(200, self._backend(call))

    def _backend(self, call: Call) -> Mapping[str, Any]:
        pool, name = call.path["pool"], call.path["backend"]
        pools = self.balancer.status()["pools"]
        if pool not in pools:
            raise UnknownBackend("pool", pool, list(pools))
        found = {backend["name"]: backend for backend in pools[pool]["backends"]}
        if name not in found:
            raise UnknownBackend(f"backend in {pool}", name, list(found))
        backend: Mapping[str, Any] = found[name]
        return backend


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
