"""A load balancer inside a trio program; `pylb serve` is one such program.

`running` starts the core, puts the configuration in force and keeps what must run beside it: health checks,
look-ups of names, the feed of facts, the heartbeat that `/readyz` looks at. Traffic never waits for any of
it: a program that blocks its event loop delays checks and facts, not requests.

Order matters at both ends. Whatever can be wrong at the start is raised before the first task exists, as
itself and not inside a group of exceptions. At the end the core stops after everything that talks to it.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import trio

from pylb import snapshot
from pylb.config import Config, ConfigInvalid, Source, verdict, watch
from pylb.config.outcome import Adjusted, Heard, Outcome, Published, Refused
from pylb.config.publish import Publisher
from pylb.config.source import Configuration, as_source
from pylb.core import Core, Fact, Feed, cores, versions
from pylb.errors import PylbError
from pylb.health import desired
from pylb.health.checker import Checker
from pylb.names import Names

RENEWAL = 60.0
"""Seconds between two looks at certificates whose files have not changed: one that was of no use may be good
by now, one that pylb makes may be due."""
HEARTBEAT = 1.0
"""Seconds between two signs of life; `/readyz` says `stale` after three."""


@asynccontextmanager
async def running(config: Configuration) -> AsyncIterator["LoadBalancer"]:
    """Serves while the block runs. Raises ConfigInvalid, or PylbError (an address in use, a file that
    cannot be read), before it starts. Leaving the block lets requests in flight end within `stop: {grace:
    ...}`; an exception or a cancellation ends at once."""
    source = as_source(config)
    loaded = await _load(source)
    feed = Feed()
    core = await trio.to_thread.run_sync(lambda: Core(workers=loaded.model.workers or cores()))
    try:
        balancer = LoadBalancer(core, source, feed)
        await balancer.apply(loaded)
        failure = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(feed.pump, core)
            nursery.start_soon(balancer.checker.run)
            nursery.start_soon(balancer.names.run)
            nursery.start_soon(balancer.renewing)
            nursery.start_soon(_heartbeat, core)
            try:
                yield balancer
                await balancer.drain()
            except Exception as error:
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(core.stop)
        feed.drain(core)
        feed.close()


class LoadBalancer:
    """A running load balancer, as the program that runs it sees it."""

    def __init__(self, core: Core, source: Source, feed: Feed) -> None:
        self._core = core
        self._feed = feed
        self._publisher = Publisher(core, source, tell=self._heard)
        self.checker = Checker(core, tell=feed.tell)
        self.names = Names(self._publisher.discovered, tell=feed.tell)

    @property
    def config(self) -> Config:
        """The configuration in force."""
        assert self._publisher.config is not None, "running() applies one before anybody sees this"
        return self._publisher.config

    async def apply(self, config: Configuration) -> int:
        """Puts another configuration in force and returns its generation. Open connections, counters and
        health live on. Raises ConfigInvalid or PylbError, and then everything is as it was."""
        outcome = await self._publisher.apply(await _load(as_source(config)))
        if isinstance(outcome, Refused):
            raise ConfigInvalid(outcome.mistakes) if outcome.mistakes else PylbError(outcome.reason)
        return outcome.generation

    async def reload(self) -> Outcome:
        """Reads the configuration again from where it came, and puts it in force or says what is wrong."""
        return await self._publisher.publish()

    async def set_draining(self, pool: str, backend: str, draining: bool) -> None:
        """Gives a backend no new requests, except of clients that are pinned to it until `drain: {timeout:
        ...}` is over; or takes that back. Holds over reloads. Raises UnknownBackend."""
        await self._publisher.override((pool, backend), lambda said: replace(said, draining=draining))

    async def set_weight(self, pool: str, backend: str, weight: int | None) -> None:
        """Gives a backend another share than the configuration, over reloads; None takes that back. Raises
        UnknownBackend, or PylbError for a weight that is none."""
        await self._publisher.override((pool, backend), lambda said: replace(said, weight=weight))

    def status(self) -> dict[str, Any]:
        """A snapshot: listeners, pools, and of each backend its state, why, the last health check, and what
        an operator said of it."""
        found = snapshot.completed(
            self._core.status(),
            self.checker.seen,
            self._publisher.overrides,
            self._publisher.hosts,
            [name for name, pool in self.config.model.pools.items() if pool.sticky],
            self._publisher.certificates.broken,
        )
        origin = str(self.config.file) if self.config.file else None
        return {
            **found,
            "names_failing": dict(self.names.failing),
            "pid": os.getpid(),
            "version": versions()["pylb"],
            "config": origin,
        }

    def facts(self) -> "trio.MemoryReceiveChannel[Fact]":
        """What happens from now on (for the first who asks: from the start), as `async for fact in
        lb.facts()`."""
        return self._feed.subscribe()

    def watched(self) -> list[Path]:
        """The files whose change would be a change of configuration."""
        return self._publisher.watched()

    def loaded(self) -> watch.Seen:
        """What those files were when they were last read."""
        return self._publisher.loaded()

    async def renewing(self) -> None:
        """Takes certificates whose files have changed, and now and then looks after the others, for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._renew_changed)
            while True:
                await trio.sleep(RENEWAL)
                await self._renew()

    async def _renew_changed(self) -> None:
        certificates = self._publisher.certificates
        async for _ in watch.changes(lambda: self.config.certificates, lambda: certificates.seen):
            await self._renew()

    async def _renew(self) -> None:
        """What goes wrong here must not end what is running."""
        try:
            await self._publisher.renew()
        except Exception as error:
            why = str(error) if isinstance(error, PylbError) else f"fault inside pylb: {error!r}"
            self._feed.tell({"fact": "renewal_failed", "why": why})

    def reopen_log(self) -> None:
        """Opens the access log anew, after something has renamed it."""
        self._core.reopen_log()

    async def drain(self) -> None:
        """Accepts nothing more and waits until every client has what it asked for, at most for the grace."""
        grace = self.config.model.stop.grace
        self._core.drain()
        self._feed.tell({"fact": "stopping", "clients": self._core.clients(), "seconds": grace})
        with trio.move_on_after(grace):
            while self._core.clients():
                await trio.sleep(0.02)
        self._feed.tell({"fact": "stopped", "cut": self._core.clients()})

    def _heard(self, heard: Heard) -> None:
        """Health checks and names follow every plan, and everybody learns of every attempt, after what the
        core said of it."""
        self._feed.drain(self._core)
        if isinstance(heard, Published | Adjusted):
            checks = desired.checks(
                heard.config.model, self._core.status(), self._publisher.hosts, self._publisher.files
            )
            self.checker.reconcile(checks)
            self.names.reconcile(self._publisher.names)
        self._feed.tell(heard.fact())


async def _load(source: Source) -> Config:
    try:
        return await trio.to_thread.run_sync(source.load)
    except ConfigInvalid as error:
        raise await trio.to_thread.run_sync(verdict.completed, error) from None
    except OSError as error:
        named = error.filename or source.describe()
        raise PylbError(f"cannot read {named}: {error.strerror or error}") from None


async def _heartbeat(core: Core) -> None:
    while True:
        core.heartbeat()
        await trio.sleep(HEARTBEAT)
