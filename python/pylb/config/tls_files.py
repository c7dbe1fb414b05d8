"""The files that TLS is configured with: which settings name them, and what is in them.

A draft names a file by its absolute path, and what is in it crosses to the core beside the draft, so that a
draft may be printed. One name stands for no file: `SYSTEM`, the authorities that the system trusts. Files of
certificates that pylb makes are in the state directory; whoever puts a configuration in force makes them.

Only that a file can be read, and is of the right kind, is looked at here; whether a certificate is good is
for the core to say. Certificates change while the configuration does not, so `named` is asked apart from
`read`: whoever watches them reads one again without loading anything.
"""

import os
import ssl
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Literal

from pylb.affinity import state_directory
from pylb.config.address import host_port
from pylb.config.http import HttpListener
from pylb.config.listeners import NamesListener, TcpListener
from pylb.config.model import Settings
from pylb.config.text import ip
from pylb.config.tls import INTERNAL, BackendTls, ClientAuth, ListenerTls
from pylb.config.tree import Tree
from pylb.errors import Mistake, Path

SYSTEM = "system"
"""Stands for the authorities that the system trusts."""

LARGEST = 4 * 1024 * 1024
"""Bytes of one file; the bundle of a whole system has a quarter of a megabyte."""

ALWAYS = ("localhost", "127.0.0.1", "::1")
"""Names of every certificate that pylb makes."""

_DER = b"\x30"
"""How certificates and keys begin that are not PEM (X.690)."""
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")

Kind = Literal["certificate", "key", "authority"]


@dataclass(frozen=True, slots=True)
class Named:
    """A file, and the place in the settings that names it."""

    path: Path
    file: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a file is of no use, and what to do."""

    path: Path
    file: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Contents:
    """What was read, by the names that the draft has, and what could not be."""

    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    unusable: tuple[Unusable, ...] = ()

    def mistakes(self, tree: Tree) -> list[Mistake]:
        """One for each place where a file of no use is named."""
        return [Mistake(tree.locate(one.path), one.path, one.message, one.hint) for one in self.unusable]


def named(settings: Settings) -> list[Named]:
    """Every file that TLS needs, at every place that names it, in the order of the file. `SYSTEM` is among
    them where it is needed; certificates that pylb makes are not."""
    found: list[Named] = []
    for name, listener in settings.listeners.items():
        if isinstance(listener, HttpListener | TcpListener) and listener.tls is not None:
            found += _of_listener(("listeners", name, "tls"), listener.tls)
    for name, pool in settings.pools.items():
        if pool.tls is not None:
            found += _of_pool(("pools", name, "tls"), pool.tls)
    return found


def internal(settings: Settings) -> dict[str, tuple[str, ...]]:
    """The listeners whose certificates pylb makes, each with the names that its certificate has to be for."""
    return {
        name: _names(name, listener, settings)
        for name, listener in settings.listeners.items()
        if isinstance(listener, HttpListener | TcpListener)
        and listener.tls is not None
        and listener.tls.certificates == INTERNAL
    }


def internal_files(settings: Settings, listener: str) -> tuple[str, str]:
    """Where certificate and key are kept that pylb makes for a listener."""
    folder = internal_folder(settings) / "listeners"
    return str(folder / f"{listener}.pem"), str(folder / f"{listener}.key")


def internal_folder(settings: Settings) -> FilePath:
    """Where everything is kept that pylb makes: also `authority.pem`, for clients that want to verify, and
    its key."""
    state = FilePath(settings.state_dir) if settings.state_dir else state_directory(os.environ)
    return state.absolute() / "internal"


def read(places: Iterable[Named]) -> Contents:
    """What is in the files, each read once. Blocks."""
    seen: dict[tuple[str, Kind], bytes | tuple[str, str]] = {}
    files: dict[str, bytes] = {}
    unusable: list[Unusable] = []
    for place in places:
        key = (place.file, place.kind)
        if key not in seen:
            seen[key] = _system() if place.file == SYSTEM else _file(place)
        found = seen[key]
        if isinstance(found, bytes):
            files[place.file] = found
        else:
            unusable.append(Unusable(place.path, place.file, *found))
    return Contents(files, tuple(unusable))


def _of_listener(path: Path, tls: ListenerTls) -> Iterator[Named]:
    for at, one in enumerate(() if isinstance(tls.certificates, str) else tls.certificates):
        yield Named((*path, "certificates", at, "cert"), one.cert, "certificate")
        yield Named((*path, "certificates", at, "key"), one.key, "key")
        yield from _of_clients((*path, "certificates", at, "client_auth", "ca"), one.client_auth)
    yield from _of_clients((*path, "client_auth", "ca"), tls.client_auth)


def _of_clients(path: Path, auth: ClientAuth | None) -> Iterator[Named]:
    if auth is not None and auth.ca is not None and auth.mode != "none":
        yield Named(path, auth.ca, "authority")


def _of_pool(path: Path, tls: BackendTls) -> Iterator[Named]:
    if tls.ca is not None:
        yield Named((*path, "ca"), tls.ca, "authority")
    elif tls.verify:
        yield Named(path, SYSTEM, "authority")
    if tls.cert is not None and tls.key is not None:
        yield Named((*path, "cert"), tls.cert, "certificate")
        yield Named((*path, "key"), tls.key, "key")


def _names(name: str, listener: HttpListener | TcpListener, settings: Settings) -> tuple[str, ...]:
    """What clients ask for on this machine, by the hosts of the routes, and by the names that are handed to
    this listener."""
    hosts = [route.match.host for route in getattr(listener, "routes", ()) if route.match.host]
    edges = [each for each in settings.listeners.values() if isinstance(each, NamesListener)]
    handed = [route.match.sni for edge in edges for route in edge.routes if route.terminate == name]
    bound = [host_port(bind)[0] for bind in listener.bind if not bind.startswith(("unix:", "fd:"))]
    addresses = [each for each in bound if (known := ip(each)) is not None and not known.is_unspecified]
    asked = (*(host.strip("[]") for host in hosts), *filter(None, handed), *addresses)
    return tuple(dict.fromkeys((*ALWAYS, *asked)))


def _file(place: Named) -> bytes | tuple[str, str]:
    """What is in a file, or why it is of no use and what to do."""
    try:
        with open(place.file, "rb", opener=_without_waiting) as opened:
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                return f"{place.file} is no regular file", "name the file of a certificate or key"
            raw = opened.read(LARGEST + 1)
    except OSError as error:
        return f"cannot read {place.file}: {error.strerror}", _reachable(error)
    if len(raw) > LARGEST:
        return f"{place.file} has more than {LARGEST // 1024**2} MiB", "name the file of a certificate or key"
    return _of_kind(place, raw) or raw


def _without_waiting(file: str, flags: int) -> int:
    """Opens a pipe at once too, instead of waiting for somebody who writes to it."""
    return os.open(file, flags | os.O_NONBLOCK)


def _reachable(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "let the user that pylb runs as read it"
    return "correct the name, which is relative to the main file"


def _of_kind(place: Named, raw: bytes) -> tuple[str, str] | None:
    """What is wrong with a file that is not what it is named for."""
    file = place.file
    has_key, has_certificate = b" PRIVATE KEY-----" in raw, b"-----BEGIN CERTIFICATE-----" in raw
    if not raw.strip():
        return f"{file} is empty", "write the file, then check again"
    if b"-----BEGIN" not in raw:
        form, what = ("pkey", "PRIVATE KEY") if place.kind == "key" else ("x509", "CERTIFICATE")
        hint = f"name a file that has a line -----BEGIN {what}-----"
        is_der = raw.startswith(_DER)
        return f"{file} is not PEM", f"convert it: openssl {form} -inform der -in {file}" if is_der else hint
    if place.kind == "key" and (b"BEGIN ENCRYPTED" in raw or b"Proc-Type: 4,ENCRYPTED" in raw):
        return f"the key in {file} has a password", f"write it without one: openssl pkey -in {file}"
    if place.kind == "key" and has_certificate and not has_key:
        return f"{file} holds a certificate, not a private key", "name the file of the key; was it swapped?"
    if place.kind != "key" and has_key and not has_certificate:
        return f"{file} holds a private key, not a certificate", "name the file of the certificate"
    return None


def _system() -> bytes | tuple[str, str]:
    """What OpenSSL would trust on this system, and the environment may say: SSL_CERT_FILE, SSL_CERT_DIR."""
    paths = ssl.get_default_verify_paths()
    for file in filter(None, (os.environ.get("SSL_CERT_FILE"), paths.cafile, *_BUNDLES)):
        try:
            return FilePath(file).read_bytes()
        except OSError:
            continue
    found = [each.read_bytes() for each in _folder(paths.capath)]
    if found:
        return b"\n".join(found)
    return "this system trusts no authorities", "install ca-certificates, or write ca: FILE"


def _folder(path: str | None) -> list[FilePath]:
    return sorted(each for each in FilePath(path).glob("*") if each.is_file()) if path else []
