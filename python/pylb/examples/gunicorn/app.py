"""A WSGI application without dependencies, and a page for health checks."""

import os
from collections.abc import Callable, Iterable
from typing import Any


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Says which process answered."""
    start_response("200 OK", [("content-type", "text/plain")])
    return [b"ok\n" if environ["PATH_INFO"] == "/healthz" else f"answered by {os.getpid()}\n".encode()]
