"""A configuration that was read and is valid: the settings, and the way back to the text they come from."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from pylb.config import cross
from pylb.config.draft import Resolve, carried_clients, draft, resolve
from pylb.config.explain import explain, named
from pylb.config.model import Settings
from pylb.config.read import decode, read
from pylb.config.tree import Tree
from pylb.errors import ConfigInvalid, Mistake, Path, Place


@dataclass(frozen=True)
class Config:
    """Valid settings with their places. Made by `load` and its siblings only."""

    model: Settings
    tree: Tree
    warnings: tuple[Mistake, ...] = ()

    @property
    def file(self) -> FilePath | None:
        """The main file; None if there is none behind it."""
        return self.tree.files[0] if self.tree.files else None

    @property
    def files(self) -> tuple[FilePath, ...]:
        """Every file that was read, the main file first."""
        return self.tree.files

    @property
    def patterns(self) -> tuple[FilePath, ...]:
        """Absolute patterns of `include`."""
        return self.tree.patterns

    def draft(self, *, resolve: Resolve = resolve, descriptors: int | None = None) -> bytes:
        """The JSON for the core. Resolving may block; raises ConfigInvalid for names without an address."""
        clients = self.model.max_clients or carried_clients(descriptors)
        plain, unresolved = draft(self.model, resolve, clients)
        if unresolved:
            hint = "correct the name, or write an IP address"
            raise ConfigInvalid(
                [Mistake(self.locate(path), path, text, hint) for path, text in unresolved], self.files
            )
        return json.dumps(plain).encode()

    def locate(self, path: Path) -> Place:
        """Where a path of the file or the draft is written."""
        return self.tree.locate(path)

    def explain(self, errors: Sequence[tuple[Path, str]]) -> list[Mistake]:
        """The core's errors, at their places in the file."""
        mistakes = [Mistake(self.locate(path), path, named(path, message)) for path, message in errors]
        return in_order(mistakes, self.files)


def load(path: FilePath, *, environ: Mapping[str, str]) -> Config:
    """Reads a file and all it includes; raises ConfigInvalid, or OSError if the file itself cannot be
    read."""
    return parse(decode(path.read_bytes(), path), file=path, environ=environ)


def parse(text: str, *, file: FilePath, environ: Mapping[str, str]) -> Config:
    """As `load`, from text that claims to be `file`."""
    return validate(read(file, text, environ), file.parent)


def from_mapping(data: Mapping[str, Any], *, directory: FilePath) -> Config:
    """The same keys as in YAML, from a program; `include` is only for files."""
    return validate(Tree(_plain(data)), directory)


def validate(tree: Tree, directory: FilePath) -> Config:
    """Plain values -> Config, or every mistake at once, in the order of the text."""
    found = cross.mistakes(tree)
    try:
        settings = Settings.model_validate(tree.data, context={"directory": directory})
    except ValidationError as error:
        found += explain(error.errors(include_url=False), tree)
    spoilt = {mistake.path for mistake in tree.mistakes} | {mistake.place for mistake in tree.mistakes}
    wrong = [*tree.mistakes, *(one for one in found if one.path not in spoilt and one.place not in spoilt)]
    if wrong:
        raise ConfigInvalid(in_order(wrong, tree.files), tree.files)
    return Config(settings, tree, tuple(in_order(cross.warnings(settings, tree), tree.files)))


def in_order(mistakes: Sequence[Mistake], files: Sequence[FilePath]) -> list[Mistake]:
    """By file, as they were read, then by line and column; each once."""
    position = {str(file): at for at, file in enumerate(files)}
    unique = dict.fromkeys(mistakes)
    return sorted(unique, key=lambda mistake: (position.get(mistake.file, -1), mistake.line, mistake.column))


def _plain(value: Any) -> Any:
    """Mappings and sequences of a program as the dicts and lists that YAML would give."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
