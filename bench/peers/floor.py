"""The floor: the origin program's byte copier, which is what is left of a proxy that only moves bytes."""

from bench.origin import binary
from bench.peers.peer import Peer, Setting, Start


def _find() -> str | None:
    return str(binary()) if binary().is_file() else None


def _configure(program: str, setting: Setting) -> Start:
    to = [part for port in setting.backends for part in ("--to", str(port))]
    return Start([program, "forward", "--listen", str(setting.port), *to], setting.log)


PEER = Peer(
    "floor", "cargo build --release -p pylb-origin", _find, _configure, parses=False, services=("http", "tcp")
)
