"""The language border, from both sides: stub against built module, lists of errors against each other."""

import ast
import inspect
import re
from typing import Any

import pytest
from pylb import _core, errors

from architecture.tree import Tree

STUB = ast.parse(Tree().text("python/pylb/_core.pyi"))


def _defined(body: list[ast.stmt]) -> dict[str, Any]:
    """Classes and functions of a body, by name."""
    kinds = (ast.ClassDef, ast.FunctionDef)
    return {node.name: node for node in body if isinstance(node, kinds)}


def _methods(cls: type) -> dict[str, Any]:
    own = {name: value for name, value in vars(cls).items() if not name.startswith("_")}
    return own | {"__new__": cls} if "__new__" in vars(cls) else own


def test_the_stub_names_what_the_module_has() -> None:
    built = {name for name in dir(_core) if not name.startswith("_")}
    assert _defined(STUB.body).keys() == built


def test_the_stub_lists_the_methods_of_each_class() -> None:
    for name, node in _defined(STUB.body).items():
        if isinstance(node, ast.ClassDef) and not issubclass(getattr(_core, name), Exception):
            assert _defined(node.body).keys() == _methods(getattr(_core, name)).keys(), name


def _functions() -> list[tuple[str, ast.FunctionDef, Any]]:
    found = []
    for name, node in _defined(STUB.body).items():
        built = getattr(_core, name)
        if isinstance(node, ast.FunctionDef):
            found.append((name, node, built))
        else:
            methods = _methods(built)
            inner = _defined(node.body).items()
            found += [(f"{name}.{method}", each, methods.get(method)) for method, each in inner]
    return found


@pytest.mark.parametrize(("name", "node", "built"), _functions(), ids=[name for name, _, _ in _functions()])
def test_signatures_and_docs_agree(name: str, node: ast.FunctionDef, built: Any) -> None:
    if isinstance(built, staticmethod):
        built = built.__func__
    shape = inspect.signature(built).parameters.values()
    keywords = [each.arg for each in node.args.kwonlyargs]
    written = [each.arg for each in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]]
    without = ("self", "cls")
    assert [each for each in written if each not in without] == [
        each.name for each in shape if each.name not in without
    ]
    assert keywords == [each.name for each in shape if each.kind is inspect.Parameter.KEYWORD_ONLY]
    if not name.endswith("__new__"):
        assert ast.get_docstring(node) == inspect.getdoc(built)


def test_classes_of_the_stub_are_those_of_the_module() -> None:
    for name, node in _defined(STUB.body).items():
        if isinstance(node, ast.ClassDef):
            built = getattr(_core, name)
            assert ast.get_docstring(node) == inspect.getdoc(built), name
            bases = [ast.unparse(base) for base in node.bases] or ["object"]
            assert [base.__name__ for base in built.__bases__] == bases


def test_classes_are_frozen_and_final() -> None:
    with pytest.raises(TypeError):
        type("Other", (_core.Core,), {})
    core = _core.Core(workers=1)
    try:
        with pytest.raises(AttributeError):
            core.workers = 2  # type: ignore[attr-defined]
    finally:
        core.stop()


def test_the_lists_of_errors_agree() -> None:
    rust = set(re.findall(r"create_exception!\(\s*[\w.]+,\s*(\w+)", Tree().text("rust/binding/src/error.rs")))
    built = {
        name
        for name in dir(_core)
        if isinstance(getattr(_core, name), type) and issubclass(getattr(_core, name), BaseException)
    }
    assert rust == built == set(errors.FROM_CORE)


def test_core_py_offers_all_of_the_module() -> None:
    from pylb import core

    assert {name for name in dir(_core) if not name.startswith("_")} <= set(core.__all__)
    for name in errors.FROM_CORE:
        assert getattr(core, name) is getattr(_core, name)
