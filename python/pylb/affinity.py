"""The keys behind sticky cookies, and the ids they make of backends.

A cookie holds no address but a number that only a holder of the key can compute: the first 64 bits of
HMAC-SHA256(key, pool NUL backend), RFC 2104. A client can neither read where its backend is nor ask for
another one, and every pylb with the same keys computes the same number, so several of them agree without
talking. All ids are computed here, when a configuration is put in force; the core compares numbers and never
sees a key.

A ring is one or more keys. The first signs, all are valid: to rotate, put a new key in front, and take the
old one away once the cookies it signed have expired (twice `ttl` is safe). A cookie names its key by one
byte, so two keys of a ring must differ in it.

Whoever gives no `keys:` gets a ring in the state directory, made at the first start. It is a secret: only its
owner may read it, and a file that others can read is refused rather than used.
"""

import contextlib
import hmac
import os
import secrets
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from pylb.errors import PylbError

NAME = "affinity.keys"
"""The ring's file in the state directory."""

MAKE_ONE = "openssl rand -base64 32"
"""A command that prints a key."""

_BITS = 256
_ID = 8
"""Bytes of an id."""
_HEADER = f"""\
# Keys of pylb's sticky cookies; whoever reads them can choose backends. The first signs, all are valid.
# To rotate: write a new line on top (`{MAKE_ONE}`), reload, and remove the old one when twice the
# longest `ttl` has passed. Several pylb with the same file honour each other's cookies.
"""


def ids(pool: str, addresses: Sequence[str], keys: Sequence[bytes]) -> list[dict[str, Any]]:
    """What the draft says about a pool's cookies: for each key its number and, in the order of `addresses`
    (backends as `status` names them), their ids as 16 hexadecimal digits."""
    return [
        {"number": number(key), "ids": [_id(key, pool, address).hex() for address in addresses]}
        for key in keys
    ]


def number(key: bytes) -> int:
    """How a cookie names its key: 0 to 255."""
    return sha256(key).digest()[0]


def key(text: str) -> bytes:
    """A key as written. Raises ValueError, whose text does not repeat it, if it could be guessed."""
    text = text.strip()
    if len(text.rstrip("=")) * _bits_of_a_sign(text) < _BITS:
        raise ValueError(f"a key of {len(text)} characters can be guessed; make one with `{MAKE_ONE}`")
    if len({text[at : at + 3] for at in range(len(text) - 2)}) < len(text) / 2:
        raise ValueError(f"a key that repeats itself can be guessed; make one with `{MAKE_ONE}`")
    return text.encode()


def ring(texts: Sequence[str]) -> tuple[bytes, ...]:
    """Keys that may be used together; raises ValueError."""
    keys = tuple(map(key, texts))
    if not keys:
        raise ValueError(f"there is no key; make one with `{MAKE_ONE}`")
    for at, each in enumerate(keys):
        first = next(place for place, other in enumerate(keys) if number(other) == number(each))
        if keys[first] == each and first != at:
            raise ValueError(f"keys {first + 1} and {at + 1} are the same; remove one")
        if first != at:
            raise ValueError(
                f"cookies could not tell keys {first + 1} and {at + 1} apart, which happens to one pair in "
                f"256; make the newer one anew with `{MAKE_ONE}`"
            )
    return keys


def state_directory(environ: Mapping[str, str]) -> Path:
    """Where state is kept if the configuration does not say: `pylb` in the user's XDG state directory."""
    if state := environ.get("XDG_STATE_HOME"):
        return Path(state, "pylb")
    return Path(os.path.expanduser("~"), ".local", "state", "pylb")


@dataclass(frozen=True, slots=True)
class Kept:
    """A ring. `warning` is why it will not survive this process, in one line, or None if it will."""

    keys: tuple[bytes, ...]
    warning: str | None = None


class KeyRing:
    """The ring of pools that name no keys. Asked at every change of configuration, so an edited file counts
    at the next reload."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ
        self._passing: tuple[bytes, ...] | None = None

    def found(self, state_dir: str | None) -> tuple[bytes, ...] | None:
        """The ring if there is one that may be read; makes none."""
        folder = Path(state_dir) if state_dir else state_directory(self._environ)
        try:
            return _read(folder / NAME)
        except (OSError, PylbError):
            return None

    def kept(self, state_dir: str | None) -> Kept:
        """Reads the ring, or makes it. Where `state_dir` is given but cannot hold it, raises PylbError. Where
        nothing was said and the default cannot be written to (a container), one for this process will do."""
        folder = Path(state_dir) if state_dir else state_directory(self._environ)
        try:
            return Kept(_read(folder / NAME) or _made(folder))
        except OSError as error:
            reason = f"cannot keep the keys of sticky cookies in {folder}: {error.strerror or error}"
        if state_dir is not None:
            raise PylbError(f"{reason}; make it writable, or give `keys:` to the pools")
        if self._passing is None:
            self._passing = (_fresh().encode(),)
        return Kept(
            self._passing, f"{reason}; clients lose their backend at a restart: set `state_dir` or `keys:`"
        )


def _read(file: Path) -> tuple[bytes, ...] | None:
    """The keys of a file; None if there is no such file. Raises PylbError if it is unsafe or makes no
    ring."""
    try:
        with file.open(encoding="utf-8", errors="replace") as opened:
            _refuse_readable(file, os.fstat(opened.fileno()))
            lines = [line.strip() for line in opened]
    except FileNotFoundError:
        return None
    try:
        return ring([line for line in lines if line and not line.startswith("#")])
    except ValueError as error:
        raise PylbError(f"{file}: {error}") from None


def _refuse_readable(file: Path, found: os.stat_result) -> None:
    if found.st_uid not in (os.geteuid(), 0):
        raise PylbError(f"{file} belongs to another user; remove it, or give `keys:` to the pools")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise PylbError(
            f"{file} can be read by others (mode {stat.S_IMODE(found.st_mode):04o}); "
            f"chmod 600 it, and replace its keys if somebody may have"
        )


def _made(folder: Path) -> tuple[bytes, ...]:
    """A new ring, on disk before it is used. Of two that start at once, both use that of the first."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = folder / f"{NAME}.{os.getpid()}"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as opened:
            opened.write(f"{_HEADER}{_fresh()}\n")
            opened.flush()
            os.fsync(descriptor)
        with contextlib.suppress(FileExistsError):
            os.link(new, folder / NAME)
    finally:
        new.unlink()
    found = _read(folder / NAME)
    assert found is not None, "it was linked a moment ago"
    return found


def _fresh() -> str:
    return secrets.token_urlsafe(32)


def _id(key: bytes, pool: str, address: str) -> bytes:
    return hmac.digest(key, f"{pool}\0{address}".encode(), "sha256")[:_ID]


def _bits_of_a_sign(text: str) -> float:
    """What one sign of a key can hold at most: hexadecimal, base64, or any text."""
    if all(sign in "0123456789abcdefABCDEF" for sign in text):
        return 4.0
    return 6.0 if all(sign.isalnum() or sign in "-_+/=" for sign in text) else 6.5
