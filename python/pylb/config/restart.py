"""What a running process cannot change: threads, state and the door of its operators are made once."""

from pylb.config.loaded import Config
from pylb.errors import Mistake, Path

RESTART_ONLY: tuple[Path, ...] = (("workers",), ("state_dir",), ("admin", "bind"))
"""Keys that need a restart."""


def needs_restart(old: Config, new: Config) -> tuple[Mistake, ...]:
    """A mistake for each of them that differs."""
    return tuple(
        Mistake(
            new.locate(path),
            path,
            f"`{path[-1]}` cannot change while pylb runs",
            "restart pylb, or change it back",
        )
        for path in RESTART_ONLY
        if _at(old, path) != _at(new, path)
    )


def _at(config: Config, path: Path) -> object:
    found: object = config.model
    for key in path:
        found = getattr(found, str(key))
    return found
