"""Tells systemd how the service is doing, where it asks for that (sd_notify(3)); does nothing elsewhere.

One datagram per message to the socket in NOTIFY_SOCKET. Losing one harms nobody, so errors are ignored.
"""

import contextlib
import os
import socket
import time
from collections.abc import Mapping


class Notify:
    """The service manager that started this process, if there is one."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")

    def ready(self, status: str) -> None:
        """Serving; also the end of a reload."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Type=notify-reload wants the time at which it began."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str) -> None:
        self._send("STOPPING=1", f"STATUS={status}")

    def _send(self, *assignments: str) -> None:
        if not self._address.startswith(("/", "@")):
            return
        place = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.setblocking(False)
            out.sendto("\n".join(assignments).encode(), place)
