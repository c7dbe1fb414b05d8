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


async def changes(watched: Callable[[], Iterable[Path]], *, every: float = 0.5) -> AsyncIterator[None]:
    """Yields once after each change among the files that `watched` names; looks every `every` seconds.

    A file that does not exist is watched too. `watched` is asked anew in each round; that it names other
    files than before counts as a change.
    """
    known = fingerprint(watched())
    before = known
    while True:
        await trio.sleep(every)
        now = fingerprint(watched())
        if now == before and now != known:
            yield
            known = fingerprint(watched())
            now = known
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
