"""What a slow client costs: a bounded number of bytes, whatever the size of what it downloads."""

import threading

import pytest

from .balancer import Balancer, site
from .origin import Ask
from .patience import pause, until
from .talk import Talk

MIB = 1 << 20


def endless(ask: Ask) -> None:
    """Sends as many bytes as the path says, as fast as they are taken."""
    size = int(ask.target.strip("/"))
    ask.send(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n")
    block = bytes(MIB)
    for _ in range(size // MIB):
        ask.send(block)


def warm(balancer: Balancer) -> int:
    """Memory once everything has been used a little."""
    for _ in range(4):
        with balancer.talk() as talk:
            assert len(talk.get(f"/{4 * MIB}").body) == 4 * MIB
    return balancer.memory()


def read_slowly(talk: Talk, size: int, *, rate: float) -> int:
    """Takes `size` bytes in steps, at about `rate` bytes per second; returns how many came."""
    got = 0
    step = max(65_536, int(rate / 50))
    while got < size:
        data = talk.socket.recv(min(step, size - got))
        if not data:
            return got
        got += len(data)
        pause(len(data) / rate)
    return got


class Peak:
    """The largest resident set of a process while the block runs."""

    def __init__(self, balancer: Balancer) -> None:
        self.balancer = balancer
        self.bytes = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            self.bytes = max(self.bytes, self.balancer.memory())


def download(serve, origin, *, size: int, rate: float) -> None:
    balancer = serve(site([origin(endless).address]))
    before = warm(balancer)
    with balancer.talk(receive_buffer=65_536, seconds=60) as talk, Peak(balancer) as peak:
        talk.request("GET", f"/{size}").head()
        ahead = len(talk._ahead)
        assert read_slowly(talk, size - ahead, rate=rate) == size - ahead
    assert peak.bytes - before < 2 * MIB, f"grew by {(peak.bytes - before) / MIB:.1f} MiB"


def test_a_large_download_by_a_slow_client(serve, origin):
    download(serve, origin, size=64 * MIB, rate=40 * MIB)


@pytest.mark.soak
def test_a_download_of_a_gigabyte_by_a_slow_client(serve, origin):
    download(serve, origin, size=1024 * MIB, rate=20 * MIB)


def test_two_hundred_slow_clients(serve, origin):
    """Each has asked for a gigabyte and takes nearly nothing: all buffers that fill have filled."""
    one = origin(endless)
    balancer = serve(site([one.address]))
    before = warm(balancer)
    talks = [balancer.talk(receive_buffer=16_384) for _ in range(200)]
    for talk in talks:
        talk.request("GET", f"/{1024 * MIB}")
    for talk in talks:
        talk.head()
    for _ in range(5):
        for talk in talks:
            assert talk.socket.recv(4_096)
    settled = 0

    def stands() -> bool:
        nonlocal settled
        last, settled = settled, balancer.memory()
        pause(0.1)
        return last == settled

    until("memory stands still", stands)
    assert settled - before < 64 * MIB, f"grew by {(settled - before) / MIB:.1f} MiB"
    for talk in talks:
        talk.reset()
    until("all is given up", lambda: balancer.status()["clients"] == 0)


@pytest.mark.soak
def test_two_hundred_slow_clients_for_a_minute(serve, origin):
    """Each asks for a gigabyte and takes 256 KiB per second of it, for a minute."""
    balancer = serve(site([origin(endless).address]))
    before = warm(balancer)
    short: list[int] = []

    def client() -> None:
        with balancer.talk(receive_buffer=65_536, seconds=120) as talk:
            talk.request("GET", f"/{1024 * MIB}").head()
            if read_slowly(talk, 15 * MIB, rate=MIB / 4) != 15 * MIB:
                short.append(1)
            talk.reset()

    threads = [threading.Thread(target=client) for _ in range(200)]
    with Peak(balancer) as peak:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not short
    assert peak.bytes - before < 64 * MIB, f"grew by {(peak.bytes - before) / MIB:.1f} MiB"


def test_uploads_leave_nothing_behind(serve, origin):
    """The same number of bytes again and again: memory does not follow."""
    one = origin()
    balancer = serve(site([one.address]))
    body = bytes(4 * MIB)

    def some(count: int) -> int:
        for _ in range(count):
            with balancer.talk() as talk:
                assert talk.request("POST", body=body).response().status == 200
            one.ledger.clear()
        return balancer.memory()

    before = some(8)
    assert some(24) - before < 2 * MIB
