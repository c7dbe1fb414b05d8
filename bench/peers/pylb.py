"""pylb as a user runs it: `pylb serve` with a file, from the Python that runs the benchmark.

Twice, to see what routes cost: `pylb-routes` has 999 of other hosts and paths before the one that matches.
And another build of pylb, installed for another Python, can stand beside it: what did a change cost?

It needs to be told nothing for speed: tickets, groups and suites are its own, and long streams are spliced by
themselves.
"""

import importlib.util
import json
import sys
from dataclasses import replace
from functools import partial

from bench.peers.peer import Peer, Setting, Start


def _find() -> str | None:
    return sys.executable if importlib.util.find_spec("pylb") else None


def _configure(python: str, setting: Setting, *, others: int = 0) -> Start:
    routes: list[dict[str, object]] = [
        {"match": {"host": f"shop{number % 100}.example", "path": f"/part{number}/"}, "pool": "origin"}
        for number in range(others)
    ]
    routes.append({"pool": "origin"})
    config = {
        "workers": 1,
        "admin": {"bind": f"unix:{setting.folder}/admin.sock"},
        "listeners": _listeners(setting, routes),
        "pools": {
            "origin": {
                "balance": "round_robin",
                "backends": [f"127.0.0.1:{port}" for port in setting.backends],
                **({"idle_connections": 1024} if setting.service in ("http", "https") else {}),
            }
        },
        "log": {"access": str(setting.log) if setting.access_log else "off", "format": "json"},
    }
    # JSON is YAML.
    path = setting.write("pylb.yaml", json.dumps(config, indent=2))
    return Start([python, "-m", "pylb", "serve", path], setting.log)


def _listeners(setting: Setting, routes: list[dict[str, object]]) -> dict[str, object]:
    bind = f"127.0.0.1:{setting.port}"
    if setting.service in ("tcp", "udp"):
        return {"relay": {"bind": bind, "protocol": setting.service, "pool": "origin"}}
    listeners: dict[str, object] = {"web": {"bind": bind, "protocol": "http", "routes": routes}}
    if setting.certificate:
        pair = {"cert": str(setting.certificate.cert), "key": str(setting.certificate.key)}
        listeners["secure"] = {
            "bind": f"127.0.0.1:{setting.tls_port}",
            "protocol": "http",
            "tls": {"certificates": [pair], "min_version": "1.3"},
            "routes": routes,
        }
    return listeners


PEER = Peer(
    "pylb",
    "pip install '.[bench]'",
    _find,
    _configure,
    version_option="-m pylb version",
    services=("http", "https", "tcp", "udp"),
)

ROUTES = replace(
    PEER,
    name="pylb-routes",
    configure=partial(_configure, others=999),
    only_in=("small-64", "browser-64"),
)


def before(python: str) -> Peer:
    """The build of pylb that this Python has."""
    return replace(PEER, name="before", find=lambda: python)
