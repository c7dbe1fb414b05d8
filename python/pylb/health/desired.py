"""Which checks a configuration asks for: settings and the addresses in force -> `Checker.reconcile`'s
mapping."""

from collections.abc import Mapping
from typing import Any

from pylb.config.checks import Health as Written
from pylb.config.checks import HttpCheck
from pylb.config.model import Settings
from pylb.health.checker import Check, Key
from pylb.health.probe import Question, Request


def checks(settings: Settings, status: Mapping[str, Any], hosts: Mapping[Key, str]) -> dict[Key, Check]:
    """One check per backend of every pool that has `health`. Addresses come from the core's status, so that
    a name is not resolved twice and the checked address is the one that gets the requests. `hosts` are the
    names behind members that were looked up."""
    return {
        (name, backend["name"]): check(
            pool.health, hosts.get((name, backend["name"]), backend["name"]), backend["address"]
        )
        for name, pool in settings.pools.items()
        if pool.health is not None
        for backend in status["pools"][name]["backends"]
    }


def check(written: Written, backend: str, address: str) -> Check:
    """The check of one backend. Host is the backend as the user wrote it, unless the check names one."""
    if written.port is not None and not address.startswith("unix:"):
        address = f"{address.rpartition(':')[0]}:{written.port}"
    request = _request(written, backend) if isinstance(written, HttpCheck) else None
    question = Question(address, request, written.timeout)
    return Check(question, written.interval, written.rise, written.fall)


def _request(written: HttpCheck, backend: str) -> Request:
    host = written.host or ("localhost" if backend.startswith("unix:") else backend)
    return Request(
        written.http, host, tuple(written.headers.items()), written.expect.first, written.expect.last
    )
