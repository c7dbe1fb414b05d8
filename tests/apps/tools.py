"""An MCP server that counts per session, over streamable HTTP. Run by uvicorn as `tools:app`."""

import os
from collections import Counter

from mcp.server import MCPServer
from mcp.server.mcpserver import Context

server = MCPServer("counter")
_counts: Counter[str] = Counter()


@server.tool()
async def count(context: Context) -> str:
    """How often this session has asked, and which process counts."""
    session = context.request_context.request.headers["mcp-session-id"]
    _counts[session] += 1
    return f"{_counts[session]} {os.getpid()}"


app = server.streamable_http_app()
