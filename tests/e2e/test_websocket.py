"""WebSockets through pylb, with the client and the server of the `websockets` package at the two ends.

What they have negotiated with each other (subprotocols, compression, close codes) passes as it is; neither
reloads nor the trouble of others reach an open one.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from threading import Thread
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Close
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection
from websockets.sync.server import serve as websocket_server
from websockets.typing import Subprotocol

from .balancer import Balancer, site
from .patience import until

MIB = 1 << 20
LARGE = 10 * MIB


def echo(connection: ServerConnection) -> None:
    """Sends every message back; does what some of them say first."""
    for message in connection:
        if isinstance(message, str) and message.startswith("close "):
            _, code, reason = message.split(" ")
            return connection.close(int(code), reason)
        connection.send(message)
    return None


@contextmanager
def server(**how: Any) -> Iterator[str]:
    """A WebSocket server in a thread; its address."""
    with websocket_server(echo, "127.0.0.1", 0, max_size=LARGE, **how) as running:
        thread = Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield "{}:{}".format(*running.socket.getsockname())
        running.shutdown()
        thread.join()


def uri(balancer: Balancer, path: str = "/chat") -> str:
    host, port = balancer.address()
    return f"ws://{host}:{port}{path}"


@pytest.fixture
def balancer(serve) -> Iterator[Balancer]:
    """A pylb before one server that echoes."""
    with server() as address:
        yield serve(site([address]))


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_messages_of_every_size(balancer, compression):
    with connect(uri(balancer), compression=compression, max_size=LARGE) as client:
        for size in (0, 1, 125, 126, 65_535, 65_536, LARGE):
            data = bytes(itertools.islice(itertools.cycle(range(251)), size))
            client.send(data)
            assert client.recv(timeout=30) == data
        for text in ("", "hello", "grüße, 你好", "x" * MIB):
            client.send(text)
            assert client.recv(timeout=30) == text


def test_a_message_in_fragments(balancer):
    with connect(uri(balancer)) as client:
        client.send(f"part {number} " for number in range(100))
        assert client.recv(timeout=10) == "".join(f"part {number} " for number in range(100))


def test_pings_are_answered_by_the_other_end(balancer):
    with connect(uri(balancer), ping_interval=None) as client:
        for _ in range(10):
            assert client.ping().wait(10), "no pong"


def test_subprotocols_are_the_ends_own(serve):
    old, new, newest = map(Subprotocol, ("chat.v1", "chat.v2", "chat.v3"))
    with server(subprotocols=[new, old]) as address:
        balancer = serve(site([address]))
        for offered, agreed in (([old], old), ([old, new], new)):
            with connect(uri(balancer), subprotocols=offered) as client:
                assert client.subprotocol == agreed
        with pytest.raises(InvalidStatus):
            connect(uri(balancer), subprotocols=[newest])


@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4999])
def test_close_codes_pass(balancer, code):
    with connect(uri(balancer)) as client:
        client.send(f"close {code} because")
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=10)
        assert closed.value.rcvd == Close(code, "because")
    with connect(uri(balancer)) as client:
        client.close(code, "for me")
        assert (client.close_code, client.close_reason) == (code, "for me")
    assert {line["reason"] for line in balancer.access_log(2)} == {None}


def test_a_refused_handshake_is_the_servers_own_answer(serve):
    def refuse(connection, request):
        return connection.respond(403, "members only\n")

    with server(process_request=refuse) as address:
        with pytest.raises(InvalidStatus) as refused:
            connect(uri(serve(site([address]))))
        assert refused.value.response.status_code == 403
        assert refused.value.response.body == b"members only\n"


# ---- many of them, for a while


@asynccontextmanager
async def many(balancer: Balancer, count: int) -> AsyncIterator[list[ClientConnection]]:
    """Open WebSockets."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connect_async(uri(balancer))) for _ in range(count)]
        yield clients


async def talk_on(client: ClientConnection, over: asyncio.Event) -> int:
    """Echoes until it is over; returns how often. Raises ConnectionClosed when the connection ends before."""
    for number in itertools.count():
        if over.is_set():
            return number
        await client.send(str(number))
        async with asyncio.timeout(30):
            assert await client.recv() == str(number)
        await asyncio.sleep(0.01)
    raise AssertionError


async def through_reloads(
    balancer: Balancer, *, count: int, reloads: int, seconds: float, other: Thread
) -> int:
    """Keeps WebSockets busy through reloads, and `other` in the middle of them; returns the fewest echoes."""
    over = asyncio.Event()
    async with many(balancer, count) as clients, asyncio.TaskGroup() as group:
        talks = [group.create_task(talk_on(client, over)) for client in clients]
        for number in range(reloads):
            if number == reloads // 2:
                other.start()
            await asyncio.to_thread(balancer.hang_up)
            await asyncio.sleep(seconds / reloads)
        over.set()
    return min(talk.result() for talk in talks)


def survive(serve, apps, *, count: int, reloads: int, seconds: float) -> None:
    (bystander,) = apps("uvicorn", 1)
    with server() as address:
        config = site([address])
        config["pools"]["other"] = {
            "backends": [bystander.address],
            "health": {"tcp": True, "interval": "200ms"},
        }
        config["listeners"]["web"]["routes"] = [
            {"match": {"path": "/other"}, "pool": "other"},
            {"pool": "app"},
        ]
        balancer = serve(config)
        kill = Thread(target=bystander.kill)
        echoes = asyncio.run(
            through_reloads(balancer, count=count, reloads=reloads, seconds=seconds, other=kill)
        )
        assert echoes > 0
        until(
            "the bystander is known to be down",
            lambda: balancer.backend("other", bystander.address)["state"] == "down",
        )
        assert balancer.status()["generation"] == reloads + 1
        lines = balancer.access_log(count, lambda line: line["path"] == "/chat")
        assert [(line["status"], line["reason"]) for line in lines] == [(101, None)] * count


def test_reloads_and_the_death_of_a_bystander_close_none(serve, apps):
    survive(serve, apps, count=20, reloads=5, seconds=2)


@pytest.mark.soak
def test_two_hundred_through_twenty_reloads(serve, apps):
    survive(serve, apps, count=200, reloads=20, seconds=20)
