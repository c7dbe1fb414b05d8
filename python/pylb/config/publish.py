"""Puts configurations in force, and keeps the last good one.

The one door for HUP, `pylb reload`, `--watch` and embedding: load, draft, apply, in that order, each of which
refuses without changing anything. Whatever is wrong comes back as an outcome, because a bad file must never
end a running load balancer. One publication at a time; a second one waits, and then reads the file as it is
by then.

What operators and the resolver say goes through the same door. It changes the world and not the file, so the
file's last draft is taken again, without reading or looking up anything: draining a backend works while the
file is broken and while names cannot be resolved.
"""

import json
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import trio

from pylb.affinity import KeyRing
from pylb.config import verdict
from pylb.config.certificates import Certificates
from pylb.config.desired import Key, Override, Plain, World, desired, hosts, names, uses_ring
from pylb.config.draft import Resolve, resolve
from pylb.config.loaded import Config
from pylb.config.outcome import Adjusted, Heard, Kept, Outcome, Published, Refused
from pylb.config.read import glob_files
from pylb.config.refusal import cannot_open, explained
from pylb.config.restart import needs_restart
from pylb.config.source import Source
from pylb.config.watch import Seen, fingerprint
from pylb.core import BindFailed, PlanInvalid
from pylb.errors import ConfigInvalid, Mistake, PylbError, UnknownBackend
from pylb.errors import Path as KeyPath


class Engine(Protocol):
    """What is published to: `pylb.core`'s Core, or a stand-in of a test."""

    def apply(self, draft: bytes, files: dict[str, bytes], /) -> int: ...

    def useless(self) -> list[tuple[KeyPath, str]]: ...

    def note_renewal(self, renewed: int, refused: int, broken: list[str], /) -> None: ...


Told = TypeVar("Told", Published, Adjusted, Refused)


class Publisher:
    """Loads from one source and publishes to one engine. `tell` hears every outcome, whoever asked for it."""

    def __init__(
        self,
        core: Engine,
        source: Source,
        *,
        resolve: Resolve = resolve,
        ring: KeyRing | None = None,
        tell: Callable[[Heard], None] = lambda outcome: None,
    ) -> None:
        self._core = core
        self._source = source
        self._resolve = resolve
        self._ring = ring or KeyRing(os.environ)
        self._tell = tell
        self.certificates = Certificates(core)
        self._plain: Plain = {"pools": {}}
        self._world = World()
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

    async def override(self, key: Key, change: Callable[[Override], Override]) -> Override:
        """Changes what an operator says of a backend, and returns it once it is in force. It holds over
        reloads, until it is taken back. Raises UnknownBackend, or PylbError for what the core refuses."""
        async with self._turn:
            self._look_up(key)
            said = change(self.overrides.get(key, Override()))
            rest = {each: other for each, other in self.overrides.items() if each != key}
            overrides = rest if said == Override() else {**rest, key: said}
            fact = {
                "fact": "backend_override",
                **_named(key),
                "draining": said.draining,
                "weight": said.weight,
            }
            await self._adjust(replace(self._world, overrides=overrides), fact)
            return said

    async def discovered(self, host: str, addresses: Sequence[str]) -> None:
        """Puts in force what a name stands for now. What is the same set, or of no name here, changes
        nothing. Raises PylbError for what the core refuses."""
        async with self._turn:
            known = self._world.found.get(host)
            if known is None or set(known) == set(addresses):
                return
            fact = {
                "fact": "name_changed",
                "name": host,
                "added": [each for each in addresses if each not in known],
                "removed": [each for each in known if each not in addresses],
            }
            await self._adjust(replace(self._world, found={**self._world.found, host: addresses}), fact)

    async def renew(self) -> None:
        """Puts in force what is new in the files of certificates, and leaves as it was what is of no use.
        Raises PylbError for what the core refuses beside that."""
        async with self._turn:
            config = self.config
            if config is None:
                return
            generation = None

            async def put(files: dict[str, bytes]) -> None:
                nonlocal generation
                generation = await self._apply(self._plain, replace(self._world, files=files))

            for fact in await self.certificates.renew(config, self._world.files, put):
                self._tell(Kept(fact) if generation is None else Adjusted(generation, config, fact))

    async def _adjust(self, world: World, fact: dict[str, Any]) -> None:
        assert self.config is not None, "there is a world only once there is a configuration"
        try:
            generation = await self._apply(self._plain, world)
        except PlanInvalid as error:
            raise PylbError("; ".join(message for _, message in error.errors)) from None
        except BindFailed as error:
            raise PylbError(cannot_open(self.config, error)) from None
        self._answer(Adjusted(generation, self.config, fact))

    @property
    def overrides(self) -> Mapping[Key, Override]:
        """What operators said, also of backends that are not there at the moment."""
        return self._world.overrides

    @property
    def files(self) -> Mapping[str, bytes]:
        """Certificates, keys and authorities in force, by the names that the draft has."""
        return self._world.files

    @property
    def names(self) -> dict[str, float]:
        """The names in force that are looked up again and again: seconds between two look-ups."""
        return names(self._plain)

    @property
    def hosts(self) -> dict[Key, str]:
        """Which backends stand behind a name, and the name as written."""
        return hosts(self._plain, self._world.found)

    def _look_up(self, key: Key) -> None:
        pool, backend = key
        pools = desired(self._plain, self._world)["pools"]
        if pool not in pools:
            raise UnknownBackend("pool", pool, list(pools))
        known = [entry["name"] for entry in pools[pool]["backends"]]
        if backend not in known:
            raise UnknownBackend(f"backend in {pool}", backend, known)

    def watched(self) -> list[Path]:
        """The files in force with their pages, those of the last refused attempt with their certificates,
        and what the patterns of `include` match now."""
        config = self.config
        named = (*config.files, *config.pages, *glob_files(config.patterns)) if config else ()
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
        self._attempted = (*config.files, *config.certificates)
        if self.config is not None and (fixed := needs_restart(self.config, config)):
            return self._refuse(fixed)
        try:
            plain, world, warnings = await trio.to_thread.run_sync(self._prepared, config)
            generation = await self._apply(plain, world)
        except ConfigInvalid as error:
            return self._refuse(tuple(error.errors))
        except PlanInvalid as error:
            return self._refuse(explained(config, plain, world, error.errors))
        except BindFailed as error:
            return self._answer(Refused((), cannot_open(config, error), 1))
        except PylbError as error:
            return self._answer(Refused((), str(error), error.exit_code))
        self.config, self._attempted = config, config.files
        self.certificates.settle()
        useless = map(str, explained(config, plain, world, self._core.useless()))
        return self._answer(Published(generation, config, (*useless, *warnings)))

    def _prepared(self, config: Config) -> tuple[Plain, World, tuple[str, ...]]:
        """The file's draft, the world that goes with it, and warnings. Blocks."""
        plain, found = verdict.drafted(config, resolve=self._resolve, known=self._world.found)
        files, warnings = self.certificates.read(config)
        world = replace(self._world, found=found, keys=config.keys, files=files)
        if not uses_ring(plain, config.keys):
            return plain, world, warnings
        kept = self._ring.kept(config.model.state_dir)
        return plain, replace(world, ring=kept.keys), (*warnings, kept.warning) if kept.warning else warnings

    async def _apply(self, plain: Plain, world: World) -> int:
        draft = await trio.to_thread.run_sync(lambda: json.dumps(desired(plain, world)).encode())
        generation = await trio.to_thread.run_sync(self._core.apply, draft, dict(world.files))
        self._plain, self._world = plain, world
        return generation

    def _refuse(self, mistakes: tuple[Mistake, ...]) -> Refused:
        many = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        reason = f"{self._source.describe()} is not valid ({many}); nothing was changed"
        return self._answer(Refused(mistakes, reason, ConfigInvalid.exit_code))

    def _answer(self, outcome: Told) -> Told:
        self._tell(outcome)
        return outcome


def _named(key: Key) -> dict[str, str]:
    return {"pool": key[0], "backend": key[1]}
