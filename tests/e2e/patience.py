"""Waiting for something to become true, and saying what it was when it does not."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

DEADLINE = 10.0
"""Seconds that anything may take on a busy machine with two cores."""

_never = threading.Event()


def until(what: str, look: Callable[[], T | None], *, seconds: float = DEADLINE) -> T:
    """The first true value of `look()`; fails with `what` once `seconds` have passed."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s in vain: {what} (last seen: {found!r})")
        pause(0.01)


def holds(what: str, look: Callable[[], object], *, seconds: float) -> None:
    """Fails if `look()` becomes false within `seconds`: for things that must not happen."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert look(), f"no longer true: {what}"
        pause(0.01)


def pause(seconds: float) -> None:
    """Lets time itself pass, where the passing of time is what is tested (or between two looks)."""
    _never.wait(seconds)
