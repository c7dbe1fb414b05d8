"""Every mistake of a configuration at once, whoever finds it.

Three parts look for mistakes, each in what the one before it makes: the model and its cross-checks, the
resolving of names, the core. So that none hides what the next would find, each is given what is left: names
without an address have a stand-in when the core looks, and a file that the model refuses is resolved and
compiled without what is wrong in it (repair.py). The core thinks of nothing in the rest that the user did not
write, so what it finds there is a mistake of the file, too.
"""

from collections.abc import Callable, Sequence

from pylb.config.draft import Resolve, resolve
from pylb.config.loaded import Config, in_order
from pylb.core import Core, PlanInvalid
from pylb.errors import ConfigInvalid, Mistake


def draft(config: Config, *, resolve: Resolve = resolve) -> bytes:
    """The draft for the core, which has not seen it yet. Raises ConfigInvalid for names without an address,
    and then with all that the core refuses."""
    found, unresolved = config.drafted(resolve=resolve)
    if unresolved:
        raise ConfigInvalid(in_order([*unresolved, *_refused(config, found)], config.files), config.files)
    return found


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
    return _mistakes(config, resolve), config.warnings


def _mistakes(config: Config, resolve: Resolve) -> list[Mistake]:
    found, unresolved = config.drafted(resolve=resolve)
    return in_order([*unresolved, *_refused(config, found)], config.files)


def _refused(config: Config, found: bytes) -> list[Mistake]:
    try:
        Core.check(found)
    except PlanInvalid as error:
        return config.explain(error.errors)
    return []
