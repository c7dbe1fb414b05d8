"""Text -> a tree of plain values that remembers where each of them was written.

PyYAML scans and composes; what the nodes mean is decided here, because PyYAML follows YAML 1.1 (`no` is
false, `1:30` is 90) and drops duplicate keys. Rules of YAML 1.2's core schema instead: only `true` and
`false` are booleans.

`${VAR}` and `${VAR:-x}` are replaced in values, after composing, so a variable can never add structure; such
a value is always text, so that what it means does not depend on what the variable holds. `$${` is a plain
`${`.

Included files lend their `listeners` and `pools` to the same tree. Names are unique over all files, so a path
such as ("pools", "web") is written in exactly one place, and one table of places serves all files.
"""

import glob
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import yaml
from pylb.errors import ConfigInvalid, Mistake, Path, Place

MERGED = ("listeners", "pools")
"""The keys that included files may add to."""

_VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{")
_INT = re.compile(r"[-+]?[0-9]{1,18}|0o[0-7]{1,20}|0x[0-9a-fA-F]{1,15}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_PLAIN = "plain"
_HINTS = (
    ("\\t", "indent with spaces, not tabs"),
    ("'\t'", "indent with spaces, not tabs"),
    (
        "mapping values are not allowed",
        'put quotes around a value that holds ": ", and check the indentation',
    ),
    ("block end", "check the indentation of this line and of those above"),
    ("expected key", "check the indentation of this line and of those above"),
    ("single document", "keep one document per file, without ---"),
    (
        "expected ',' or",
        "close the bracket, or put quotes around a value that holds brackets, braces or ${...}",
    ),
    ("anchor", "names of anchors are defined with & before they are used with *"),
)


class _Loader(getattr(yaml, "CBaseLoader", yaml.BaseLoader)):  # type: ignore[misc]
    """Composes nodes; marks scalars without quotes, whose meaning is ours to find."""

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: Any) -> str:
        if kind is yaml.ScalarNode and implicit[0]:
            return _PLAIN
        return str(super().resolve(kind, value, implicit))


@dataclass(frozen=True)
class Tree:
    """Plain values, and where they are written. Without places (a mapping from a program), paths stand for
    them."""

    data: Any
    places: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    files: tuple[FilePath, ...] = ()
    patterns: tuple[FilePath, ...] = ()
    """Absolute patterns of `include`, for watching: a new file may match one tomorrow."""

    def locate(self, path: Path) -> Place:
        """Where a value is written, or the nearest value around it that is."""
        for length in range(len(path), -1, -1):
            place = self.places.get(path[:length])
            if place is not None:
                return place
        return Place(dotted(path) or "configuration")

    def locate_key(self, path: Path) -> Place:
        """Where the key itself is written."""
        return self.keys.get(path) or self.locate(path)


def dotted(path: Path) -> str:
    """`("routes", 0, "pool")` -> `routes[0].pool`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def read(file: FilePath, text: str, environ: Mapping[str, str]) -> Tree:
    """Reads text that claims to be `file`, and every file it includes; raises ConfigInvalid."""
    reading = _Reading(environ, file.parent)
    data = reading.document(file, text)
    if reading.mistakes:
        raise ConfigInvalid(reading.mistakes, reading.files)
    return Tree(data, reading.places, reading.keys, tuple(reading.files), tuple(reading.patterns))


def decode(raw: bytes, file: FilePath) -> str:
    """UTF-8 -> text; raises ConfigInvalid that names the line."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        place = Place(str(file), before.count(b"\n") + 1, error.start - before.rfind(b"\n"))
        mistake = Mistake(place, (), f"byte 0x{raw[error.start]:02x} is not UTF-8", "save the file as UTF-8")
        raise ConfigInvalid([mistake], [file]) from None


class _Reading:
    """One pass over a main file and what it includes. Goes on after a mistake, to find the others."""

    def __init__(self, environ: Mapping[str, str], directory: FilePath) -> None:
        self.environ = environ
        self.directory = directory
        self.file = ""
        """Whose nodes are being read: marks of the C parser do not know the name."""
        self.mistakes: list[Mistake] = []
        self.places: dict[Path, Place] = {}
        self.keys: dict[Path, Place] = {}
        self.files: list[FilePath] = []
        self.patterns: list[FilePath] = []

    def document(self, file: FilePath, text: str) -> Any:
        """The main file's values, those of its included files merged in."""
        node = self.compose(file, text)
        self.places[()] = Place(str(file), 1, 1)
        if node is None:
            return {}
        if not isinstance(node, yaml.MappingNode):
            return self.value(node, (), ())
        data = {}
        for key, path, inner in self.pairs(node, ()):
            data[key] = self.value(inner, path, (id(node),))
        for included in self.included(data.get("include"), ("include",)):
            self.merge(included, data)
        return data

    def compose(self, file: FilePath, text: str) -> yaml.Node | None:
        self.files.append(file)
        self.file = str(file)
        loader = _Loader(text)
        try:
            node: yaml.Node | None = loader.get_single_node()
        except yaml.MarkedYAMLError as error:
            self.mistakes.append(_syntax(error, file, text))
            return None
        except yaml.YAMLError as error:
            reason = str(error).splitlines()[0]
            self.mistakes.append(Mistake(Place(str(file), 1, 1), (), f"this is not YAML: {reason}"))
            return None
        finally:
            loader.dispose()
        return node

    def value(self, node: yaml.Node, path: Path, above: tuple[int, ...]) -> Any:
        place = self.at(node)
        if isinstance(node, yaml.ScalarNode):
            self.places[path] = place
            return self.scalar(node, path)
        self.places[path] = self.keys.get(path, place) if path else Place(self.file, 1, 1)
        if id(node) in above:
            self.mistakes.append(Mistake(place, path, "this anchor contains itself", "write the value out"))
            return None
        if isinstance(node, yaml.SequenceNode):
            return [self.value(inner, (*path, at), (*above, id(node))) for at, inner in enumerate(node.value)]
        return {key: self.value(inner, at, (*above, id(node))) for key, at, inner in self.pairs(node, path)}

    def pairs(self, node: yaml.Node, path: Path) -> list[tuple[str, Path, yaml.Node]]:
        """The entries of a mapping, each key once."""
        entries: dict[str, tuple[str, Path, yaml.Node]] = {}
        here: dict[str, Place] = {}
        for key_node, inner in node.value:
            place = self.at(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                self.mistakes.append(
                    Mistake(place, path, "a key must be a single word or text", "write KEY: VALUE")
                )
                continue
            key = key_node.value
            if key == "<<" and key_node.tag == _PLAIN:
                hint = "write the keys out, or use an anchor for a whole value"
                self.mistakes.append(Mistake(place, path, "YAML 1.2 has no merge key <<", hint))
            elif key in entries:
                hint = "keep one of the two"
                self.mistakes.append(
                    Mistake(place, (*path, key), f"`{key}` is written twice, first at {here[key]}", hint)
                )
            else:
                here[key] = self.keys[*path, key] = place
                entries[key] = (key, (*path, key), inner)
        return list(entries.values())

    def scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        text: str = node.value
        if node.tag.startswith("!") or (node.tag.startswith("tag:") and not node.tag.endswith(":str")):
            self.mistakes.append(
                Mistake(self.at(node), path, "YAML tags are not used here", "remove the word with !")
            )
            return None
        if "${" in text:
            return self.substitute(text, self.at(node), path)
        if node.tag != _PLAIN:
            return text
        return _meaning(text)

    def substitute(self, text: str, place: Place, path: Path) -> str:
        def one(found: re.Match[str]) -> str:
            name, otherwise = found[1], found[2]
            if found[0] == "$${":
                return "${"
            if name is None:
                self.mistakes.append(
                    Mistake(
                        place,
                        path,
                        f'"{text}" has a ${{ that is no variable',
                        "write ${NAME}, or $${ for a plain ${",
                    )
                )
                return ""
            known = self.environ.get(name)
            if not known and otherwise is not None:
                return str(otherwise)
            if known is None:
                hint = f"set {name}, or write ${{{name}:-VALUE}} for a default"
                self.mistakes.append(Mistake(place, path, f"the variable {name} is not set", hint))
            return known or ""

        return _VARIABLE.sub(one, text)

    def included(self, patterns: Any, path: Path) -> list[FilePath]:
        """The files that `include` names, in order; what is not text is left for the model to refuse."""
        found: list[FilePath] = []
        single = isinstance(patterns, str)
        for at, pattern in enumerate(
            [patterns] if single else patterns if isinstance(patterns, list) else []
        ):
            if not isinstance(pattern, str) or not pattern:
                continue
            self.patterns.append((self.directory / pattern).absolute())
            matched = glob_files([os.path.join(self.directory, pattern)])
            if not matched and not any(char in pattern for char in "*?["):
                place = self.places[path if single else (*path, at)]
                self.mistakes.append(
                    Mistake(place, path, f'there is no file "{pattern}"', "paths are relative to this file")
                )
            found += [file for file in matched if file not in self.files and file not in found]
        return found

    def merge(self, file: FilePath, data: dict[str, Any]) -> None:
        """Adds the listeners and pools of an included file."""
        try:
            text = decode(file.read_bytes(), file)
        except ConfigInvalid as error:
            self.files.append(file)
            self.mistakes += error.errors
            return
        except OSError as error:
            self.files.append(file)
            self.mistakes.append(
                Mistake(self.places["include",], ("include",), f"cannot read {file}: {error.strerror}")
            )
            return
        node = self.compose(file, text)
        if node is None:
            return
        if not isinstance(node, yaml.MappingNode):
            self.mistakes.append(
                Mistake(self.at(node), (), "expected listeners or pools", "write for example pools:")
            )
            return
        for key_node, inner in node.value:
            key = getattr(key_node, "value", None)
            if key not in MERGED:
                hint = f"move it to {self.files[0]}"
                self.mistakes.append(
                    Mistake(
                        self.at(key_node),
                        (str(key),),
                        "an included file holds only listeners and pools",
                        hint,
                    )
                )
            elif not isinstance(inner, yaml.MappingNode):
                self.mistakes.append(
                    Mistake(self.at(key_node), (key,), f"`{key}` needs names and what they stand for")
                )
            else:
                self.entries(key, inner, data)

    def entries(self, key: str, node: yaml.MappingNode, data: dict[str, Any]) -> None:
        known = data.setdefault(key, {})
        if not isinstance(known, dict):
            return
        before: dict[Path, Place] = {
            at: place for at, place in self.keys.items() if at[:1] == (key,) and len(at) == 2
        }
        for name, path, inner in self.pairs(node, (key,)):
            if name in known:
                place, self.keys[path] = self.keys[path], before[path]
                message = f"`{name}` is written in two files, first at {before[path]}"
                self.mistakes.append(Mistake(place, path, message, "rename or remove one"))
            else:
                known[name] = self.value(inner, path, ())

    def at(self, node: yaml.Node) -> Place:
        mark = node.start_mark
        return Place(self.file, mark.line + 1, mark.column + 1)


def _meaning(text: str) -> Any:
    """A scalar without quotes, by YAML 1.2's core schema (section 10.3.2)."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text, 0 if text[:2] in ("0o", "0x") else 10)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def glob_files(patterns: Iterable[FilePath | str]) -> list[FilePath]:
    """The files that match, in the order of their names; relative patterns give relative paths."""
    found = [name for pattern in patterns for name in sorted(glob.glob(str(pattern), recursive=True))]
    return [FilePath(os.path.normpath(name)) for name in found if os.path.isfile(name)]


def _syntax(error: yaml.MarkedYAMLError, file: FilePath, text: str) -> Mistake:
    mark = error.problem_mark or error.context_mark
    place = Place(str(file), mark.line + 1, mark.column + 1) if mark else Place(str(file), 1, 1)
    problem = error.problem or "this is not YAML"
    if error.context and error.context not in problem:
        problem = f"{problem} {error.context}"
    lines = text.splitlines()
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    if "${" in line and re.search(r"[{\[].*\$\{", line):
        return Mistake(
            place, (), f"this is not YAML: {problem}", 'inside { } or [ ] write "${NAME}" with quotes'
        )
    hint = next((hint for part, hint in _HINTS if part in problem), "")
    return Mistake(place, (), f"this is not YAML: {problem}", hint)
