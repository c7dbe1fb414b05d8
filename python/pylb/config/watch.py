"""Notices that files have changed.

Polling, not inotify: two `stat` calls a second per file cost nothing, and it works on every file system,
through symbolic links that are swapped (Kubernetes) and for editors that write a new file and rename it. A
change is told only after one round in which nothing moved, so that a file is not read while it is half
written.
"""

import os
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

import trio

Seen = dict[str, tuple[int, int, int] | None]


async def changes(
    watched: Callable[[], Iterable[Path]], loaded: Callable[[], Seen], *, every: float = 0.5
) -> AsyncIterator[None]:
    """Yields when the files that `watched` names are not, for a whole round, what was `loaded` last; looks
    every `every` seconds. Whoever loads them, then or for another reason, has to say so in `loaded`.

    A file that does not exist is watched too. That `watched` names other files than before is a change.
    """
    before = None
    while True:
        await trio.sleep(every)
        now = fingerprint(watched())
        if now == before and now != loaded():
            yield
        before = now


def fingerprint(files: Iterable[Path]) -> Seen:
    """What tells two versions of a file apart without reading them: time of change, size, inode."""
    return {str(file): _stamp(file) for file in files}


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
