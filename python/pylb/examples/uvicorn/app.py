"""An ASGI application without dependencies, and a page for health checks."""

import os
from typing import Any


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Says which process answered."""
    if scope["type"] != "http":
        return
    body = b"ok\n" if scope["path"] == "/healthz" else f"answered by {os.getpid()}\n".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body})
