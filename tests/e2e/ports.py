"""Ports nobody uses.

They come from below the range out of which the kernel takes ports for outgoing connections, so that none of
these can land on a port between our look and its use. Each is given out once per test run.
"""

import itertools
import os
import socket

_LOW, _HIGH = 15_000, 32_000
_next = itertools.count(os.getpid() * 131 % (_HIGH - _LOW))


def free_port() -> int:
    """A port that is free on all addresses now."""
    for offset in itertools.islice(_next, _HIGH - _LOW):
        port = _LOW + offset % (_HIGH - _LOW)
        if _is_free(port):
            return port
    raise AssertionError("no free port")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET6) as probe:
        probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            probe.bind(("::", port))
        except OSError:
            return False
    return True
