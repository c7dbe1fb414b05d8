"""YAML nodes -> plain values with their places.

PyYAML scans and composes; what the nodes mean is decided here, because PyYAML follows YAML 1.1 (`no` is
false, `1:30` is 90) and drops duplicate keys. Rules of YAML 1.2's core schema instead: only `true` and
`false` are booleans.

`${VAR}` and `${VAR:-x}` are replaced in values, after composing, so a variable can never add structure; such
a value is always text, so that what it means does not depend on what the variable holds. `$${` is a plain
`${`.
"""

import re
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

import yaml

from pylb.errors import ConfigInvalid, Mistake, Path, Place

_VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{")
_INT = re.compile(r"[-+]?[0-9]{1,18}|0o[0-7]{1,20}|0x[0-9a-fA-F]{1,15}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_PLAIN = "plain"
_MOST_COPIES = 100_000
"""Values that are written once and used again through anchors. A few lines of anchors in anchors would make
billions."""
_HINTS = (
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


class Nodes:
    """Reads the nodes of one file after the other. Goes on after a mistake, to find the others."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._file = ""
        self._read: set[int] = set()
        self._copies = 0
        self.mistakes: list[Mistake] = []
        self.places: dict[Path, Place] = {}
        self.keys: dict[Path, Place] = {}

    def compose(self, file: FilePath, text: str) -> yaml.Node | None:
        """The nodes of a file, the one being read from here on; raises ConfigInvalid if it is not YAML."""
        self._file = str(file)
        self._read.clear()
        loader = _Loader(text)
        try:
            node: yaml.Node | None = loader.get_single_node()
        except yaml.MarkedYAMLError as error:
            raise ConfigInvalid([_syntax(error, file, text)]) from None
        except yaml.YAMLError as error:
            reason = f"this is not YAML: {str(error).splitlines()[0]}"
            raise ConfigInvalid([Mistake(Place(str(file), 1, 1), (), reason)]) from None
        finally:
            loader.dispose()
        return node

    def mistake(self, place: Place, path: Path, message: str, hint: str = "") -> None:
        self.mistakes.append(Mistake(place, path, message, hint))

    def value(self, node: yaml.Node, path: Path, above: tuple[int, ...]) -> Any:
        """What a node means. `above` are the nodes around it, which it must not contain again."""
        place = self.at(node)
        self.count(node, place)
        if isinstance(node, yaml.ScalarNode):
            self.places[path] = place
            return self.scalar(node, path)
        self.places[path] = self.keys.get(path, place)
        if id(node) in above:
            self.mistake(place, path, "this anchor contains itself", "write the value out")
            return None
        above = (*above, id(node))
        if isinstance(node, yaml.SequenceNode):
            return [self.value(inner, (*path, at), above) for at, inner in enumerate(node.value)]
        return {key: self.value(inner, (*path, key), above) for key, inner in self.pairs(node, path)}

    def count(self, node: yaml.Node, place: Place) -> None:
        """Raises ConfigInvalid once anchors make too much of a file."""
        self._copies += id(node) in self._read
        self._read.add(id(node))
        if self._copies > _MOST_COPIES:
            message = f"anchors repeat more than {_MOST_COPIES} values"
            raise ConfigInvalid([Mistake(place, (), message, "write fewer aliases inside anchors")])

    def pairs(self, node: yaml.Node, path: Path) -> list[tuple[str, yaml.Node]]:
        """The entries of a mapping, each key once."""
        entries: dict[str, yaml.Node] = {}
        for key_node, inner in node.value:
            place, key = self.at(key_node), key_node.value
            if not isinstance(key_node, yaml.ScalarNode):
                self.mistake(place, path, "a key must be a single word or text", "write KEY: VALUE")
            elif key == "<<" and key_node.tag == _PLAIN:
                hint = "write the keys out, or use an anchor for a whole value"
                self.mistake(place, path, "YAML 1.2 has no merge key <<", hint)
            elif key in entries:
                first = self.keys[*path, key]
                message = f"`{key}` is written twice, first at {first}"
                self.mistake(place, (*path, key), message, "keep one of the two")
            else:
                self.keys[*path, key] = place
                entries[key] = inner
        return list(entries.items())

    def scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        text: str = node.value
        if node.tag.startswith("!") or (node.tag.startswith("tag:") and not node.tag.endswith(":str")):
            self.mistake(self.at(node), path, "YAML tags are not used here", "remove the word with !")
            return None
        if "${" in text:
            return _VARIABLE.sub(lambda found: self.variable(found, self.at(node), path), text)
        return _meaning(text) if node.tag == _PLAIN else text

    def variable(self, found: re.Match[str], place: Place, path: Path) -> str:
        name, otherwise = found[1], found[2]
        if found[0] == "$${":
            return "${"
        if name is None:
            self.mistake(
                place, path, "${ does not begin a variable here", "write ${NAME}, or $${ for a plain ${"
            )
            return ""
        known = self._environ.get(name)
        if not known and otherwise is not None:
            return str(otherwise)
        if known is None:
            hint = f"set {name}, or write ${{{name}:-VALUE}} for a default"
            self.mistake(place, path, f"the variable {name} is not set", hint)
        return known or ""

    def at(self, node: yaml.Node) -> Place:
        mark = node.start_mark
        return Place(self._file, mark.line + 1, mark.column + 1)


def _meaning(text: str) -> Any:
    """A scalar without quotes, by YAML 1.2's core schema (section 10.3.2)."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text, 0 if text[:2] in ("0o", "0x") else 10)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _syntax(error: yaml.MarkedYAMLError, file: FilePath, text: str) -> Mistake:
    mark = error.problem_mark or error.context_mark
    place = Place(str(file), mark.line + 1, mark.column + 1) if mark else Place(str(file), 1, 1)
    problem = ", ".join(part for part in (error.context, error.problem) if part)
    lines = text.splitlines()
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    hint = next((hint for part, hint in _HINTS if part in problem), "")
    if re.search(r"[{\[].*\$\{", line):
        hint = 'inside { } or [ ] write "${NAME}" with quotes'
    elif "\t" in line[: place.column]:
        hint = "indent with spaces, not tabs"
    return Mistake(place, (), f"this is not YAML: {problem}", hint)
