"""TLS that cannot work as it is written."""

from collections.abc import Iterator
from typing import Any

from pylb.config.cross.walk import entries, listeners, mapping
from pylb.config.tls import ClientAuth
from pylb.config.tree import Tree, dotted
from pylb.config.wording import suggest
from pylb.errors import Mistake, Path


def mistakes(data: dict[str, Any], tree: Tree) -> Iterator[Mistake]:
    """Clients whose certificates nobody signs, and half of a certificate for backends."""
    for path, listener in listeners(data, "http", "tcp"):
        at, ours = (*path, "tls"), mapping(listener.get("tls"))
        yield from _unsigned((*at, "client_auth"), ours.get("client_auth"), tree)
        for number, one in enumerate(entries(ours.get("certificates"))):
            where = (*at, "certificates", number, "client_auth")
            yield from _unsigned(where, mapping(one).get("client_auth"), tree)
    for name, pool in mapping(data.get("pools")).items():
        yield from _half(("pools", name, "tls"), mapping(mapping(pool).get("tls")), tree)


def _unsigned(path: Path, auth: object, tree: Tree) -> Iterator[Mistake]:
    if isinstance(auth, dict) and "ca" not in auth and auth.get("mode") != "none":
        near = any(suggest(str(key), ClientAuth.model_fields) == "ca" for key in auth)
        if not near:
            text = f"`ca` is missing in {dotted(path)}"
            yield Mistake(tree.locate_key(path), (*path, "ca"), text, "write ca: certs/clients.pem")


def _half(path: Path, tls: dict[str, Any], tree: Tree) -> Iterator[Mistake]:
    for key, other, what in (("cert", "key", "its private key"), ("key", "cert", "its certificate")):
        if key in tls and other not in tls:
            at = (*path, key)
            hint = f"write {other}: FILE, or remove it"
            yield Mistake(tree.locate_key(at), at, f"`{key}` has no `{other}` beside it, {what}", hint)
