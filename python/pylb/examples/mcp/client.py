"""Counts to three in one session, through pylb: `python client.py [URL]`."""

import asyncio
import sys

from mcp.client.client import Client


async def main(url: str) -> None:
    """One session."""
    async with Client(f"{url}/mcp", mode="legacy") as client:  # the mode that has sessions
        for _ in range(3):
            result = await client.call_tool("count", {})
            sys.stdout.write(f"{result.content[0].text}\n")


asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"))
