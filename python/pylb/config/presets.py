"""What frameworks need of session persistence: `sticky: {preset: NAME}` stands for the keys here.

All of these keep state in one process and use several requests for one session, so that every request of a
session has to reach the process where it began. How a client shows which session a request belongs to
decides between a cookie of ours and learning the application's own name for it.

streamlit   A page, then a WebSocket (`/_stcore/stream`) that holds the session, and uploads and media files
            beside it by plain requests. Only the page and the socket know the session, and the browser sends
            no name of it before the socket is up: a cookie, set with the page.
gradio      `session_hash` is made by the browser and sent in the JSON body of `queue/join`, then in the query
            of `queue/data`; uploads (`/gradio_api/upload`) have none. A cookie; gradio_client keeps it too.
socketio    The first answer names the session (`sid`) in its body, where nobody but the client reads it;
            later polls and the WebSocket carry it in the query. A cookie; browsers and python-socketio keep
            it from the first poll to the upgrade.
mcp         `mcp-session-id`: the answer to `initialize` makes it, every later request repeats it
            (Model Context Protocol, Streamable HTTP). Clients keep no cookies: learned from the header. A
            server answers 404 to a session that it does not know, and the client begins anew, so a lost one
            moves.
jupyter     Kernels belong to the process that started them, and are named only in paths. A cookie.

Each cookie has a name of its own, because two pools behind one host would overwrite each other's.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "streamlit": {"cookie": "pylb-streamlit", "ttl": "24h"},
        "gradio": {"cookie": "pylb-gradio", "ttl": "24h"},
        "socketio": {"cookie": "pylb-socketio", "ttl": "24h"},
        "mcp": {
            "learn": {"response_header": "mcp-session-id", "request_header": "mcp-session-id"},
            "ttl": "24h",
        },
        "jupyter": {"cookie": "pylb-jupyter", "ttl": "24h"},
    }
)
"""A name, and what a user would write instead of it."""


def spelled_out(sticky: Mapping[str, Any]) -> dict[str, Any]:
    """`{preset: mcp, ttl: 1h}` -> the keys it stands for; what is written beside it counts more. Raises
    KeyError for a preset that is none."""
    rest = {name: value for name, value in sticky.items() if name != "preset"}
    return {**PRESETS[sticky["preset"]], **rest}
