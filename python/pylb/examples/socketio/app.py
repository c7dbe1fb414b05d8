"""A Socket.IO server that counts per session, and says which process does.

To tell clients of other processes something, give AsyncServer a `client_manager` such as AsyncRedisManager.
"""

import os
from collections import Counter
from typing import Any

import socketio

server = socketio.AsyncServer(async_mode="asgi")
counts: Counter[str] = Counter()


@server.event
async def count(sid: str) -> str:
    """What the client is answered."""
    counts[sid] += 1
    return f"process {os.getpid()}, {counts[sid]} calls in this session"


@server.event
async def disconnect(sid: str, reason: str) -> None:
    counts.pop(sid, None)


async def page(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """For health checks and everything else that is not Socket.IO."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"ok\n"})


app = socketio.ASGIApp(server, page)
