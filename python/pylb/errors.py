"""Everything pylb raises on purpose, and how it reads.

A user meets these as one clear line (or one line per mistake in the configuration) and an exit code,
never as a traceback: cli.py prints any `PylbError` and leaves with its `exit_code`. The core's own errors
(`FROM_CORE`) are made in the binding crate and change language there, once; pylb.core offers them by the same
names.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path as FilePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pylb.config.loaded import Config

FROM_CORE = ("BindFailed", "PlanInvalid")
"""Names of the exceptions that cross from the Rust core."""

Path = tuple[str | int, ...]
"""Keys and list positions from the top of the file (or of the draft, which keeps them) to a value."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is written. Lines and columns count from 1; line 0 means that no file is behind it."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing wrong in a configuration: where, what, and what to type instead (`hint`, may be empty)."""

    place: Place
    path: Path
    message: str
    hint: str = ""

    @property
    def file(self) -> str:
        return self.place.file

    @property
    def line(self) -> int:
        return self.place.line

    @property
    def column(self) -> int:
        return self.place.column

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"

    @property
    def text(self) -> str:
        """Message and hint without the place."""
        return f"{self.message}; {self.hint}" if self.hint else self.message


class PylbError(Exception):
    """A failure that a user can understand from its text alone."""

    exit_code = 1


class ConfigInvalid(PylbError):
    """The configuration is wrong. `errors` holds every mistake; `files` what was read before it was
    refused; `rest` the configuration without what is wrong, in which more can be found (verdict.py)."""

    exit_code = 3

    def __init__(
        self, errors: Sequence[Mistake], files: Sequence[FilePath] = (), *, rest: "Config | None" = None
    ) -> None:
        self.errors = list(errors)
        self.files = tuple(files)
        self.rest = rest
        super().__init__("\n".join(str(error) for error in self.errors))


class AdminUnreachable(PylbError):
    """No running pylb answers at the admin address, or several may be meant."""


class UnknownBackend(PylbError):
    """A pool, or a backend of one, that is not in force."""

    def __init__(self, what: str, name: str, known: Sequence[str]) -> None:
        near = get_close_matches(name, known, n=1)
        shown = ", ".join(sorted(known)[:10]) + (", ..." if len(known) > 10 else "")
        hint = f"did you mean {near[0]}?" if near else f"there is {shown}"
        super().__init__(f'there is no {what} called "{name}"; {hint}')
