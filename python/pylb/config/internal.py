"""Certificates that pylb makes itself, for development: `certificates: internal`.

One authority for a state directory, and of it one certificate for each listener. What was made is kept, so
that whoever has once told a browser to trust the authority need not do it again; a certificate is made
anew when a name is missing or its time is nearly over. The core makes and judges them (`Core.mint`); here
they are only kept. Keys are secrets: everything is for its owner alone (0600), and a key that others could
read or that somebody else wrote is refused.

Two pylb with the same directory take turns, by a lock on it.
"""

import fcntl
import os
import socket
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pylb.config import tls_files
from pylb.config.model import Settings
from pylb.core import Core
from pylb.errors import PylbError

Pair = tuple[str, str]
"""A certificate and its key, in PEM."""


@dataclass(frozen=True, slots=True)
class Made:
    """What the core gets of it, by the names that the draft has. `warning` is why it will not survive this
    process, in one line, or None if it will."""

    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    warning: str | None = None


class Internal:
    """Makes what is asked for and not there. Asked at every change of configuration, and from time to
    time."""

    def __init__(self) -> None:
        self._passing: dict[str, str] = {}

    def made(self, settings: Settings) -> Made:
        """Certificates and keys of every listener that wants them. Where `state_dir` is given but cannot hold
        them, raises PylbError; where nothing was said and the default cannot be written to (a container),
        those of this process will do."""
        if not tls_files.internal(settings):
            return Made()
        folder = tls_files.internal_folder(settings)
        try:
            with _locked(folder):
                return Made(_files(settings, _Folder(folder)))
        except OSError as error:
            reason = f"cannot keep internal certificates in {folder}: {error.strerror or error}"
        except ValueError as error:
            raise PylbError(
                f"{folder}: {error}; remove the folder, and pylb makes another authority"
            ) from None
        if settings.state_dir is not None:
            raise PylbError(f"{reason}; make it writable")
        files = _files(settings, _Memory(self._passing))
        return Made(files, f"{reason}; they are others after a restart: set `state_dir`")

    def passing(self, settings: Settings) -> Made:
        """The same, for a draft that is thrown away: nothing is kept."""
        return Made(_files(settings, _Memory({}))) if tls_files.internal(settings) else Made()


class _Memory:
    """Keeps texts by their file's name for as long as it lives."""

    def __init__(self, texts: dict[str, str]) -> None:
        self._texts = texts

    def read(self, file: str) -> str | None:
        return self._texts.get(file)

    def write(self, file: str, text: str) -> None:
        self._texts[file] = text


class _Folder:
    """Keeps them on disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, file: str) -> str | None:
        try:
            with open(file, encoding="ascii", errors="replace") as opened:
                _refuse_unsafe(file, os.fstat(opened.fileno()))
                return opened.read()
        except FileNotFoundError:
            return None

    def write(self, file: str, text: str) -> None:
        """A whole file or none."""
        os.makedirs(os.path.dirname(file), mode=0o700, exist_ok=True)
        new = f"{file}.new"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(descriptor)
        os.replace(new, file)


def _files(settings: Settings, kept: _Memory | _Folder) -> dict[str, bytes]:
    folder = tls_files.internal_folder(settings)
    authority = str(folder / "authority.pem"), str(folder / "authority.key")
    files: dict[str, bytes] = {}
    for listener, names in tls_files.internal(settings).items():
        cert, key = tls_files.internal_files(settings, listener)
        wanted = list(dict.fromkeys((*names, *_machine())))
        made = Core.mint(wanted, _pair(kept, authority), _pair(kept, (cert, key)))
        texts = zip(
            (*authority, cert, key),
            (made[part] for part in ("authority", "authority_key", "certificate", "key")),
            strict=True,
        )
        for file, text in texts:
            if kept.read(file) != text:
                kept.write(file, text)
        files |= {cert: made["certificate"].encode(), key: made["key"].encode()}
    return files


def _pair(kept: _Memory | _Folder, files: tuple[str, str]) -> Pair | None:
    cert, key = map(kept.read, files)
    return (cert, key) if cert is not None and key is not None else None


def _machine() -> list[str]:
    """What this machine is called, if a certificate can be for that."""
    name = socket.gethostname().lower()
    labels = name.split(".")
    sound = all(label and len(label) <= 63 and label.replace("-", "").isalnum() for label in labels)
    return [name] if sound and name.isascii() else []


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _refuse_unsafe(file: str, found: os.stat_result) -> None:
    if found.st_uid not in (os.geteuid(), 0):
        raise PylbError(f"{file} belongs to another user; remove it")
    if file.endswith(".key") and stat.S_IMODE(found.st_mode) & 0o077:
        raise PylbError(
            f"{file} can be read by others (mode {stat.S_IMODE(found.st_mode):04o}); remove its folder, and "
            f"pylb makes another authority"
        )
