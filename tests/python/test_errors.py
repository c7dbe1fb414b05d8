"""Errors change language once: the core's exceptions are known by the same names on both sides."""

import pylb._core as binding
from pylb import core, errors
from pylb.errors import ConfigInvalid, Mistake, Place


def test_the_cores_exceptions_are_those_that_errors_lists() -> None:
    made = {
        name
        for name, value in vars(binding).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert made == set(errors.FROM_CORE)
    assert all(getattr(core, name) is getattr(binding, name) for name in made)


def test_a_mistake_reads_as_place_message_and_hint() -> None:
    mistake = Mistake(Place("a.yaml", 3, 7), ("x",), "it is wrong", "write y")
    assert str(mistake) == "a.yaml:3:7: it is wrong; write y"
    assert str(Mistake(Place("--to"), (), "it is wrong")) == "--to: it is wrong"
    assert str(ConfigInvalid([mistake, mistake])).count("\n") == 1
