"""Files -> one tree: the main file, and the `listeners` and `pools` of the files it includes.

Names are unique over all files, so a path such as ("pools", "web") is written in exactly one place, and one
table of places serves them all. Only a main file that is not YAML ends the reading; whatever else is wrong
travels with the tree, so that it is reported together with what the model finds.
"""

import glob
import os
from collections.abc import Iterable, Mapping
from pathlib import Path as FilePath
from typing import Any

import yaml

from pylb.config.nodes import Nodes
from pylb.config.tree import Tree
from pylb.errors import ConfigInvalid, Mistake, Path, Place

MERGED = ("listeners", "pools")
"""The keys that included files may add to."""


def read(file: FilePath, text: str, environ: Mapping[str, str]) -> Tree:
    """Reads text that claims to be `file`, and all it includes; raises ConfigInvalid if it is not YAML."""
    return _Reading(file, environ).tree(text)


def decode(raw: bytes, file: FilePath) -> str:
    """UTF-8 -> text; raises ConfigInvalid that names the line."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        place = Place(str(file), before.count(b"\n") + 1, error.start - before.rfind(b"\n"))
        mistake = Mistake(place, (), f"byte 0x{raw[error.start]:02x} is not UTF-8", "save the file as UTF-8")
        raise ConfigInvalid([mistake], [file]) from None


def glob_files(patterns: Iterable[FilePath | str]) -> list[FilePath]:
    """The files that match, in the order of their names; relative patterns give relative paths."""
    found = [name for pattern in patterns for name in sorted(glob.glob(str(pattern), recursive=True))]
    return [FilePath(os.path.normpath(name)) for name in found if os.path.isfile(name)]


class _Reading:
    """One pass over a main file and what it includes."""

    def __init__(self, main: FilePath, environ: Mapping[str, str]) -> None:
        self.nodes = Nodes(environ)
        self.main = main
        self.files = [main]
        self.patterns: list[FilePath] = []
        self.is_whole = True

    def tree(self, text: str) -> Tree:
        nodes = self.nodes
        try:
            node = nodes.compose(self.main, text)
            data = self.values(node)
        except ConfigInvalid as error:
            raise ConfigInvalid(error.errors, self.files) from None
        nodes.places[()] = Place(str(self.main), 1, 1)
        files, patterns = tuple(self.files), tuple(self.patterns)
        return Tree(data, nodes.places, nodes.keys, files, patterns, tuple(nodes.mistakes), self.is_whole)

    def values(self, node: yaml.Node | None) -> Any:
        if node is None:
            return {}
        data = self.nodes.value(node, (), ())
        if isinstance(data, dict):
            for file in self.included(data.get("include")):
                self.merge(file, data)
        return data

    def included(self, patterns: Any) -> list[FilePath]:
        """The files that `include` names, in order; what is not text is left for the model to refuse."""
        found: list[FilePath] = []
        listed = list(enumerate(patterns)) if isinstance(patterns, list) else [(None, patterns)]
        for at, pattern in listed:
            if not isinstance(pattern, str) or not pattern:
                continue
            path = os.path.join(self.main.parent, pattern)
            self.patterns.append(FilePath(path).absolute())
            matched = glob_files([path])
            if not matched and not glob.has_magic(pattern):
                self.lacks(("include",) if at is None else ("include", at), f'there is no file "{pattern}"')
            found += [file for file in matched if file not in self.files and file not in found]
        return found

    def lacks(self, path: Path, message: str) -> None:
        hint = "correct the name, which is relative to this file"
        self.nodes.mistake(self.nodes.places[path], path, message, hint)
        self.is_whole = False

    def merge(self, file: FilePath, data: dict[str, Any]) -> None:
        """Adds the listeners and pools of an included file."""
        self.files.append(file)
        try:
            node = self.nodes.compose(file, decode(file.read_bytes(), file))
        except ConfigInvalid as error:
            self.nodes.mistakes += error.errors
            self.is_whole = False
        except OSError as error:
            self.lacks(("include",), f"cannot read {file}: {error.strerror}")
        else:
            if isinstance(node, yaml.MappingNode):
                self.sections(node, data)
            elif node is not None:
                place = self.nodes.at(node)
                self.nodes.mistake(place, (), "expected listeners or pools", "write for example pools:")

    def sections(self, node: yaml.MappingNode, data: dict[str, Any]) -> None:
        for key_node, inner in node.value:
            key, place = str(getattr(key_node, "value", "")), self.nodes.at(key_node)
            if key not in MERGED:
                message = "an included file holds only listeners and pools"
                self.nodes.mistake(place, (key,), message, f"move `{key}` to {self.main}")
            elif not isinstance(inner, yaml.MappingNode):
                self.nodes.mistake(place, (key,), f"`{key}` needs names and what they stand for")
            else:
                self.entries(key, inner, data)

    def entries(self, section: str, node: yaml.MappingNode, data: dict[str, Any]) -> None:
        """Adds those whose name is new."""
        known = data.setdefault(section, {})
        if not isinstance(known, dict):
            return
        first = {name: self.nodes.keys[section, name] for name in known}
        for name, inner in self.nodes.pairs(node, (section,)):
            path = (section, name)
            if name in first:
                here, self.nodes.keys[path] = self.nodes.keys[path], first[name]
                message = f"`{name}` is written in two files, first at {first[name]}"
                self.nodes.mistake(here, path, message, "rename or remove one")
            else:
                known[name] = self.nodes.value(inner, path, (id(node),))
