"""Plain values that remember where each of them was written."""

from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from pylb.errors import Mistake, Path, Place


@dataclass(frozen=True)
class Tree:
    """Plain values, and where they are written. Without places (a mapping from a program), paths stand for
    them."""

    data: Any
    places: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    files: tuple[FilePath, ...] = ()
    patterns: tuple[FilePath, ...] = ()
    """Absolute patterns of `include`, for watching: a new file may match one tomorrow."""
    mistakes: tuple[Mistake, ...] = ()
    """What was wrong so far; the values at their places mean nothing."""
    is_whole: bool = True
    """Whether every included file could be read; if not, names may seem to be missing."""

    def locate(self, path: Path) -> Place:
        """Where a value is written, or the nearest value around it that is."""
        for length in range(len(path), -1, -1):
            place = self.places.get(path[:length])
            if place is not None:
                return place
        return Place(dotted(path) or "configuration")

    def written(self, path: Path) -> Path:
        """A path whose keys are those of the file: names of header fields may differ in case."""
        value, found = self.data, list(path)
        for at, part in enumerate(path):
            if isinstance(value, dict) and isinstance(part, str) and part not in value:
                found[at] = next((key for key in value if key.lower() == part.lower()), part)
            value = (
                value.get(found[at])
                if isinstance(value, dict)
                else None
                if isinstance(part, str)
                else _entry(value, part)
            )
        return tuple(found)

    def locate_key(self, path: Path) -> Place:
        """Where the key itself is written."""
        return self.keys.get(path) or self.locate(path)


def dotted(path: Path) -> str:
    """`("routes", 0, "pool")` -> `routes[0].pool`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def _entry(value: Any, at: int) -> Any:
    return value[at] if isinstance(value, list) and at < len(value) else None
