"""An MCP server with sessions over three uvicorn processes: the session id is learned from the answer.

Clients of the Model Context Protocol keep no cookies. The server's answer to `initialize` carries
`mcp-session-id`, every later request repeats it, and only the process that made it knows the session.
"""

import asyncio
from typing import Any

import pytest

from .balancer import Balancer, Config, site
from .talk import Address
from .tools import module, why_not

LEARN: Config = {
    "sticky": {"learn": {"response_header": "mcp-session-id", "request_header": "mcp-session-id"}}
}
PRESET: Config = {"sticky": {"preset": "mcp"}}
CALLS = 10


@pytest.fixture
def counter(serve, programs):
    """Starts the counting server behind pylb."""
    module("mcp")

    def start(pool: Config) -> Balancer:
        three = programs(3, "uvicorn", "tools:app", "--port", "{port}", "--log-level", "warning")
        return serve(site([one.address for one in three], pool=pool))

    return start


async def session(address: Address) -> list[tuple[int, int]]:
    """What one session is told: its count and the process, call by call."""
    assert isinstance(address, tuple)
    client: Any = module("mcp.client.client")
    told = []
    async with client.Client(f"http://{address[0]}:{address[1]}/mcp", mode="legacy") as connected:
        for _ in range(CALLS):
            result = await connected.call_tool("count", {})
            count, process = result.content[0].text.split()
            told.append((int(count), int(process)))
    return told


async def sessions(address: Address, count: int) -> list[list[tuple[int, int]]]:
    """Several of them at the same time."""
    return await asyncio.gather(*(session(address) for _ in range(count)))


@pytest.mark.parametrize("pool", [LEARN, PRESET], ids=["learn", "preset"])
def test_every_session_counts_for_itself(counter, pool):
    balancer = counter(pool)
    told = asyncio.run(sessions(balancer.address(), 9))
    for calls in told:
        assert [count for count, _ in calls] == list(range(1, CALLS + 1))
        assert len({process for _, process in calls}) == 1
    assert len({calls[0][1] for calls in told}) == 3, "all sessions are in the same process"


def test_without_it_sessions_are_lost(counter):
    balancer = counter({})
    lost = why_not(lambda: asyncio.run(asyncio.wait_for(session(balancer.address()), 20)))
    assert "Session not found" in lost
