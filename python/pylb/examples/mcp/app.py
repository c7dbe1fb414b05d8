"""An MCP server that counts per session, and says which process does, over streamable HTTP."""

import os
from collections import Counter

from mcp.server import MCPServer
from mcp.server.mcpserver import Context

server = MCPServer("counter")
counts: Counter[str] = Counter()


@server.tool()
async def count(context: Context) -> str:
    """How often this session has asked."""
    session = context.request_context.request.headers["mcp-session-id"]
    counts[session] += 1
    return f"process {os.getpid()}, {counts[session]} calls in this session"


app = server.streamable_http_app()
