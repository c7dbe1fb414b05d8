"""What users are told about a value: what it is called, how it is shown, what was meant, what is wrong."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches

from pydantic_core import PydanticCustomError

from pylb.errors import Path


@dataclass(frozen=True, slots=True)
class Kind:
    """What a value is called in documentation and error texts, with an example of how to write it."""

    name: str
    example: str


def wrong(message: str, hint: str = "", *, at: Path = (), is_key: bool = False) -> PydanticCustomError:
    """The error of a single value; explain.py adds where it is and what it is called. `at` leads to a part of
    the value, or to a key of it."""
    context = {"message": message, "hint": hint, "at": at, "is_key": is_key}
    return PydanticCustomError("pylb", "{message}", context)


@contextmanager
def below(*path: str | int) -> Iterator[None]:
    """What is wrong inside is wrong with the part of the value that `path` leads to."""
    try:
        yield
    except PydanticCustomError as error:
        found = error.context or {}
        at = (*path, *found["at"])
        raise wrong(found["message"], found["hint"], at=at, is_key=found["is_key"]) from None


def shown(value: object) -> str:
    """A value as a user would recognise it in an error text."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case dict():
            return "keys and values"
        case list() | tuple():
            return "a list"
        case str():
            return f'"{value}"' if len(value) <= 60 else f'"{value[:57]}..."'
        case _:
            return str(value)


def suggest(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, else an empty text."""
    near = get_close_matches(word.lower().replace("-", "_"), list(known), n=1, cutoff=0.6)
    return near[0] if near else ""
