"""Streams and flows through reloads: nothing dropped, nothing changed, and what is removed ends in time."""

import random
import signal
import threading

from .balancer import Balancer, relay, tcp
from .datagrams import Askers
from .patience import until
from .streams import mirror
from .talk import Talk

RELOADS = 20


class Streams:
    """Clients that send and compare what comes back, each over one connection. A context manager."""

    def __init__(self, balancer: Balancer, count: int) -> None:
        self.rounds = [0] * count
        self.wrong: list[str] = []
        self._over = threading.Event()
        self._talks = [balancer.talk(seconds=30) for _ in range(count)]
        self._threads = [
            threading.Thread(target=self._stream, args=(number,), daemon=True) for number in range(count)
        ]

    def __enter__(self) -> "Streams":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *why: object) -> None:
        self._over.set()
        for thread, talk in zip(self._threads, self._talks, strict=True):
            thread.join(60)
            talk.close()

    def _stream(self, number: int) -> None:
        dice, talk = random.Random(number), self._talks[number]
        try:
            while not self._over.is_set():
                body = dice.randbytes(dice.randrange(1, 5_000))
                if talk.send(body).exactly(len(body)) != body:
                    self.wrong.append(f"stream {number}, round {self.rounds[number]}")
                self.rounds[number] += 1
                self._over.wait(0.01)
        except Exception as error:
            self.wrong.append(f"stream {number}: {error!r}")

    def wait_for_a_round(self) -> None:
        """Returns once every stream has carried something more."""
        goal = [rounds + 2 for rounds in self.rounds]
        until(
            "every stream goes on",
            lambda: self.wrong or all(has >= want for has, want in zip(self.rounds, goal, strict=True)),
            seconds=30,
        )


def test_streams_and_flows_survive_reloads(serve, peer, reflector):
    """50 streams and 100 flows through 20 reloads, in each of which backends come, go or change weight."""
    peers, reflectors = [peer(mirror) for _ in range(3)], [reflector(name) for name in "abc"]
    spare, idle = peer(mirror), reflector("d")
    config = relay([each.address for each in peers], metrics={"bind": tcp()})
    config["listeners"]["dns"] = {"bind": tcp(), "protocol": "udp", "pool": "names", "udp": {"idle": "60s"}}
    config["pools"]["names"] = {"balance": "round_robin", "backends": []}

    def members(number: int) -> None:
        heavy = number % 3
        for pool, all_, extra in (("app", peers, spare), ("names", reflectors, idle)):
            listed = [{"address": each.address, "weight": 1 + (at == heavy)} for at, each in enumerate(all_)]
            listed += [{"address": extra.address}] if number % 2 else []
            config["pools"][pool]["backends"] = listed

    members(0)
    balancer = serve(config)
    with Streams(balancer, 50) as streams, Askers(balancer.address("dns"), 100) as askers:
        askers.round()
        first = [asker.replies[0] for asker in askers.all]
        for number in range(1, RELOADS + 1):
            members(number)
            balancer.load(config)
            streams.wait_for_a_round()
            askers.round()
        assert streams.wrong == []
        assert askers.foreign == []
        for asker, reply in zip(askers.all, first, strict=True):
            assert {(each.backend, each.flow) for each in asker.replies} == {(reply.backend, reply.flow)}
        assert balancer.metrics().value("pylb_udp_flows") == 100
    assert sum(each.connections for each in (*peers, spare)) == 50


def test_sessions_of_a_removed_backend_end_by_its_drain(serve, peer, reflector):
    old, new = peer(mirror), peer(mirror)
    config = relay([old.address], pool={"drain": {"timeout": "1s"}})
    config["listeners"]["dns"] = {"bind": tcp(), "protocol": "udp", "pool": "names", "udp": {"idle": "60s"}}
    first, second = reflector("first"), reflector("second")
    config["pools"]["names"] = {"backends": [first.address], "drain": {"timeout": "1s"}}
    balancer = serve(config)
    with balancer.talk() as talk, Askers(balancer.address("dns"), 1) as askers:
        assert talk.send("hello").exactly(5) == b"hello"
        askers.round()
        config["pools"]["app"]["backends"] = [new.address]
        config["pools"]["names"]["backends"] = [second.address]
        balancer.load(config)
        assert talk.send("still").exactly(5) == b"still"
        with balancer.talk() as other:
            assert other.send("hello").exactly(5) == b"hello"
            assert new.open_connections() == 1
        until("the old session was cut", lambda: old.open_connections() == 0)

        def moved() -> bool:
            askers.round()
            return askers.all[0].replies[-1].backend == "second"

        until("the flow has moved", moved)
    (line,) = balancer.access_log(1, lambda line: line["backend"] == old.address)
    assert "drain" in (line["reason"] or "") + " ".join(line["flags"]), line


def test_stopping_waits_for_sessions_within_the_grace(serve, peer):
    balancer = serve(relay([peer(mirror).address], stop={"grace": "1s"}))
    with balancer.talk() as talk:
        assert talk.send("hello").exactly(5) == b"hello"
        balancer.signal(signal.SIGTERM)

        def refused() -> bool:
            try:
                Talk(balancer.address()).close()
            except ConnectionRefusedError:
                return True
            return False

        until("it accepts no more", refused)
        assert talk.send("still").exactly(5) == b"still"
        assert balancer.wait() == 0
