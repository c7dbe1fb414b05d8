"""Desired state: the file, the members that were discovered, what an operator said. Merged in that order.

`draft.py` turns a file into a draft that knows nothing of the world. Here it becomes the one that the core
compiles: an entry `{dns: NAME}` turns into one backend per address, sticky cookies get the ids of the
backends, and overrides (`pylb drain`, `pylb weight`) have the last word. All three change while the file does
not, so this runs again, from the same file's draft, whenever one of them does.

A member is named by its address, so that its counters, health, ids and place in a hash follow the address
and not its position in an answer of the resolver. What is found twice, or is in the pool already by its
address, counts once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pylb import affinity
from pylb.config.address import host_port
from pylb.errors import Path

Plain = dict[str, Any]
"""A draft as plain values."""
Key = tuple[str, str]
"""(pool, backend), the backend as `status` names it."""
Found = Mapping[str, Sequence[str]]
"""A host name -> texts of its IP addresses."""

NO_KEYS = (b"\0" * 32,)
"""A ring for drafts that are compiled and thrown away."""


@dataclass(frozen=True, slots=True)
class Override:
    """What an operator said of one backend. `weight` None: as in the file."""

    draining: bool = False
    weight: int | None = None


@dataclass(frozen=True, slots=True)
class World:
    """Everything that a draft for the core needs beside the file. `keys` are those of pools that name their
    own, `ring` those of all others; `files` are certificates and the like, which cross beside the draft."""

    found: Found = field(default_factory=dict)
    ring: Sequence[bytes] = NO_KEYS
    keys: Mapping[str, Sequence[bytes]] = field(default_factory=dict)
    overrides: Mapping[Key, Override] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)


def desired(plain: Plain, world: World) -> Plain:
    """The draft for the core. Every name in it must be in `world.found`; neither argument is changed."""
    pools = {name: _pool(name, pool, world) for name, pool in plain["pools"].items()}
    return {**plain, "pools": pools}


def names(plain: Plain) -> dict[str, float]:
    """The names to look up, each with the shortest time between two look-ups in seconds."""
    wanted: dict[str, float] = {}
    for pool in plain["pools"].values():
        for entry in pool["backends"]:
            if "dns" in entry:
                host, _ = host_port(entry["dns"])
                wanted[host] = min(entry["refresh"] / 1000, wanted.get(host, float("inf")))
    return wanted


def uses_ring(plain: Plain, keys: Mapping[str, Sequence[bytes]]) -> bool:
    """Whether a pool needs keys and names none."""
    return any(_has_ids(pool) and name not in keys for name, pool in plain["pools"].items())


def origin(plain: Plain, found: Found, path: Path) -> Path:
    """A path of the core's draft as one of the file's: a member is written where its name is."""
    match path:
        case ("pools", str(pool), "backends", int(at), *rest) if pool in plain["pools"]:
            places = [place for place, _ in _members(plain["pools"][pool]["backends"], found)]
            return ("pools", pool, "backends", places[at] if at < len(places) else at, *rest)
    return path


def hosts(plain: Plain, found: Found) -> dict[Key, str]:
    """The name, as written, behind each member."""
    return {
        (name, entry["name"]): pool["backends"][place]["dns"]
        for name, pool in plain["pools"].items()
        for place, entry in _members(pool["backends"], found)
        if "dns" in pool["backends"][place]
    }


def _pool(name: str, pool: Plain, world: World) -> Plain:
    members = [entry for _, entry in _members(pool["backends"], world.found)]
    backends = [_overridden(entry, world.overrides.get((name, entry["name"]))) for entry in members]
    made = {**pool, "backends": backends}
    if _has_ids(pool):
        keys = world.keys.get(name, world.ring)
        ids = affinity.ids(name, [entry["name"] for entry in backends], keys)
        made["sticky"] = {**pool["sticky"], "ids": ids}
    return made


def _has_ids(pool: Plain) -> bool:
    return (pool.get("sticky") or {}).get("kind") == "cookie"


def _overridden(entry: Plain, override: Override | None) -> Plain:
    if override is None:
        return entry
    weight = entry["weight"] if override.weight is None else override.weight
    return {**entry, "weight": weight, "draining": override.draining}


def _members(entries: Sequence[Plain], found: Found) -> Iterator[tuple[int, Plain]]:
    """Backends in the order of the file, each with the position of the entry it comes from."""
    taken = {entry["name"] for entry in entries if "dns" not in entry}
    for at, entry in enumerate(entries):
        if "dns" not in entry:
            yield at, entry
            continue
        host, port = host_port(entry["dns"])
        rest = {key: value for key, value in entry.items() if key not in ("dns", "refresh")}
        for ip in sorted(found[host], key=_order):
            address = f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
            if address not in taken:
                taken.add(address)
                yield at, {"name": address, "address": address, **rest}


def _order(ip: str) -> tuple[bool, str]:
    """IPv4 first; the same set in the same order, however the resolver turns it."""
    return ":" in ip, ip
