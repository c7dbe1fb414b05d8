"""What tests of upgrades and tunnels have in common: an offer, backends that take it, and bytes behind it."""

import contextlib
import socket

from .origin import Ask, Gone
from .talk import Response, Talk

OFFER = ("Connection: Upgrade", "Upgrade: echo/1")


def switch(ask: Ask, protocol: str = "echo/1") -> None:
    """Confirms a switch."""
    ask.send(f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n")


def echo(ask: Ask) -> None:
    """Switches, and sends back whatever comes until the other side has nothing more to say."""
    switch(ask)
    with contextlib.suppress(Gone):
        while True:
            ask.send(ask.line.some(65_536))
    ask.close()


def offer(talk: Talk, target: str = "/", *lines: str) -> Response:
    """Asks for a switch and returns the head that answers it."""
    return talk.request("GET", target, *OFFER, *lines).head()


def last_recv(line: socket.socket) -> bytes | None:
    """Everything up to a FIN; None if the connection is reset."""
    got = bytearray()
    try:
        while data := line.recv(262_144):
            got += data
    except ConnectionResetError:
        return None
    return bytes(got)
