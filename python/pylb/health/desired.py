"""Which checks a configuration asks for: settings and the addresses in force -> `Checker.reconcile`'s
mapping."""

from collections.abc import Mapping
from typing import Any

from pylb.config.address import host_port
from pylb.config.checks import HttpCheck
from pylb.config.model import Settings
from pylb.config.pools import Pool
from pylb.config.tls import BackendTls
from pylb.health.checker import Check, Key
from pylb.health.probe import Question, Request
from pylb.health.secure import secure

PREFACES = {"v1": b"PROXY UNKNOWN\r\n", "v2": b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"}
"""What a pool that writes the PROXY protocol sends in front of a connection that is nobody's."""


def checks(
    settings: Settings, status: Mapping[str, Any], hosts: Mapping[Key, str], files: Mapping[str, bytes]
) -> dict[Key, Check]:
    """One check per backend of every pool that has `health`. Addresses come from the core's status, so that
    a name is not resolved twice and the checked address is the one that gets the requests. `hosts` are the
    names behind members that were looked up, `files` the certificates in force."""
    return {
        (name, backend["name"]): check(
            pool, hosts.get((name, backend["name"]), backend["name"]), backend["address"], files
        )
        for name, pool in settings.pools.items()
        if pool.health is not None
        for backend in status["pools"][name]["backends"]
    }


def check(pool: Pool, backend: str, address: str, files: Mapping[str, bytes]) -> Check:
    """The check of one backend. Host is the backend as the user wrote it, unless the check names one. What
    listens on a port of its own for checks is spoken to plainly."""
    written = pool.health
    assert written is not None, "only pools with a check have one"
    apart = written.port is not None and not address.startswith("unix:")
    if apart:
        address = f"{address.rpartition(':')[0]}:{written.port}"
    request = _request(written, backend) if isinstance(written, HttpCheck) else None
    question = Question(
        address,
        request,
        written.timeout,
        secure=None
        if apart or pool.tls is None
        else secure(pool.tls, _server_name(pool.tls, backend), files),
        preface=PREFACES.get(pool.proxy_protocol or "", b"") if not apart else b"",
    )
    return Check(question, written.interval, written.rise, written.fall)


def _server_name(tls: BackendTls, backend: str) -> str:
    """As traffic has it: what the pool says, else the host as it is written."""
    if tls.server_name is not None:
        return tls.server_name
    return "localhost" if backend.startswith("unix:") else host_port(backend)[0].strip("[]")


def _request(written: HttpCheck, backend: str) -> Request:
    host = written.host or ("localhost" if backend.startswith("unix:") else backend)
    return Request(
        written.http, host, tuple(written.headers.items()), written.expect.first, written.expect.last
    )
