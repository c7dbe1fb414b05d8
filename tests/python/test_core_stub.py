"""The language border seen from both sides: stub against module, error lists against each other."""

import ast
import inspect
from pathlib import Path
from typing import Any

import pylb
import pytest
from pylb import _core, core, errors

STUB = ast.parse(Path(pylb.__file__).with_name("_core.pyi").read_text())
CLASSES = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}
FUNCTIONS = {node.name: node for node in STUB.body if isinstance(node, ast.FunctionDef)}
METHODS = {node.name: node for node in CLASSES["Core"].body if isinstance(node, ast.FunctionDef)}


def parameters(function: ast.FunctionDef) -> list[tuple[str, str]]:
    """Names and kinds, without self and cls."""
    positional = [(argument.arg, "positional") for argument in function.args.args]
    named = [(argument.arg, "keyword") for argument in function.args.kwonlyargs]
    return [each for each in positional + named if each[0] not in ("self", "cls")]


def built(callable_: Any) -> list[tuple[str, str]]:
    """The same, of something in the module."""
    found = inspect.signature(callable_).parameters.values()
    kinds = {inspect.Parameter.KEYWORD_ONLY: "keyword"}
    return [(one.name, kinds.get(one.kind, "positional")) for one in found if one.name not in ("self", "cls")]


def test_the_module_holds_what_the_stub_says_and_nothing_else() -> None:
    offered = {name for name in vars(_core) if not name.startswith("_")}
    assert offered == CLASSES.keys() | FUNCTIONS.keys()


def test_so_does_the_class() -> None:
    offered = {name for name in vars(_core.Core) if not name.startswith("_")}
    assert offered == {name for name in METHODS if not name.startswith("_")}


@pytest.mark.parametrize("name", [name for name in METHODS if name != "__new__"])
def test_methods_take_what_the_stub_says_and_explain_it_in_the_same_words(name: str) -> None:
    method = getattr(_core.Core, name)
    assert built(method) == parameters(METHODS[name])
    assert (method.__doc__ or "").split() == (ast.get_docstring(METHODS[name]) or "").split()


def test_making_one_takes_what_the_stub_says() -> None:
    assert built(_core.Core) == parameters(METHODS["__new__"])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_take_what_the_stub_says(name: str) -> None:
    assert built(getattr(_core, name)) == parameters(FUNCTIONS[name])


def test_both_sides_list_the_same_errors() -> None:
    raised = {
        name for name, value in vars(_core).items() if inspect.isclass(value) and issubclass(value, Exception)
    }
    assert raised == set(errors.FROM_CORE)
    for name in raised:
        (base,) = CLASSES[name].bases
        assert isinstance(base, ast.Name)
        assert getattr(_core, name).__base__.__name__ == base.id
        assert getattr(core, name) is getattr(_core, name)


def test_only_core_imports_the_module() -> None:
    package = Path(pylb.__file__).parent
    importing = {
        file.name for file in package.rglob("*.py") if "_core" in _imports(ast.parse(file.read_text()))
    }
    assert importing == {"core.py"}


def test_an_invalid_draft_says_where() -> None:
    with pytest.raises(core.PlanInvalid) as refusal:
        core.Core.check(b"not even JSON", {})
    ((path, message),) = refusal.value.errors
    assert path == ()
    assert message


def test_versions() -> None:
    assert core.versions().keys() == {"pylb", "rust", "target", "tls"}


def test_an_engine_needs_a_worker() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        core.Core(workers=0)


def _imports(tree: ast.Module) -> set[str]:
    """The last parts of the names of imported modules."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.rpartition(".")[2] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {(node.module or "").rpartition(".")[2], *(alias.name for alias in node.names)}
    return found
