"""Every mistake of a configuration at once, whoever finds it.

Three parts look for mistakes, each in what the one before it makes: the model and its cross-checks, the
resolving of names, the core. So that none hides what the next would find, each is given what is left: names
without an address have a stand-in when the core looks, and a file that the model refuses is resolved and
compiled without what is wrong in it (repair.py). The core thinks of nothing in the rest that the user did not
write, so what it finds there is a mistake of the file, too.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import MappingProxyType

from pylb.config.address import host_port
from pylb.config.desired import NO_KEYS, Found, Plain, World, desired, names, origin
from pylb.config.draft import STAND_IN, Resolve, Unresolved, resolve
from pylb.config.internal import Internal
from pylb.config.loaded import Config, in_order
from pylb.core import Core, PlanInvalid
from pylb.errors import ConfigInvalid, Mistake, Path

_NOTHING: Found = MappingProxyType({})


def draft(config: Config, *, resolve: Resolve = resolve, ring: Sequence[bytes] = NO_KEYS) -> bytes:
    """A draft to compile and throw away, as one of a pylb that has just started. Blocks; raises
    ConfigInvalid."""
    plain, found = drafted(config, resolve=resolve)
    return _encoded(config, plain, World(found, ring))


def drafted(config: Config, *, resolve: Resolve = resolve, known: Found = _NOTHING) -> tuple[Plain, Found]:
    """The file's draft, which the core has not seen yet, and the addresses of every name in it that has many;
    what is `known` of them is not asked again. Raises ConfigInvalid for names without an address, and then
    with all that the core refuses."""
    plain, found, nameless = _looked_up(config, resolve, known)
    if nameless:
        refused, _ = _judged(config, plain, found)
        raise ConfigInvalid(in_order([*nameless, *refused], config.files), config.files)
    return plain, found


def completed(error: ConfigInvalid, *, resolve: Resolve = resolve) -> ConfigInvalid:
    """The error of a loading, with all that the resolver and the core find in the rest. Blocks."""
    if error.rest is None:
        return error
    found = [*error.errors, *_mistakes(error.rest, resolve)]
    return ConfigInvalid(in_order(found, error.files), error.files)


def check(
    load: Callable[[], Config], *, resolve: Resolve = resolve
) -> tuple[Sequence[Mistake], Sequence[Mistake]]:
    """All mistakes and warnings of what `load` loads. Blocks."""
    try:
        config = load()
    except ConfigInvalid as error:
        return completed(error, resolve=resolve).errors, ()
    plain, found, nameless = _looked_up(config, resolve, _NOTHING)
    refused, useless = _judged(config, plain, found)
    return (
        in_order([*nameless, *refused], config.files),
        in_order([*config.warnings, *useless], config.files),
    )


def _mistakes(config: Config, resolve: Resolve) -> list[Mistake]:
    plain, found, nameless = _looked_up(config, resolve, _NOTHING)
    return in_order([*nameless, *_judged(config, plain, found)[0]], config.files)


def _looked_up(config: Config, resolve: Resolve, known: Found) -> tuple[Plain, Found, list[Mistake]]:
    """The file's draft with the addresses of its names; a stand-in for those that have none, and a mistake
    wherever one is written."""
    plain, mistakes = config.drafted(resolve=resolve)
    found: dict[str, Sequence[str]] = {}
    reasons: dict[str, str] = {}
    for host in names(plain):
        try:
            found[host] = known[host] if host in known else resolve(host)
        except OSError as error:
            found[host] = [STAND_IN]
            reasons[host] = f'"{host}" has no address: {error.strerror or error}'
    return plain, found, [*mistakes, *config.nameless(_places(plain, reasons))]


def _places(plain: Plain, reasons: dict[str, str]) -> Unresolved:
    return [
        (("pools", name, "backends", at, "dns"), reasons[host])
        for name, pool in plain["pools"].items()
        for at, entry in enumerate(pool["backends"])
        if "dns" in entry and (host := host_port(entry["dns"])[0]) in reasons
    ]


def _judged(config: Config, plain: Plain, found: Found) -> tuple[list[Mistake], list[Mistake]]:
    """What the core refuses of a draft, and what it calls useless."""

    contents = config.contents()
    unread = {one.path for one in contents.unusable}

    def told(listed: list[tuple[Path, str]]) -> list[Mistake]:
        written = [(origin(plain, found, path), message) for path, message in listed]
        return config.explain([(path, message) for path, message in written if path not in unread])

    files = {**contents.files, **Internal().passing(config.model).files}
    try:
        return [], told(Core.check(_encoded(config, plain, World(found)), files))
    except PlanInvalid as error:
        return told(error.errors), []


def _encoded(config: Config, plain: Plain, world: World) -> bytes:
    return json.dumps(desired(plain, replace(world, keys=config.keys))).encode()
