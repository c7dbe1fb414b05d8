"""What `pylb check` prints: for people (and every editor that knows `file:line:column:`), programs, and
GitHub."""

import json
from collections.abc import Sequence

from pylb.errors import Mistake

FORMATS = ("text", "json", "github")


def report(file: str, errors: Sequence[Mistake], warnings: Sequence[Mistake], form: str) -> str:
    """Every mistake and warning, and whether `file` is valid; `form` is one of FORMATS."""
    return {"text": _text, "json": _json, "github": _github}[form](file, errors, warnings)


def plain(mistake: Mistake) -> dict[str, object]:
    """A mistake for programs. Line and column are 0 where no file is behind it."""
    return {
        "file": mistake.file,
        "line": mistake.line,
        "column": mistake.column,
        "path": list(mistake.path),
        "message": mistake.message,
        "hint": mistake.hint,
    }


def _text(file: str, errors: Sequence[Mistake], warnings: Sequence[Mistake]) -> str:
    lines = [f"{error.place}: error: {error.text}" for error in errors]
    lines += [f"{warning.place}: warning: {warning.text}" for warning in warnings]
    verdict = f"{file} is not valid: {_count(len(errors), 'mistake')}" if errors else f"{file} is valid"
    return "\n".join([*lines, f"{verdict}, {_count(len(warnings), 'warning')}" if warnings else verdict])


def _json(file: str, errors: Sequence[Mistake], warnings: Sequence[Mistake]) -> str:
    found = {
        "file": file,
        "valid": not errors,
        "errors": [plain(error) for error in errors],
        "warnings": [plain(warning) for warning in warnings],
    }
    return json.dumps(found, indent=2)


def _github(file: str, errors: Sequence[Mistake], warnings: Sequence[Mistake]) -> str:
    """Workflow commands, which GitHub shows beside the line."""
    commands = [("error", error) for error in errors] + [("warning", warning) for warning in warnings]
    return "\n".join(
        f"::{level} file={_property(found.file)},line={found.line},col={found.column},title=pylb"
        f"::{_data(found.text)}"
        for level, found in commands
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
