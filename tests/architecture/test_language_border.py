"""What keeps the language border from Rust's side; tests/python compares the stub with the built module."""

import ast
import inspect
import re

import pytest
from pylb import _core, core, errors

from architecture.tree import Tree

PUBLIC = {name for name in dir(_core) if not name.startswith("_")}


def test_the_lists_of_errors_agree() -> None:
    source = Tree().text("rust/binding/src/error.rs")
    rust = set(re.findall(r"create_exception!\(\s*[\w.]+,\s*(\w+)", source))
    values = {name: getattr(_core, name) for name in PUBLIC}
    built = {
        name for name, value in values.items() if isinstance(value, type) and issubclass(value, BaseException)
    }
    assert rust == built == set(errors.FROM_CORE)


def test_core_py_offers_all_of_the_module() -> None:
    assert set(core.__all__) >= PUBLIC


def test_classes_are_explained_in_the_same_words() -> None:
    stub = ast.parse(Tree().text("python/pylb/_core.pyi"))
    for node in stub.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            built = inspect.getdoc(getattr(_core, node.name)) or ""
            assert (ast.get_docstring(node) or "").split() == built.split(), node.name


def test_classes_are_frozen_and_final() -> None:
    with pytest.raises(TypeError):
        type("Other", (_core.Core,), {})
    engine = _core.Core(workers=1)
    try:
        with pytest.raises(AttributeError):
            engine.workers = 2  # type: ignore[attr-defined]
    finally:
        engine.stop()
