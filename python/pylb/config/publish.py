"""Puts configurations in force, and keeps the last good one.

The one door for HUP, `pylb reload`, `--watch` and embedding: load, draft, apply, in that order, each of which
refuses without changing anything. Whatever is wrong comes back as an outcome, because a bad file must never
end a running load balancer. One publication at a time; a second one waits, and then reads the file as it is
by then.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import trio

from pylb.config import verdict
from pylb.config.draft import Resolve, resolve
from pylb.config.loaded import Config
from pylb.config.read import glob_files
from pylb.config.source import Source
from pylb.config.watch import Seen, fingerprint
from pylb.core import BindFailed, PlanInvalid
from pylb.errors import ConfigInvalid, Mistake
from pylb.errors import Path as KeyPath

RESTART_ONLY: tuple[KeyPath, ...] = (("workers",), ("state_dir",), ("admin", "bind"))
"""What a running process cannot change."""


class Engine(Protocol):
    """What is published to: `pylb.core`'s Core, or a stand-in of a test."""

    def apply(self, draft: bytes, /) -> int: ...


@dataclass(frozen=True)
class Published:
    """In force."""

    generation: int
    config: Config

    def describe(self) -> str:
        origin = self.config.file or "configuration"
        return f"{origin} is in force (generation {self.generation})"


@dataclass(frozen=True)
class Refused:
    """Nothing was changed, because of every one of `mistakes`."""

    mistakes: tuple[Mistake, ...]
    reason: str
    """One line."""
    exit_code: int
    """What a process leaves with that cannot start for it: 3 for a wrong configuration, else 1."""

    def describe(self) -> str:
        return "\n".join([self.reason, *map(str, self.mistakes)])


Outcome = Published | Refused
Told = TypeVar("Told", Published, Refused)


class Publisher:
    """Loads from one source and publishes to one engine. `tell` hears every outcome, whoever asked for it."""

    def __init__(
        self,
        core: Engine,
        source: Source,
        *,
        resolve: Resolve = resolve,
        tell: Callable[[Outcome], None] = lambda outcome: None,
    ) -> None:
        self._core = core
        self._source = source
        self._resolve = resolve
        self._tell = tell
        self._turn = trio.Lock()
        self._attempted: tuple[Path, ...] = ()
        self._loaded: Seen = {}
        self.config: Config | None = None

    async def publish(self) -> Outcome:
        """Loads the source anew and puts it in force, or leaves everything as it was."""
        async with self._attempt():
            try:
                config = await trio.to_thread.run_sync(self._source.load)
            except ConfigInvalid as error:
                self._attempted = error.files
                whole = await trio.to_thread.run_sync(
                    lambda error: verdict.completed(error, resolve=self._resolve), error
                )
                return self._refuse(tuple(whole.errors))
            except OSError as error:
                reason = f"cannot read {error.filename or self._source.describe()}: {error.strerror or error}"
                return self._answer(Refused((), reason, 1))
            return await self._put(config)

    async def apply(self, config: Config) -> Outcome:
        """Puts a configuration in force that did not come from the source."""
        async with self._attempt():
            return await self._put(config)

    def watched(self) -> list[Path]:
        """The files in force, those of the last refused attempt, and what the patterns of `include` match
        now."""
        config = self.config
        named = (*config.files, *glob_files(config.patterns)) if config else ()
        return list(dict.fromkeys((*named, *self._attempted)))

    def loaded(self) -> Seen:
        """What the watched files were at the last attempt."""
        return self._loaded

    @asynccontextmanager
    async def _attempt(self) -> AsyncIterator[None]:
        """A turn. Files are remembered as they were before it, so that a change meanwhile is not missed."""
        async with self._turn:
            before = fingerprint(self.watched())
            try:
                yield
            finally:
                now = fingerprint(self.watched())
                self._loaded = {file: before.get(file, seen) for file, seen in now.items()}

    async def _put(self, config: Config) -> Outcome:
        self._attempted = config.files
        if self.config is not None and (fixed := _needs_restart(self.config, config)):
            return self._refuse(fixed)
        try:
            draft = await trio.to_thread.run_sync(lambda: verdict.draft(config, resolve=self._resolve))
            generation = await trio.to_thread.run_sync(self._core.apply, draft)
        except ConfigInvalid as error:
            return self._refuse(tuple(error.errors))
        except PlanInvalid as error:
            return self._refuse(tuple(config.explain(error.errors)))
        except BindFailed as error:
            return self._answer(Refused((), _cannot_open(config, error), 1))
        self.config = config
        return self._answer(Published(generation, config))

    def _refuse(self, mistakes: tuple[Mistake, ...]) -> Refused:
        many = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        reason = f"{self._source.describe()} is not valid ({many}); nothing was changed"
        return self._answer(Refused(mistakes, reason, ConfigInvalid.exit_code))

    def _answer(self, outcome: Told) -> Told:
        self._tell(outcome)
        return outcome


def _cannot_open(config: Config, error: BindFailed) -> str:
    """One line; with the place in the file when there is a file."""
    reason = error.strerror or error
    path: KeyPath
    if error.listener in config.model.listeners:
        path = ("listeners", error.listener, "bind")
        line = f"listener {error.listener}: cannot listen on {error.bind}: {reason}"
    elif error.listener == "log":
        path, line = ("log", "access"), f"log: cannot write to {error.bind}: {reason}"
    else:
        path, line = ("metrics", "bind"), f"metrics: cannot listen on {error.bind}: {reason}"
    return config.located(path, line)


def _needs_restart(old: Config, new: Config) -> tuple[Mistake, ...]:
    """The keys that differ and that a running process cannot change."""
    return tuple(
        Mistake(
            new.locate(path),
            path,
            f"`{path[-1]}` cannot change while pylb runs",
            "restart pylb, or change it back",
        )
        for path in RESTART_ONLY
        if _at(old, path) != _at(new, path)
    )


def _at(config: Config, path: KeyPath) -> object:
    found: object = config.model
    for key in path:
        found = getattr(found, str(key))
    return found
