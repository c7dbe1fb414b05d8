"""Where things run: cores, ports, descriptors, and a network that nothing else uses.

A network namespace of its own leaves out firewall rules and connection tracking of the host, frees every
port, and gives a wide range of client ports for the cell with a new connection per request. It needs root or
unprivileged user namespaces; without either the run goes on in the host's network and the results say so.
"""

import contextlib
import fcntl
import os
import resource
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Below the range of client ports, in the namespace as on the usual host. All on 127.0.0.1.
PORT = 18080
TLS_PORT = 18083
BACKENDS = (18081, 18082)

_INSIDE = "PYLB_BENCH_NAMESPACE"
_SIOCSIFFLAGS, _IFF_UP_RUNNING = 0x8914, 0x1 | 0x40


@dataclass(frozen=True)
class Cores:
    """The proxy has `proxy` for itself; wrk and the origin share `others`."""

    proxy: int
    others: int


def cores() -> Cores:
    """The first two cores this process may use."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise SystemExit("bench needs two cores: one for the proxy, one for wrk and the origin")
    return Cores(usable[0], usable[1])


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started inside runs on that core from its first instruction on, with all its threads."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def raise_descriptors() -> int:
    """Raises the soft limit to the hard one, for this process and all it starts, and returns it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def enter_namespace(module: str, arguments: list[str]) -> bool:
    """Starts `python -m module` anew in a network namespace, if it may; says whether it runs in one."""
    if os.environ.get(_INSIDE):
        _loopback_up()
        return True
    unshare = shutil.which("unshare")
    for options in (["--net"], ["--user", "--map-root-user", "--net"]):
        if unshare and subprocess.run([unshare, *options, "true"], capture_output=True).returncode == 0:
            os.environ[_INSIDE] = "1"
            os.execv(unshare, [unshare, *options, sys.executable, "-m", module, *arguments])
    return False


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP_RUNNING))
    # Above the ports that the runs listen on. Where it cannot be written, the usual 28,000 ports do.
    with contextlib.suppress(OSError):
        Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("20000 65535")
