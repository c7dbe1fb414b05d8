"""pylb as a user runs it: `pylb serve` with a file, from the Python that runs the benchmark."""

import importlib.util
import json
import sys

from bench.peers.peer import Peer, Setting, Start


def _find() -> str | None:
    return sys.executable if importlib.util.find_spec("pylb") else None


def _configure(python: str, setting: Setting) -> Start:
    web = {"bind": f"127.0.0.1:{setting.port}", "protocol": "http", "routes": [{"pool": "origin"}]}
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
