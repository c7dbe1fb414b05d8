"""Every rule, on this tree."""

from collections.abc import Callable, Iterator
from inspect import getmembers, isgeneratorfunction

import pytest

from architecture import rules_crates, rules_prose, rules_python, rules_rust
from architecture.tree import Tree

Rule = Callable[[Tree], Iterator[str]]

MODULES = (rules_crates, rules_rust, rules_python, rules_prose)
RULES: list[Rule] = [
    rule
    for module in MODULES
    for name, rule in getmembers(module, isgeneratorfunction)
    if rule.__module__ == module.__name__ and not name.startswith("_")
]


@pytest.fixture(scope="module")
def tree() -> Tree:
    return Tree()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_holds(rule: Rule, tree: Tree) -> None:
    complaints = list(rule(tree))
    assert not complaints, f"{rule.__doc__}\n" + "\n".join(complaints)
