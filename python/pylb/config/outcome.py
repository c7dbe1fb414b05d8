"""What becomes of a change: it is in force, or nothing was changed and here is why."""

from dataclasses import dataclass
from typing import Any

from pylb.config.loaded import Config
from pylb.errors import Mistake


@dataclass(frozen=True)
class Published:
    """A configuration is in force. `warnings` are the core's and of this machine, those of the file alone
    are in `config`."""

    generation: int
    config: Config
    warnings: tuple[str, ...] = ()

    def describe(self) -> str:
        origin = self.config.file or "configuration"
        return f"{origin} is in force (generation {self.generation})"

    def fact(self) -> dict[str, Any]:
        return {
            "fact": "config_applied",
            "origin": str(self.config.file or "the configuration"),
            "generation": self.generation,
            "warnings": [*map(str, self.config.warnings), *self.warnings],
        }


@dataclass(frozen=True)
class Adjusted:
    """The configuration in force is the same, but something beside it is not: `what` is the fact."""

    generation: int
    config: Config
    what: dict[str, Any]

    def fact(self) -> dict[str, Any]:
        return {**self.what, "generation": self.generation}


@dataclass(frozen=True)
class Kept:
    """Nothing was changed, and `what` says why not: files of certificates are of no use."""

    what: dict[str, Any]

    def fact(self) -> dict[str, Any]:
        return self.what


@dataclass(frozen=True)
class Refused:
    """Nothing was changed, because of every one of `mistakes`."""

    mistakes: tuple[Mistake, ...]
    reason: str
    """One line."""
    exit_code: int
    """What a process leaves with that cannot start for it: 3 for a wrong configuration, else 1."""

    def describe(self) -> str:
        return "\n".join([self.reason, *map(str, self.mistakes)])

    def fact(self) -> dict[str, Any]:
        mistakes = list(map(str, self.mistakes))
        return {"fact": "config_refused", "reason": self.reason, "mistakes": mistakes}


Outcome = Published | Refused
"""Of loading a configuration and applying it."""
Heard = Published | Adjusted | Kept | Refused
"""Of any change, whoever asked for it."""
