"""Routes that never match, because an earlier one takes all their requests."""

from collections.abc import Iterator
from itertools import product

from pylb.config.model import Settings
from pylb.config.routes import Match
from pylb.config.tree import Tree
from pylb.config.wanted import Regex
from pylb.errors import Mistake, Path


def unreachable(settings: Settings, tree: Tree) -> Iterator[Mistake]:
    """Looks up the few matches that could cover a route, so that 10,000 routes cost 10,000 look-ups and not
    their square."""
    for name, listener in settings.listeners.items():
        first: dict[tuple[str | None, str | Regex | None], int] = {}
        for at, match in enumerate(route.match for route in listener.routes):
            wider = product(_wider_hosts(match.host), _wider_paths(match.path))
            covering = [first[one] for one in wider if one in first]
            if covering:
                path: Path = ("listeners", name, "routes", at)
                where = tree.locate(("listeners", name, "routes", min(covering)))
                message = f"this route never matches: the one at {where} takes all its requests"
                yield Mistake(tree.locate(path), path, message, "move it up, or remove it")
            if not match.model_fields_set - {"host", "path"}:
                first.setdefault((match.host, match.path), at)


def _wider_hosts(host: str | None) -> list[str | None]:
    """The values of `host` that cover this one: none, itself, and the wildcards above it."""
    if host is None:
        return [None]
    labels = host.removeprefix("*.").split(".")
    return [None, host, *(f"*.{'.'.join(labels[at:])}" for at in range(1, len(labels)))]


def _wider_paths(path: str | Regex | None) -> list[str | Regex | None]:
    """The values of `path` that cover this one: none, itself, and the prefixes at a slash."""
    if path is None or isinstance(path, Regex):
        return [None]
    return [None, path, *(path[: at + 1] for at, sign in enumerate(path) if sign == "/"), f"{path}/"]


def covers(first: Match, second: Match) -> bool:
    """Whether every request that `second` takes is taken by `first`, as far as hosts and paths say."""
    return first.host in _wider_hosts(second.host) and first.path in _wider_paths(second.path)
