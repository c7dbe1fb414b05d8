"""What is legal and of no use, or dangerous, where connections, datagrams and TLS are served."""

from collections.abc import Iterator

from pylb.config.http import HttpListener
from pylb.config.listeners import Listener, TcpListener
from pylb.config.model import Settings
from pylb.config.pools import Pool
from pylb.config.tls import BackendTls, ListenerTls
from pylb.config.tree import Tree
from pylb.errors import Mistake, Path

_HTTP: tuple[Path, ...] = (
    ("idle_connections",),
    ("timeouts", "keepalive"),
    ("retries", "on"),
    ("retries", "replay"),
    ("retries", "per_try"),
)
"""Keys of a pool that are about requests."""
_STREAMS: tuple[Path, ...] = (
    ("queue",),
    ("retries",),
    ("timeouts", "connect"),
    ("timeouts", "tls_handshake"),
)
"""Keys of a pool that are about connections."""
_NO_HEADERS = ("`headers` has no effect: only HTTP has headers", "remove it")


def warnings(settings: Settings, tree: Tree) -> Iterator[Mistake]:
    """Of listeners, and of pools by what is spoken with them."""
    for name, listener in settings.listeners.items():
        yield from _listener(("listeners", name), listener, tree)
    for name, pool in settings.pools.items():
        users = [each for each in settings.listeners.values() if name in each.pools]
        yield from _pool(("pools", name), pool, users, tree)


def _listener(path: Path, listener: Listener, tree: Tree) -> Iterator[Mistake]:
    match listener:
        case HttpListener():
            yield from _without_tls(path, listener, tree)
            yield from _redirected(path, listener, tree)
        case TcpListener():
            yield from _without_tls(path, listener, tree)
            yield from _headers((*path, "tls"), listener.tls, tree)


def _without_tls(path: Path, listener: HttpListener | TcpListener, tree: Tree) -> Iterator[Mistake]:
    if listener.tls is None and "tls_handshake" in listener.timeouts.model_fields_set:
        yield _told(tree, (*path, "timeouts", "tls_handshake"), *_no_tls("listener"))


def _redirected(path: Path, listener: HttpListener, tree: Tree) -> Iterator[Mistake]:
    if listener.redirect_https and listener.routes and not listener.trusted_proxies:
        text = "`routes` has no effect: `redirect_https` sends every request to https"
        yield _told(tree, (*path, "routes"), text, "remove it, or write trusted_proxies")


def _headers(path: Path, tls: ListenerTls | None, tree: Tree) -> Iterator[Mistake]:
    """Connections have no headers that could tell of a client's certificate."""
    if tls is None:
        return
    auths = [((*path, "client_auth"), tls.client_auth)]
    for at, one in enumerate(() if isinstance(tls.certificates, str) else tls.certificates):
        auths.append(((*path, "certificates", at, "client_auth"), one.client_auth))
    for where, auth in auths:
        if auth is not None and "headers" in auth.model_fields_set:
            yield _told(tree, (*where, "headers"), *_NO_HEADERS)


def _pool(path: Path, pool: Pool, users: list[Listener], tree: Tree) -> Iterator[Mistake]:
    spoken = {user.protocol for user in users}
    if spoken and "http" not in spoken:
        for key in _written(pool, _HTTP):
            text = f"`{key[-1]}` has no effect: only requests have it, and no http listener uses this pool"
            yield _told(tree, (*path, *key), text, "remove it")
    if spoken == {"udp"}:
        for key in _written(pool, _STREAMS):
            text = f"`{key[-1]}` has no effect: only connections have it, and this pool has datagrams"
            yield _told(tree, (*path, *key), text, "remove it")
    if spoken == {"udp"} and "idle" in pool.timeouts.model_fields_set:
        text = "`idle` has no effect: flows end as their listener says"
        yield _told(tree, (*path, "timeouts", "idle"), text, "write udp: {idle: 60s} in the listener")
    if pool.tls is None and spoken != {"udp"} and "tls_handshake" in pool.timeouts.model_fields_set:
        yield _told(tree, (*path, "timeouts", "tls_handshake"), *_no_tls("pool"))
    if pool.tls is not None and not pool.tls.verify:
        yield from _unverified((*path, "tls"), pool.tls, tree)


def _unverified(path: Path, tls: BackendTls, tree: Tree) -> Iterator[Mistake]:
    text = "`verify: false`: whoever sits in between can read and change everything"
    yield _told(tree, (*path, "verify"), text, "write ca: FILE, the authority of the backends, and remove it")
    if tls.ca is not None:
        yield _told(tree, (*path, "ca"), "`ca` has no effect with `verify: false`", "remove one of the two")


def _written(pool: Pool, keys: tuple[Path, ...]) -> Iterator[Path]:
    """Those of `keys` that the user wrote."""
    for first, *rest in keys:
        if str(first) in pool.model_fields_set:
            inner = getattr(pool, str(first))
            if not rest or rest[0] in inner.model_fields_set:
                yield (first, *rest)


def _no_tls(where: str) -> tuple[str, str]:
    return f"`tls_handshake` has no effect: the {where} has no `tls`", "remove it"


def _told(tree: Tree, path: Path, text: str, hint: str) -> Mistake:
    return Mistake(tree.locate_key(path), path, text, hint)
