"""Streams of bytes without a protocol: backends that get each connection, and bodies that prove themselves.

A `Peer` is a backend whose script gets the connection itself. `mirror` and `exchange` are the two that most
tests want: one sends back what comes, the other takes a body, answers with its SHA-256 and sends a body of
its own. Bodies and the sizes of writes are drawn from a seed, so both sides know them and a failure can be
had again.
"""

import contextlib
import hashlib
import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .origin import Gone, Line, Origin
from .talk import Talk

KIB = 1024
LARGEST_WRITE = 64 * KIB
_PLAN = struct.Struct(">QII")


class Peer(Origin):
    """A backend whose script gets every connection; it ends with the script, cleanly."""

    def __init__(self, script: Callable[[Line], None], **how: object) -> None:
        self.conversation = script
        super().__init__(**how)  # type: ignore[arg-type]

    def _converse(self, line: Line) -> None:
        self.conversation(line)


def mirror(line: Line) -> None:
    """Sends back what comes, then ends in the same way."""
    with contextlib.suppress(Gone):
        while True:
            line.send(line.some(256 * KIB))
    line.finish()


@dataclass(frozen=True)
class Plan:
    """Two bodies, one each way: how long they are and what they are drawn from."""

    seed: int
    there: int
    back: int

    @classmethod
    def draw(cls, seed: int, largest: int) -> "Plan":
        """Lengths up to `largest`, small ones as likely as large ones."""
        dice = random.Random(seed)
        return cls(seed, log_uniform(dice, 1, largest), log_uniform(dice, 1, largest))

    @property
    def head(self) -> bytes:
        """What goes ahead of the first body."""
        return _PLAN.pack(self.seed, self.there, self.back)

    def body(self, *, back: bool = False) -> bytes:
        """One of the bodies."""
        return random.Random(self.seed * 2 + back).randbytes(self.back if back else self.there)

    def writes(self, *, back: bool = False) -> Iterator[bytes]:
        """The same in pieces as they are written: from 1 byte (in bodies under 64 KiB) to 64 KiB."""
        body = self.body(back=back)
        dice = random.Random(self.seed * 2 + back)
        smallest = 1 if len(body) < LARGEST_WRITE else KIB
        at = 0
        while at < len(body):
            size = log_uniform(dice, smallest, LARGEST_WRITE)
            yield body[at : at + size]
            at += size


def log_uniform(dice: random.Random, low: int, high: int) -> int:
    """A number whose logarithm is as likely here as there."""
    return min(high, int(low * (high / low) ** dice.random()))


def exchange(line: Line) -> None:
    """The backend's side of a `Plan`."""
    plan = Plan(*_PLAN.unpack(line.exactly(_PLAN.size)))
    digest = hashlib.sha256()
    left = plan.there
    while left:
        piece = line.some(left)
        digest.update(piece)
        left -= len(piece)
    line.send(digest.digest())
    for piece in plan.writes(back=True):
        line.send(piece)
    line.finish()


def carry(talk: Talk, plan: Plan) -> str:
    """The client's side: what is wrong, "" if nothing is."""
    talk.send(plan.head)
    for piece in plan.writes():
        talk.send(piece)
    if talk.exactly(32) != hashlib.sha256(plan.body()).digest():
        return f"{plan}: the body changed on its way"
    if talk.rest() != plan.body(back=True):
        return f"{plan}: the answer changed on its way"
    return ""
