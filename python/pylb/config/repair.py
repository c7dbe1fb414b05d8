"""What is left of a configuration without its mistakes, so that the core can look for more in the rest.

Every other value keeps its path, because what is found in the rest is told at the user's places. So an entry
of a list is never taken out but replaced, and a key that must be there gets a value that nothing is wrong
with; an optional one goes, which leaves its default. What is made here is compiled and thrown away, never run.
"""

from typing import Any

from pylb.errors import Path

NOBODY = "_" * 64
"""A pool for routes whose own is not there."""

_GONE = object()


class Repair:
    """Takes values out of plain data, one path after the other."""

    def __init__(self, data: Any) -> None:
        self._data = data
        self._instead: dict[Path, Any] = {}

    def without(self, path: Path) -> bool:
        """Replaces what is at `path`; if that is still wrong, removes it; if that is, then what is around it.
        False if everything is wrong."""
        if not path:
            return isinstance(self._data, dict)
        if path not in self._instead:
            stand_in = _stand_in(path, f"unix:/_{len(self._instead)}")
            if stand_in is _GONE and isinstance(path[-1], int):
                return self.without(path[:-1])
            self._instead[path] = stand_in
        elif self._instead[path] is not _GONE and isinstance(path[-1], str):
            self._instead[path] = _GONE
        else:
            return self.without(path[:-1])
        return True

    def data(self) -> dict[str, Any]:
        """The data as repaired so far."""
        data: dict[str, Any] = self._repaired(self._data, ())
        pools = data.get("pools")
        if isinstance(pools, dict | None):
            data["pools"] = {**(pools or {}), NOBODY: {"backends": ["unix:/_"]}}
        return data

    def _repaired(self, value: Any, path: Path) -> Any:
        if path in self._instead:
            return self._instead[path]
        if isinstance(value, list):
            return [self._repaired(inner, (*path, at)) for at, inner in enumerate(value)]
        if not isinstance(value, dict):
            return value
        added = (each[-1] for each in self._instead if each[:-1] == path)
        found = {key: self._repaired(value.get(key), (*path, key)) for key in (*value, *added)}
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
