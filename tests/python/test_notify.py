"""sd_notify: one datagram per change, none where nobody asks."""

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pylb.notify import Notify


@pytest.fixture(params=["file", "abstract"])
def manager(request: pytest.FixtureRequest) -> Iterator[tuple[str, socket.socket]]:
    """Stands in for systemd: what NOTIFY_SOCKET holds, and its end."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        place = str(Path(folder, "notify"))
        end.bind(place if request.param == "file" else "\0" + place)
        end.setblocking(False)
        yield place if request.param == "file" else "@" + place, end


def test_what_it_says(manager: tuple[str, socket.socket]) -> None:
    place, end = manager
    notify = Notify({"NOTIFY_SOCKET": place})
    notify.ready("serving")
    assert end.recv(1000) == b"READY=1\nSTATUS=serving"
    notify.reloading()
    assert end.recv(1000).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    notify.stopping("bye")
    assert end.recv(1000) == b"STOPPING=1\nSTATUS=bye"


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nowhere/at/all"}])
def test_nobody_asks(environ: dict[str, str]) -> None:
    Notify(environ).ready("serving")
