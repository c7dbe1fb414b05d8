"""Everything at once, at random: clients and backends that break off anywhere, and a plan that changes all
the time.

Whatever happens, four things hold. An answer that arrives whole is the answer to that very request. One that
does not arrive whole is visibly cut, or is an error of pylb's own. No request that must not be repeated
reaches two backends. And when all is over nothing is left behind: no request in flight, no client, no panic.
A failing run prints its seed.
"""

import random
import threading
import time
from collections import Counter

import pytest

from .balancer import Balancer, site, tcp
from .origin import Ask, Origin
from .patience import pause, until
from .talk import Cut, Response, Talk

NEVER_TWICE = ("POST", "PATCH")


class Backend:
    """A script that answers as it likes, but always about the request it got."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.lock = threading.Lock()

    def draw(self, *choices: tuple[str, int]) -> str:
        with self.lock:
            return self.dice.choices([name for name, _ in choices], [weight for _, weight in choices])[0]

    def size(self) -> int:
        with self.lock:
            return self.dice.choice([0, 1, 10, 1_000, 20_000, 200_000])

    def __call__(self, ask: Ask) -> None:
        name = (ask.target.rpartition("/")[2]).encode()
        before = self.draw(("read", 20), ("early", 2), ("close", 1), ("reset", 1), ("slow", 2))
        if before == "close":
            return ask.close()
        if before == "reset":
            return ask.reset()
        if before != "early":
            body = ask.read_body()
            assert body == b"" or body == name * (len(body) // len(name)), "a body that was mixed up"
        if before == "slow":
            pause(0.01)
        data = (name + b";") * (self.size() // 20 + 1)
        how = self.draw(("length", 10), ("chunked", 6), ("until-close", 2), ("interim", 2), ("empty", 1))
        end = self.draw(("whole", 20), ("half", 1), ("half-reset", 1), ("then-close", 2))
        self.answer(ask, name, data, how, end)
        if before == "early":
            ask.read_body()

    def answer(self, ask: Ask, name: bytes, data: bytes, how: str, end: str) -> None:
        said = f"X-Name: {name.decode()}\r\n"
        if how == "interim":
            ask.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        if how == "empty":
            return ask.send(f"HTTP/1.1 204 No Content\r\n{said}\r\n")
        if how == "chunked":
            framing = "Transfer-Encoding: chunked\r\n"
        elif how == "until-close":
            framing = "Connection: close\r\n"
        else:
            framing = f"Content-Length: {len(data)}\r\n"
        ask.send(f"HTTP/1.1 200 OK\r\n{framing}{said}X-Length: {len(data)}\r\n\r\n")
        if ask.method == "HEAD":
            return ask.close() if how == "until-close" else None
        if how == "until-close" and end == "half":
            end = "half-reset"  # a FIN is a proper end there
        part = data if end in ("whole", "then-close") else data[: len(data) // 2]
        for at in range(0, len(part), 7_001):
            piece = part[at : at + 7_001]
            ask.chunk(piece) if how == "chunked" else ask.send(piece)
        if end == "half-reset":
            return ask.reset()
        if end == "half":
            return ask.close()
        if how == "chunked":
            ask.chunk(b"")
        if how == "until-close" or end == "then-close":
            ask.close()
        return None


class Crowd:
    """Clients that ask, and now and then leave, at random."""

    def __init__(self, balancer: Balancer, seed: int) -> None:
        self.balancer = balancer
        self.seed = seed
        self.over = threading.Event()
        self.outcomes: Counter[str] = Counter()
        self.wrong: list[str] = []

    def run(self, clients: int, seconds: float) -> None:
        threads = [threading.Thread(target=self.client, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        pause(seconds)
        self.over.set()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive(), f"a client hangs, seed {self.seed}"

    def client(self, number: int) -> None:
        dice = random.Random(self.seed * 1_000 + number)
        talk: Talk | None = None
        count = 0
        while not self.over.is_set():
            count += 1
            held = talk or self.balancer.talk()
            try:
                talk = self.once(held, dice, f"{number}-{count}")
            except (Cut, OSError) as error:
                self.outcomes[f"cut: {type(error).__name__}"] += 1
                held.close()
                talk = None
            except AssertionError as error:
                self.wrong.append(str(error))
                held.close()
                talk = None
        if talk is not None:
            talk.close()

    def once(self, talk: Talk, dice: random.Random, name: str) -> Talk | None:
        method = dice.choice(["GET", "GET", "GET", "HEAD", "POST", "POST", "PUT", "PATCH"])
        body = name.encode() * dice.choice([1, 10, 5_000]) if method in ("POST", "PUT", "PATCH") else b""
        if body and dice.random() < 0.4:
            talk.request(method, f"/x/{name}", "Transfer-Encoding: chunked")
            for at in range(0, len(body), 3_001):
                piece = body[at : at + 3_001]
                talk.send(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            talk.send("0\r\n\r\n")
        else:
            talk.request(method, f"/x/{name}", body=body)
        leaving = dice.random()
        if leaving < 0.03:
            talk.reset() if leaving < 0.015 else talk.close()
            self.outcomes["left"] += 1
            return None
        answer = talk.response(to=method)
        self.judge(answer, method, name)
        if answer.get("connection") == "close":
            talk.close()
            return None
        return talk

    def judge(self, answer: Response, method: str, name: str) -> None:
        self.outcomes[str(answer.status)] += 1
        if answer.status in (502, 503):
            assert answer.get("proxy-status"), f"not an error of pylb: {answer}"
            return
        assert answer.get("x-name") == name, f"{name} got the answer of {answer.get('x-name')}"
        if answer.status == 200 and method != "HEAD":
            length = int(answer.get("x-length") or -1)
            assert len(answer.body) == length, f"{name}: {len(answer.body)} bytes of {length}, as if whole"
            assert answer.body == (name.encode() + b";") * (length // (len(name) + 1)), "bytes mixed up"


def chaos(serve, origin, *, seed: int, seconds: float) -> None:
    backends: list[Origin] = [origin(Backend(seed + number)) for number in range(3)]
    pool = {"balance": "random", "passive": {"failures": 1_000_000}}
    config = site([one.address for one in backends], pool=pool, metrics={"bind": tcp()})
    balancer = serve(config)
    crowd = Crowd(balancer, seed)
    reloading = threading.Thread(target=reload_all_the_time, args=(balancer, config, crowd.over))
    reloading.start()
    crowd.run(12, seconds)
    reloading.join()
    assert not crowd.wrong, (seed, crowd.wrong[:5], crowd.outcomes)
    assert crowd.outcomes["200"] > 100 * seconds / 5, (seed, crowd.outcomes)
    asked = Counter(ask.target for one in backends for ask in one.ledger if ask.method in NEVER_TWICE)
    assert max(asked.values()) == 1, (seed, asked.most_common(3))
    until("nobody is left", lambda: balancer.status()["clients"] == 0)
    until("nothing is in flight", lambda: balancer.metrics().value("pylb_backend_in_flight") == 0)
    assert balancer.metrics().value("pylb_panics_total") == 0


def reload_all_the_time(balancer: Balancer, config, over: threading.Event) -> None:
    members = list(config["pools"]["app"]["backends"])
    while not over.is_set():
        members.append(members.pop(0))
        config["pools"]["app"]["backends"] = members
        balancer.load(config)
        over.wait(0.05)


def test_everything_at_once(serve, origin):
    seed = int(time.time())
    chaos(serve, origin, seed=seed, seconds=4)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_everything_at_once_for_longer(serve, origin, seed):
    chaos(serve, origin, seed=seed, seconds=30)
