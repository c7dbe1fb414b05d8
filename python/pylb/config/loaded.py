"""A configuration that was read and is valid: the settings, and the way back to the text they come from."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from pylb.config import cross, tls_files
from pylb.config.desired import Plain
from pylb.config.draft import Resolve, carried_clients, draft, resolve
from pylb.config.explain import explain, named
from pylb.config.model import Settings
from pylb.config.pages import Pages
from pylb.config.read import decode, read
from pylb.config.repair import Repair
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
    def pages(self) -> tuple[FilePath, ...]:
        """Every file that is sent to clients."""
        named = (page for pool in self.model.pools.values() for page in pool.errors.values())
        return tuple(dict.fromkeys(map(FilePath, named)))

    @property
    def patterns(self) -> tuple[FilePath, ...]:
        """Absolute patterns of `include`."""
        return self.tree.patterns

    def draft(self, *, resolve: Resolve = resolve, descriptors: int | None = None) -> bytes:
        """What the file says, for the core. Resolving may block; raises ConfigInvalid for names without an
        address."""
        found, unresolved = self.drafted(resolve=resolve, descriptors=descriptors)
        if unresolved:
            raise ConfigInvalid(unresolved, self.files)
        return json.dumps(found).encode()

    def drafted(
        self, *, resolve: Resolve = resolve, descriptors: int | None = None
    ) -> tuple[Plain, list[Mistake]]:
        """The draft, and a mistake for each name without an address (one that nobody has stands in for it)
        and for each page or certificate that cannot be read."""
        clients = self.model.max_clients or carried_clients(descriptors)
        pages = Pages()
        plain, unresolved = draft(self.model, resolve, clients, pages)
        unusable = self.contents().mistakes(self.tree)
        return plain, [*self.nameless(unresolved), *pages.mistakes(self.tree), *unusable]

    @property
    def certificates(self) -> tuple[FilePath, ...]:
        """Every file of a certificate, key or authority, each once."""
        names = (one.file for one in tls_files.named(self.model) if one.file != tls_files.SYSTEM)
        return tuple(dict.fromkeys(map(FilePath, names)))

    def contents(self) -> tls_files.Contents:
        """What is in them, for the core, and which of them are of no use. Blocks."""
        return tls_files.read(tls_files.named(self.model))

    def nameless(self, unresolved: Sequence[tuple[Path, str]]) -> list[Mistake]:
        """Names without an address, as mistakes."""
        hint = "correct the name, or write an IP address"
        return [Mistake(self.locate(path), path, text, hint) for path, text in unresolved]

    @property
    def keys(self) -> dict[str, tuple[bytes, ...]]:
        """The keys of sticky cookies, of each pool that names its own."""
        return {name: keys for name, pool in self.model.pools.items() if (keys := pool.keys)}

    def locate(self, path: Path) -> Place:
        """Where a path of the file or the draft is written."""
        return self.tree.locate(path)

    def located(self, path: Path, line: str) -> str:
        """A line about a path; the place is in front if there is a file behind it."""
        return f"{self.locate(path)}: {line}" if self.files else line

    def explain(self, errors: Sequence[tuple[Path, str]]) -> list[Mistake]:
        """The core's errors, at their places in the file."""
        written = [(self.tree.written(_named_in_file(path)), message) for path, message in errors]
        mistakes = [Mistake(self.locate(path), path, _told(path, message)) for path, message in written]
        return in_order(mistakes, self.files)


def _told(path: Path, message: str) -> str:
    """The core's message, with the key that it is about in front, unless it is a sentence of its own."""
    return message if message.startswith("this ") else named(path, message)


def _named_in_file(path: Path) -> Path:
    """A path of the draft as one of the file; they differ in one place."""
    return ("metrics", "bind", *path[1:]) if path[:1] == ("metrics",) else path


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
    settings, found = _settings(tree, directory)
    spoilt = {mistake.path for mistake in tree.mistakes} | {mistake.place for mistake in tree.mistakes}
    wrong = [*tree.mistakes, *(one for one in found if one.path not in spoilt and one.place not in spoilt)]
    if settings is None or wrong:
        raise ConfigInvalid(in_order(wrong, tree.files), tree.files, rest=_rest(tree, wrong, directory))
    return Config(settings, tree, tuple(in_order(cross.warnings(settings, tree), tree.files)))


def _settings(tree: Tree, directory: FilePath) -> tuple[Settings | None, list[Mistake]]:
    """The settings of a tree, unless the model refuses it, and all that is wrong with its values."""
    found = cross.mistakes(tree)
    try:
        return Settings.model_validate(tree.data, context={"directory": directory}), found
    except ValidationError as error:
        return None, found + explain(error.errors(include_url=False), tree)


def _rest(tree: Tree, wrong: Sequence[Mistake], directory: FilePath) -> Config | None:
    """What is left without `wrong`, at the same places; None if that is nothing. Without one value another
    may be wrong, so it takes rounds."""
    if not isinstance(tree.data, dict):
        return None
    repair = Repair(tree.data)
    paths = [mistake.path for mistake in wrong if mistake.path]
    while repair.without(paths):
        settings, wrong = _settings(replace(tree, data=repair.data(), is_whole=True), directory)
        if not wrong:
            return Config(settings, tree) if settings is not None else None
        paths = [mistake.path for mistake in wrong]
    return None


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
