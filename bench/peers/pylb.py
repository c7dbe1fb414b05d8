"""pylb as a user runs it: `pylb serve` with a file, from the Python that runs the benchmark.

Twice, to see what routes cost: `pylb-routes` has 999 of other hosts and paths before the one that matches.
And another build of pylb, installed for another Python, can stand beside it: what did a change cost?
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
    web = {"bind": f"127.0.0.1:{setting.port}", "protocol": "http", "routes": routes}
    config = {
        "workers": 1,
        "admin": {"bind": f"unix:{setting.folder}/admin.sock"},
        "listeners": {"web": web},
        "pools": {
            "origin": {
                "balance": "round_robin",
                "backends": [f"127.0.0.1:{port}" for port in setting.backends],
                "idle_connections": 1024,
            }
        },
        "log": {"access": str(setting.log) if setting.access_log else "off", "format": "json"},
    }
    # JSON is YAML.
    path = setting.write("pylb.yaml", json.dumps(config, indent=2))
    return Start([python, "-m", "pylb", "serve", path], setting.log)


PEER = Peer("pylb", "pip install '.[bench]'", _find, _configure, version_option="-m pylb version")

ROUTES = replace(
    PEER,
    name="pylb-routes",
    configure=partial(_configure, others=999),
    only_in=("small-64", "browser-64"),
)


def before(python: str) -> Peer:
    """The build of pylb that this Python has."""
    return replace(PEER, name="before", find=lambda: python)
