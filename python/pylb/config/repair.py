"""What is left of a configuration without its mistakes, so that the core can look for more in the rest.

Every other value keeps its path, because what is found in the rest is told at the user's places. So an entry
of a list is never taken out but replaced, and a key that must be there gets a value that nothing is wrong
with; an optional one goes, which leaves its default. What is made here is compiled and thrown away.
"""

from collections.abc import Iterable
from typing import Any

from pylb.errors import Path

NOBODY = "_" * 64
"""A pool for routes whose own is not there."""

_GONE = object()


class Repair:
    """Takes values out of the plain data of a file, as often as the model finds something wrong with it."""

    def __init__(self, data: dict[str, Any]) -> None:
        self._data = data
        self._instead: dict[Path, Any] = {}
        self._below: dict[Path, list[str | int]] = {}
        """The last parts of the paths in `_instead`, by what is before them."""

    def without(self, paths: Iterable[Path]) -> bool:
        """Replaces what is at each path; what was replaced before is removed, and if that did not help, what
        is around it. False if nothing would be left."""
        done: set[Path] = set()
        return all([self._take_out(path, done) for path in paths])

    def _take_out(self, path: Path, done: set[Path]) -> bool:
        while path and path not in done:
            before = self._instead.get(path)
            found = _GONE if path in self._instead else _stand_in(path, f"unix:/_{len(self._instead)}")
            if before is not _GONE and not (found is _GONE and isinstance(path[-1], int)):
                self._instead[path] = found
                self._below.setdefault(path[:-1], []).append(path[-1])
                done.add(path)
            else:
                path = path[:-1]
        return bool(path)

    def data(self) -> dict[str, Any]:
        """The data as repaired so far, and NOBODY."""
        data: dict[str, Any] = self._repaired(self._data, ())
        pools = data.get("pools", {})
        if isinstance(pools, dict):
            data["pools"] = {**pools, NOBODY: {"backends": ["unix:/_"]}}
        return data

    def _repaired(self, value: Any, path: Path) -> Any:
        if path in self._instead:
            return self._instead[path]
        if isinstance(value, list):
            return [self._repaired(inner, (*path, at)) for at, inner in enumerate(value)]
        if not isinstance(value, dict):
            return value
        keys = (*value, *self._below.get(path, ()))
        found = {key: self._repaired(value.get(key), (*path, key)) for key in keys}
        return {key: inner for key, inner in found.items() if inner is not _GONE}


def _stand_in(path: Path, address: str) -> Any:
    """A value that may stand at `path`; `address` is one that nothing else has."""
    match path:
        case ("listeners",):
            return {NOBODY: {"bind": address, "routes": [{"pool": NOBODY}]}}
        case (*_, "routes"):
            return [{"pool": NOBODY}]
        case (*_, "routes", int()):
            return {"pool": NOBODY}
        case (*_, "pool"):
            return NOBODY
        case (*_, "backends"):
            return [address]
        case (*_, "bind" | "address") | (*_, "bind" | "backends", int()):
            return address
        case _:
            return _GONE
