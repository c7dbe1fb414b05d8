"""Certificates whose files have changed while the configuration has not: what to take, what to keep.

Files are renewed by *units*: a certificate and its key together, authorities for themselves, and units that
share a file as one. A unit that is of no use now is left as it was, and holds up no other. Who finds that out
is the core: it gets everything that is new, and whatever it complains of is left out of the next attempt. So
nothing is judged in two places.

What is of no use stays on the list, and is tried again: a file may become readable, a certificate valid.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pylb.config import tls_files
from pylb.config.tls_files import Named
from pylb.errors import Path

Unit = frozenset[str]
"""Files that only make sense together."""


@dataclass(frozen=True, slots=True)
class Broken:
    """Why a unit is of no use now, and what was in its files."""

    why: str
    contents: Mapping[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What to try: units with what is in their files now. `kept` is in force, `broken` is of no use."""

    named: Sequence[Named]
    kept: Mapping[str, bytes] = field(repr=False)
    new: Mapping[Unit, Mapping[str, bytes]] = field(repr=False)
    broken: Mapping[Unit, Broken]

    @property
    def files(self) -> dict[str, bytes]:
        """Everything, as it would be in force."""
        return {**self.kept, **{file: raw for unit in self.new.values() for file, raw in unit.items()}}

    def without(self, complaints: Sequence[tuple[Path, str]]) -> "Attempt":
        """Without what the core complains of; without everything, if it complains of nothing that is new."""
        broken: dict[Unit, Broken] = {}
        for path, message in complaints:
            files = {one.file for one in self.named if one.path[: len(path)] == path}
            for unit, contents in self.new.items():
                if unit & files:
                    broken.setdefault(unit, Broken(message, contents))
        if not broken:
            why = "; ".join(message for _, message in complaints)
            broken = {unit: Broken(why, contents) for unit, contents in self.new.items()}
        new = {unit: contents for unit, contents in self.new.items() if unit not in broken}
        return Attempt(self.named, self.kept, new, {**self.broken, **broken})

    def label(self, unit: Unit) -> str:
        """What a unit is called: the file of its certificate, or of its authorities."""
        return next(one.file for one in self.named if one.file in unit and one.kind != "key")


def attempt(named: Sequence[Named], kept: Mapping[str, bytes]) -> Attempt:
    """Reads all files anew. Blocks."""
    contents = tls_files.read([one for one in named if one.file != tls_files.SYSTEM])
    unusable = {one.file: one.message for one in contents.unusable}
    new: dict[Unit, Mapping[str, bytes]] = {}
    broken: dict[Unit, Broken] = {}
    for unit in units(named):
        found = {file: contents.files[file] for file in unit if file in contents.files}
        reasons = [unusable[file] for file in sorted(unit) if file in unusable]
        if reasons:
            broken[unit] = Broken(reasons[0], found)
        elif any(raw != kept.get(file) for file, raw in found.items()):
            new[unit] = found
    return Attempt(named, kept, new, broken)


def units(named: Sequence[Named]) -> list[Unit]:
    """The units of all files that settings name."""
    together: dict[Path, Unit] = {}
    for one in named:
        if one.file != tls_files.SYSTEM:
            place = one.path if one.kind == "authority" else one.path[:-1]
            together[place] = together.get(place, frozenset()) | {one.file}
    found: list[Unit] = []
    for unit in together.values():
        shared = [known for known in found if known & unit]
        found = [known for known in found if not known & unit] + [unit.union(*shared)]
    return found
