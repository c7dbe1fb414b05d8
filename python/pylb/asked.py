"""A request that nobody sends: what `pylb explain` asks the core about, from a URL and header lines.

Which listener would get it is read off the URL: the one that listens on its port. Where that does not name
exactly one, the user has to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from pylb.config.model import Settings
from pylb.config.text import ip
from pylb.errors import PylbError

PORTS = {"http": 80, "https": 443}
"""By scheme."""

NOBODYS = "localhost"
"""The host that is asked for where none is named; without one, HTTP/1.1 has no request."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the core is asked about."""

    listener: str
    method: str
    target: str
    headers: tuple[tuple[bytes, bytes], ...]
    client: str
    """The address of the peer."""


def asked(
    settings: Settings,
    method: str,
    url: str,
    *,
    headers: Sequence[str] = (),
    client: str = "127.0.0.1",
    listener: str | None = None,
) -> Asked:
    """`http://shop.example/x?y` or `/x?y`, and header lines as curl takes them. Raises PylbError for what
    could not be sent."""
    scheme, authority, target = _parts(url)
    lines = [_line(line) for line in headers]
    if not any(name.lower() == b"host" for name, _ in lines):
        lines = [(b"host", (authority or NOBODYS).encode()), *lines]
    if ip(client) is None or "%" in client:
        raise PylbError(f'"{client}" is not an IP address')
    named = listener or _listening(settings, scheme, authority)
    if named not in settings.listeners:
        raise PylbError(f'there is no listener "{named}"; there is {", ".join(settings.listeners)}')
    return Asked(named, method, target, tuple(lines), client)


def _parts(url: str) -> tuple[str, str, str]:
    """Scheme, authority and target."""
    if url.startswith("/") or url == "*":
        return "http", "", url
    try:
        found = urlsplit(url if "://" in url else f"http://{url}")
        if found.scheme not in PORTS or not found.hostname or (found.port == 0):
            raise ValueError
    except ValueError:
        raise PylbError(f'"{url}" is not a URL; write http://shop.example/x, or only /x') from None
    rest = url.split("://", 1)[-1].partition("#")[0]
    at = min((at for sign in "/?" if (at := rest.find(sign)) >= 0), default=len(rest))
    target = rest[at:]
    return found.scheme, rest[:at].rpartition("@")[2], target if target.startswith("/") else f"/{target}"


def _line(line: str) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(":")
    if not colon or not name.strip():
        raise PylbError(f'"{line}" is not a header; write "NAME: VALUE"')
    return name.strip().encode(), value.strip().encode()


def _listening(settings: Settings, scheme: str, authority: str) -> str:
    """The listener that a URL leads to."""
    known = {name: listener.bind for name, listener in settings.listeners.items()}
    if len(known) == 1:
        return next(iter(known))
    host, port = _host_port(authority, PORTS[scheme])
    there = _on_port(known, port)
    exactly = [name for name in there if any(bind == f"{host}:{port}" for bind in known[name])]
    for found in (exactly, there):
        if len(found) == 1:
            return found[0]
    several = f"{' and '.join(there)} listen on port {port}" if there else f"no listener has port {port}"
    raise PylbError(f"{several}; say which one is meant with --listener {'|'.join(there or known)}")


def _on_port(known: Mapping[str, Sequence[str]], port: int) -> list[str]:
    return [name for name, binds in known.items() if any(_has_port(bind, port) for bind in binds)]


def _has_port(bind: str, port: int) -> bool:
    return bind.endswith(f":{port}") and not bind.startswith(("unix:", "fd:"))


def _host_port(authority: str, default: int) -> tuple[str, int]:
    host, colon, port = authority.rpartition(":")
    return (host, int(port)) if colon and port.isdigit() else (authority, default)
