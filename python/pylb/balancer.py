"""A load balancer inside a trio program; `pylb serve` is one such program.

`running` starts the core, puts the configuration in force and keeps what must run beside it: health checks,
the feed of facts, the heartbeat that `/readyz` looks at. Traffic never waits for any of it: a program that
blocks its event loop delays checks and facts, not requests.

Order matters at both ends. Whatever can be wrong at the start is raised before the first task exists, as
itself and not inside a group of exceptions. At the end the core stops after everything that talks to it.
"""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from pylb.config import Config, ConfigInvalid, File, Source, from_mapping, verdict, watch
from pylb.config.publish import Outcome, Published, Publisher, Refused
from pylb.core import Core, Fact, Feed, cores, versions
from pylb.errors import PylbError
from pylb.health import desired
from pylb.health.checker import Checker, Seen

Configuration = Config | Source | Mapping[str, Any] | str | os.PathLike[str]
"""A path to a file, or a mapping with the keys of one, or either already loaded."""

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

    def status(self) -> dict[str, Any]:
        """A snapshot: listeners, pools, and of each backend its state, why, and the last health check."""
        found = self._core.status()
        for pool, entry in found["pools"].items():
            for backend in entry["backends"]:
                _add_check(backend, self.checker.seen(pool, backend["name"]))
        origin = str(self.config.file) if self.config.file else None
        return {**found, "pid": os.getpid(), "version": versions()["pylb"], "config": origin}

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

    def _heard(self, outcome: Outcome) -> None:
        """Health checks follow every plan, and everybody learns of every attempt, after what the core said of
        it."""
        self._feed.drain(self._core)
        if isinstance(outcome, Published):
            self.checker.reconcile(desired.checks(outcome.config.model, self._core.status()))
        self._feed.tell(told(outcome))


@dataclass(frozen=True)
class Given:
    """The source of a configuration that a program made: loading it again gives the same."""

    config: Config

    def load(self) -> Config:
        return self.config

    def describe(self) -> str:
        return "the configuration"


@dataclass(frozen=True)
class Data:
    """A mapping that a program made; paths in it are relative to its working directory."""

    data: Mapping[str, Any]

    def load(self) -> Config:
        return from_mapping(self.data, directory=Path.cwd())

    def describe(self) -> str:
        return "the configuration"


def as_source(config: Configuration) -> Source:
    """Where a configuration comes from; raises TypeError for what is none."""
    if isinstance(config, Config):
        return Given(config)
    if isinstance(config, Mapping):
        return Data(config)
    if isinstance(config, str | os.PathLike):
        return File(Path(config), os.environ)
    if not hasattr(config, "load"):
        raise TypeError(f"expected a path, a mapping or a configuration, found {type(config).__name__}")
    return config


def told(outcome: Outcome) -> Fact:
    """An outcome of loading and applying, as a fact."""
    if isinstance(outcome, Refused):
        return {
            "fact": "config_refused",
            "reason": outcome.reason,
            "mistakes": list(map(str, outcome.mistakes)),
        }
    config = outcome.config
    return {
        "fact": "config_applied",
        "origin": str(config.file or "the configuration"),
        "generation": outcome.generation,
        "warnings": list(map(str, config.warnings)),
    }


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


def _add_check(backend: dict[str, Any], seen: Seen | None) -> None:
    """Adds `check` (None without one), and the reason of a state that the checks decided."""
    backend["check"] = None
    if seen is None or seen.answer is None:
        return
    answer = seen.answer
    backend["check"] = {
        "good": answer.good,
        "why": answer.why,
        "status": answer.status,
        "latency": answer.latency,
        "ago": trio.current_time() - seen.at,
    }
    if backend["state"] in ("down", "pending") and not answer.good:
        backend["why"] = answer.describe()
