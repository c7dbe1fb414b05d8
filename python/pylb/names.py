"""Names that stand for many backends, looked up again and again.

One task per name asks the system's resolver (getaddrinfo, in a thread, so hosts files, search domains and
whatever else the machine is set up with count) every `refresh`. A set that differs is handed on; a failure
changes nothing, because the last good set is more likely to serve than none, and is told once until the name
resolves again. A resolver that hangs holds up its own name only.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import trio

from pylb.config.draft import Resolve, resolve
from pylb.core import Fact
from pylb.errors import PylbError

AT_ONCE = 16
"""Names that are looked up at the same time, each in a thread."""


class Names:
    """The tasks, while `run` runs. `learn` gets every set that is found, `tell` the facts name_failed and
    name_resolved."""

    def __init__(
        self,
        learn: Callable[[str, Sequence[str]], Awaitable[None]],
        *,
        tell: Callable[[Fact], None],
        resolve: Resolve = resolve,
    ) -> None:
        self._learn = learn
        self._tell = tell
        self._resolve = resolve
        self._threads = trio.CapacityLimiter(AT_ONCE)
        self._tasks: dict[str, tuple[float, trio.CancelScope]] = {}
        self._nursery: trio.Nursery | None = None
        self.failing: dict[str, str] = {}
        """The names whose last look-up failed, and why."""

    async def run(self) -> None:
        """Looks up until cancelled."""
        async with trio.open_nursery() as self._nursery:
            for host, (refresh, scope) in self._tasks.items():
                self._nursery.start_soon(self._keep, host, refresh, scope, name=f"name {host}")
            await trio.sleep_forever()

    def reconcile(self, names: Mapping[str, float]) -> None:
        """Makes the running tasks those of `names`: seconds between two look-ups, the first after that
        time."""
        for host in self._tasks.keys() - names.keys():
            self._end(host)
        for host, refresh in names.items():
            if host in self._tasks and self._tasks[host][0] == refresh:
                continue
            if host in self._tasks:
                self._end(host)
            scope = trio.CancelScope()
            self._tasks[host] = refresh, scope
            if self._nursery is not None:
                self._nursery.start_soon(self._keep, host, refresh, scope, name=f"name {host}")

    def _end(self, host: str) -> None:
        self._tasks.pop(host)[1].cancel()
        self.failing.pop(host, None)

    async def _keep(self, host: str, refresh: float, scope: trio.CancelScope) -> None:
        with scope:
            while True:
                await trio.sleep(refresh)
                if why := await self._look_up(host):
                    if host not in self.failing:
                        self._tell({"fact": "name_failed", "name": host, "why": why})
                    self.failing[host] = why
                elif self.failing.pop(host, None) is not None:
                    self._tell({"fact": "name_resolved", "name": host})

    async def _look_up(self, host: str) -> str | None:
        """Learns what a name stands for now; why not, if that fails. Whatever it is, the last set goes
        on, and so does the load balancer."""
        try:
            found = await trio.to_thread.run_sync(
                self._resolve, host, abandon_on_cancel=True, limiter=self._threads
            )
        except (OSError, UnicodeError) as error:
            return f"it has no address ({getattr(error, 'strerror', None) or error})"
        if not found:
            return "it has no address"
        try:
            await self._learn(host, found)
        except Exception as error:
            why = error if isinstance(error, PylbError) else f"fault inside pylb: {error!r}"
            return f"its addresses {', '.join(found)} cannot be used ({why})"
        return None
