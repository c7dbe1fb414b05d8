"""A Socket.IO chat: what one person says, everybody hears, whichever process they are connected to.

Run by uvicorn as `chat:app`, several times in one folder. The processes pass messages on over unix datagram
sockets in `CHAT_STREET`, in place of the Redis that a site would use; who is connected where stays a matter
of each process, so a client must come back to its own.
"""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import socketio
from socketio.async_pubsub_manager import AsyncPubSubManager


class Street(AsyncPubSubManager):
    """Every process has a socket in the folder and sends to those of all others."""

    name = "street"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)

    async def _publish(self, data: dict[str, Any]) -> None:
        for path in self.folder.glob("*.sock"):
            await asyncio.get_running_loop().sock_sendto(self.socket, json.dumps(data).encode(), str(path))

    async def _listen(self) -> AsyncIterator[bytes]:
        # Bound only now: nobody reads before the first client is there, and what nobody reads blocks others.
        self.socket.bind(str(self.folder / f"{os.getpid()}.sock"))
        while True:
            yield await asyncio.get_running_loop().sock_recv(self.socket, 65_536)


street = Street(Path(os.environ["CHAT_STREET"]))
server = socketio.AsyncServer(async_mode="asgi", client_manager=street)
app = socketio.ASGIApp(server)


@server.event
async def say(sid: str, text: str) -> int:
    """Tells everybody; answers with the process that did."""
    await server.emit("said", {"text": text, "by": sid})
    return os.getpid()
