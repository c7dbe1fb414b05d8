"""What `pylb serve` says about itself: facts as lines, where and from which level on the configuration
wants them.

The lines go through `logging`, so that what trio or a library reports ends in the same place. The access
log is the core's; it is not written here. A storm of equal lines is one line per second with a count:
saying a thing a thousand times hides everything else.
"""

import logging
import sys
import time
from collections.abc import Callable
from typing import TextIO

import trio

from pylb.config.model import Log
from pylb.core import Fact
from pylb.facts import lines

logger = logging.getLogger("pylb")

QUIET = 1.0
"""Seconds for which a line is not repeated."""


def configure(log: Log) -> None:
    """Sends messages where `log` says, opening a file anew; raises OSError, and then changes nothing."""
    handler = _handler(log.to)
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=log.level.upper(), force=True)
    # Without descriptors trio reports each attempt with a traceback; the fact accept_paused says it once.
    logging.getLogger("trio.serve_listeners").setLevel(logging.CRITICAL)


def reconfigure(log: Log) -> None:
    """The same for a process that runs: what cannot be opened leaves messages where they went, with one
    more that says so."""
    try:
        configure(log)
    except OSError as error:
        logger.error("cannot write messages to %s: %s", log.to, error.strerror)


def _handler(to: str) -> logging.Handler:
    streams: dict[str, TextIO] = {"stderr": sys.stderr, "stdout": sys.stdout}
    return logging.StreamHandler(streams[to]) if to in streams else logging.FileHandler(to, encoding="utf-8")


class Messages:
    """Writes facts, each as soon as it comes. `heard` is called with every fact first."""

    def __init__(self, heard: Callable[[Fact], None]) -> None:
        self._heard = heard
        self._last: dict[str, float] = {}
        self._held: dict[str, int] = {}

    async def write(self, facts: "trio.MemoryReceiveChannel[Fact]") -> None:
        """All facts to the end, also those that wait when this is cancelled."""
        try:
            async for fact in facts:
                self._write(fact)
        finally:
            while True:
                try:
                    self._write(facts.receive_nowait())
                except (trio.WouldBlock, trio.EndOfChannel):
                    break

    def _write(self, fact: Fact) -> None:
        self._heard(fact)
        for level, text in lines(fact):
            now = trio.current_time()
            if now - self._last.get(text, -QUIET) < QUIET:
                self._held[text] = self._held.get(text, 0) + 1
                continue
            self._last = {said: at for said, at in self._last.items() if now - at < QUIET} | {text: now}
            held = self._held.pop(text, 0)
            logger.log(level, "%s%s", text, f" ({held} more before)" if held else "")
