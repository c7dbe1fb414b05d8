"""TLS as the core compiles it: files by their names, null for what is not."""

from typing import Any

from pylb.config.address import host_port
from pylb.config.pools import Backend, DnsBackend
from pylb.config.tls import BackendTls, Certificate, ClientAuth, ListenerTls

Pair = tuple[str, str]
"""The files of a certificate and its key."""


def listener_tls(tls: ListenerTls, made: Pair) -> dict[str, Any]:
    """`made` is where a certificate is that pylb makes."""
    return {
        "certificates": _certificates(tls, made),
        "min_version": tls.min_version,
        "client_auth": _client_auth(tls.client_auth),
    }


def pool_tls(tls: BackendTls) -> dict[str, Any]:
    return {
        "ca": tls.ca,
        "certificate": {"cert": tls.cert, "key": tls.key} if tls.cert is not None else None,
        "verify": tls.verify,
    }


def server_name(backend: Backend | DnsBackend, tls: BackendTls | None) -> str | None:
    """Whom a backend's certificate has to be for: what the pool says, else the host as it is written. None
    for a socket, of which the core says that it is wrong."""
    if tls is None or tls.server_name is not None:
        return tls.server_name if tls else None
    written = backend.dns if isinstance(backend, DnsBackend) else backend.address
    if written.startswith("unix:"):
        return None if tls.verify else "localhost"
    return host_port(written)[0]


def _certificates(tls: ListenerTls, made: Pair) -> list[dict[str, Any]]:
    if isinstance(tls.certificates, str):
        cert, key = made
        return [{"cert": cert, "key": key, "client_auth": None}]
    return [_certificate(one) for one in tls.certificates]


def _certificate(one: Certificate) -> dict[str, Any]:
    return {"cert": one.cert, "key": one.key, "client_auth": _client_auth(one.client_auth)}


def _client_auth(auth: ClientAuth | None) -> dict[str, Any] | None:
    if auth is None:
        return None
    ca = auth.ca if auth.mode != "none" else None
    return {"mode": auth.mode, "ca": ca, "headers": auth.headers.model_dump()}
