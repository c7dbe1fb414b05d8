"""Error pages: files that the user wants sent in place of pylb's own answers.

They are part of the configuration: read whenever it is, held in memory, and a file that cannot be read is a
mistake.
"""

from pathlib import Path as FilePath
from typing import Any

from pylb.config.tree import Tree
from pylb.errors import Mistake, Path

LARGEST = 256 * 1024
"""Bytes of one page."""

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".htm": "text/html; charset=utf-8",
    ".json": "application/json",
    ".xml": "application/xml",
    ".svg": "image/svg+xml",
    ".md": "text/markdown; charset=utf-8",
}
_PLAIN = "text/plain; charset=utf-8"


class Pages:
    """Reads each file once, and remembers those that cannot be used."""

    def __init__(self) -> None:
        self._known: dict[str, str | tuple[str, str]] = {}
        self._unusable: list[tuple[Path, str, str]] = []

    def page(self, file: str, path: Path) -> dict[str, Any]:
        """The page of a draft; `path` is where the file is named. An empty page stands for one that cannot be
        used."""
        if file not in self._known:
            self._known[file] = _read(FilePath(file))
        found = self._known[file]
        if isinstance(found, tuple):
            self._unusable.append((path, *found))
            found = ""
        return {"body": found, "content_type": _TYPES.get(FilePath(file).suffix.lower(), _PLAIN)}

    def mistakes(self, tree: Tree) -> list[Mistake]:
        """One for each place where such a file is named."""
        return [Mistake(tree.locate(path), path, text, hint) for path, text, hint in self._unusable]


def _read(file: FilePath) -> str | tuple[str, str]:
    """The text of a file, or why it cannot be used and what to do."""
    try:
        with file.open("rb") as opened:
            raw = opened.read(LARGEST + 1)
    except OSError as error:
        return f"cannot read {file}: {error.strerror}", "correct the name, which is relative to the main file"
    if len(raw) > LARGEST:
        return f"{file} has more than {LARGEST // 1024} KiB", "make it smaller; images can be linked"
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return f"{file} is not UTF-8", "save the file as UTF-8"
