"""A Socket.IO chat over three uvicorn processes, by long-polling and by WebSocket.

A session lives in one process and takes several requests: the first poll opens it, the next polls and the
upgrade must reach the same process. With the preset they do; without it the chat falls apart, which shows
that the preset is what holds it together.
"""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from .balancer import Balancer, Config, site
from .talk import Address
from .tools import module, why_not

PRESET: Config = {"sticky": {"preset": "socketio"}}
POLLING, UPGRADED = ["polling"], ["polling", "websocket"]


class Person:
    """Somebody in the chat, by the client of python-socketio."""

    def __init__(self, address: Address, transports: list[str]) -> None:
        assert isinstance(address, tuple)
        self.heard: queue.Queue[str] = queue.Queue()
        self.client: Any = module("socketio").Client(reconnection=False, request_timeout=5)
        self.client.on("said", lambda message: self.heard.put(message["text"]))
        self.client.connect(f"http://{address[0]}:{address[1]}", transports=transports, wait_timeout=5)

    def say(self, text: str) -> int:
        """Tells everybody; the process that passed it on."""
        return int(self.client.call("say", text, timeout=5))

    def hears(self, text: str) -> bool:
        """Whether that is the next thing heard."""
        return self.heard.get(timeout=5) == text


@pytest.fixture
def chat(serve, programs, tmp_path):
    """Starts the chat behind pylb."""
    module("socketio")

    def start(pool: Config) -> Balancer:
        street = {"CHAT_STREET": str(tmp_path)}
        three = programs(
            3, "uvicorn", "chat:app", "--port", "{port}", "--log-level", "warning", environ=street
        )
        return serve(site([one.address for one in three], pool=pool))

    return start


@contextmanager
def people(balancer: Balancer, transports: list[str], count: int) -> Iterator[list[Person]]:
    """Connected while the block runs."""
    there: list[Person] = []
    try:
        for _ in range(count):
            there.append(Person(balancer.address(), transports))
        yield there
    finally:
        # A client that polls takes as long as its last poll; the end of the servers is the end of it, too.
        for person in there:
            threading.Thread(target=person.client.disconnect, daemon=True).start()


@pytest.mark.parametrize("transports", [POLLING, UPGRADED, ["websocket"]], ids="-".join)
def test_everybody_hears_everybody(chat, transports):
    balancer = chat(PRESET)
    with people(balancer, transports, 6) as six:
        assert {person.client.transport() for person in six} == {transports[-1]}
        processes = [set[int]() for _ in six]
        for turn in range(3):
            for number, person in enumerate(six):
                text = f"{number} says {turn}"
                processes[number].add(person.say(text))
                assert all(other.hears(text) for other in six)
        assert [len(found) for found in processes] == [1] * 6, "a session changed its process"
        assert len(set.union(*processes)) == 3, "all sessions are in the same process"


def test_without_the_preset_it_falls_apart(chat):
    balancer = chat({})

    def talk() -> None:
        with people(balancer, POLLING, 6) as six:
            for person in six:
                person.say("anybody?")

    assert "ConnectionError" in why_not(talk)
