"""What the core refuses, at the places of the file that it is about."""

from collections.abc import Sequence

from pylb.config.desired import Plain, World, origin
from pylb.config.loaded import Config
from pylb.core import BindFailed
from pylb.errors import Mistake
from pylb.errors import Path as KeyPath


def explained(
    config: Config, plain: Plain, world: World, listed: Sequence[tuple[KeyPath, str]]
) -> tuple[Mistake, ...]:
    """What the core says of a draft, at its places in the file."""
    return tuple(config.explain([(origin(plain, world.found, path), message) for path, message in listed]))


def cannot_open(config: Config, error: BindFailed) -> str:
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
