"""The life of certificates while pylb runs: read with a configuration, renewed when their files change.

A configuration comes in force only with certificates that are good. From then on they are on their own: they
are watched however pylb was started, what has changed is taken as soon as it is whole and good, and what is
not leaves the last good one in force (renewal.py). Certificates that pylb makes itself are renewed on the
way.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import trio

from pylb.config.internal import Internal
from pylb.config.loaded import Config
from pylb.config.renewal import Attempt, Broken, Unit, attempt
from pylb.config.tls_files import named
from pylb.config.watch import Seen, fingerprint
from pylb.core import PlanInvalid
from pylb.errors import ConfigInvalid, PylbError

Fact = dict[str, Any]


class Core(Protocol):
    """What is told of renewals."""

    def note_renewal(self, renewed: int, refused: int, broken: list[str], /) -> None: ...


class Certificates:
    """Of the configuration in force, and of those that may come."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._internal = Internal()
        self._broken: Mapping[Unit, Broken] = {}
        self._trouble: str | None = None
        self._read: Seen = {}
        self.seen: Seen = {}
        """What their files were when they were last read."""

    @property
    def broken(self) -> dict[str, str]:
        """Files of which the last good content is in force, and why what is in them now is of no use."""
        return {file: broken.why for unit, broken in self._broken.items() for file in unit}

    def read(self, config: Config) -> tuple[dict[str, bytes], tuple[str, ...]]:
        """What the core gets with a configuration, and warnings. Blocks; raises ConfigInvalid, or PylbError
        if certificates that pylb makes cannot be kept."""
        self._read = fingerprint(config.certificates)
        contents = config.contents()
        if contents.unusable:
            raise ConfigInvalid(contents.mistakes(config.tree), config.files)
        made = self._internal.made(config.model)
        return {**contents.files, **made.files}, (made.warning,) if made.warning else ()

    def settle(self) -> None:
        """What was read last is in force, all of it."""
        self.seen, self._broken, self._trouble = self._read, {}, None
        self._core.note_renewal(0, 0, [])

    async def renew(
        self,
        config: Config,
        kept: Mapping[str, bytes],
        put: Callable[[dict[str, bytes]], Awaitable[object]],
    ) -> list[Fact]:
        """Puts in force what is new and good, by `put`, which raises PlanInvalid; returns what to tell."""
        self.seen = fingerprint(config.certificates)
        trial, trouble = await trio.to_thread.run_sync(self._trial, config, kept)
        while trial.files != kept:
            try:
                await put(trial.files)
                break
            except PlanInvalid as error:
                if not trial.new:
                    raise PylbError("; ".join(message for _, message in error.errors)) from None
                trial = trial.without(error.errors)
        facts = self._settled(trial)
        if trouble is not None and trouble != self._trouble:
            facts.append({"fact": "renewal_failed", "why": trouble})
        self._trouble = trouble
        return facts

    def _trial(self, config: Config, kept: Mapping[str, bytes]) -> tuple[Attempt, str | None]:
        """What to try, and why certificates that pylb makes are left as they are, if they have to be."""
        made: Mapping[str, bytes] = {}
        trouble = None
        try:
            made = self._internal.made(config.model).files
        except PylbError as error:
            trouble = str(error)
        return attempt(named(config.model), {**kept, **made}), trouble

    def _settled(self, trial: Attempt) -> list[Fact]:
        """Notes what became of an attempt. What was of no use before, and is the same, is not told again."""
        refused = {unit: one for unit, one in trial.broken.items() if self._broken.get(unit) != one}
        restored = [unit for unit in self._broken if unit not in trial.broken and unit not in trial.new]
        self._broken = trial.broken
        self._core.note_renewal(len(trial.new), len(refused), sorted(self.broken))
        facts = [_fact("certificate_renewed", trial, unit) for unit in trial.new]
        facts += [_fact("certificate_restored", trial, unit) for unit in restored]
        return facts + [
            _fact("certificate_refused", trial, unit, why=one.why) for unit, one in refused.items()
        ]


def _fact(name: str, trial: Attempt, unit: Unit, **details: str) -> Fact:
    return {"fact": name, "file": trial.label(unit), **details}
