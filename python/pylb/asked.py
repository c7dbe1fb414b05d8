"""A request that nobody sends: what `pylb explain` asks the core about, from a URL and header lines.

Which listener would get it is read off the URL: the one that listens on its port, with TLS for https. One
that routes by names hands it to the listener that decrypts it. Where the URL does not name exactly one, the
user has to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from pylb.config.http import HttpListener
from pylb.config.listeners import NamesListener
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
    secure: bool = False
    """It comes over TLS."""
    through: str | None = None
    """The listener that hands it to the one that decrypts it."""


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
    found = settings.listeners[named]
    if isinstance(found, NamesListener):
        serving = _handed(named, found, _host_port(authority, 0)[0])
        return Asked(serving, method, target, tuple(lines), client, True, named)
    secure = isinstance(found, HttpListener) and found.tls is not None
    if not isinstance(found, HttpListener):
        raise PylbError(f"{named} speaks {found.protocol}; only listeners of http have requests")
    if secure and url.startswith("http://"):
        raise PylbError(f"{named} speaks TLS; write https://{url.removeprefix('http://')}")
    return Asked(named, method, target, tuple(lines), client, secure)


def _handed(name: str, edge: NamesListener, host: str) -> str:
    """The listener that decrypts what comes for a host. Browsers offer both versions of HTTP."""
    for route in edge.routes:
        offers = route.match.alpn is None or {"h2", "http/1.1"} & set(route.match.alpn)
        if offers and _is_for(route.match.sni, host.lower()):
            if route.terminate is not None:
                return route.terminate
            text = f"{name} passes {host or 'it'} on to the pool {route.pool} as it comes"
            raise PylbError(f"{text}, encrypted: only its backends know of requests")
    raise PylbError(f"{name} has no route for {host or 'clients that ask for no name'}, and closes")


def _is_for(sni: str | None, host: str) -> bool:
    return sni is None or sni == host or (sni.startswith("*.") and host.endswith(sni[1:]))


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
    known = {
        name: listener.bind
        for name, listener in settings.listeners.items()
        if isinstance(listener, HttpListener | NamesListener)
    }
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
