"""UDP as it is spoken: name servers asked by dig, one of them killed, and a crowd that keeps apart."""

import resource
import subprocess
import threading

import pytest

from .balancer import reachable, relay, tcp
from .daemons import dnsmasq
from .datagrams import Asker, Askers
from .patience import until
from .ports import free_port
from .tools import tool

LINES = 200
"""Questions that each dig has for its server."""


def datagrams(backends, *, udp=None, **more):
    """The plainest configuration for UDP."""
    return relay(
        backends,
        listener={"protocol": "udp", "udp": {"idle": "30s", **(udp or {})}},
        metrics={"bind": tcp()},
        **more,
    )


def flows(balancer) -> float:
    return balancer.metrics().value("pylb_udp_flows")


def test_dig_while_a_name_server_is_killed(serve, daemon):
    """Each question gets an answer, at worst when dig asks again; then only two servers are asked."""
    servers = [daemon(dnsmasq, f"10.0.0.{number}") for number in (1, 2, 3)]
    balancer = serve(
        datagrams(
            [each.address for each in servers],
            udp={"replies": 1, "idle": "2s"},
            pool={"passive": {"failures": 2}},
        )
    )
    with Digs(balancer.address()[1], count=4) as digs:
        digs.wait_for(LINES)
        servers[1].stop()
    assert set(digs.answers) == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}
    assert len(digs.answers) == 4 * LINES, digs.answers
    until("no flow is left: each had its reply, or none in time", lambda: flows(balancer) == 0)
    found = balancer.backend("app", servers[1].address)
    assert found["state"] == "ejected", found


class Digs:
    """Several digs, each with its list of questions; whoever has no answer says so. A context manager."""

    def __init__(self, port: int, count: int) -> None:
        self.answers: list[str] = []
        command = [tool("dig"), "@127.0.0.1", "-p", str(port), "+short", "+tries=4", "+timeout=1", "-f", "-"]
        self._digs = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(count)
        ]
        self._threads = [threading.Thread(target=self._read, args=(dig,)) for dig in self._digs]

    def __enter__(self) -> "Digs":
        for number, (dig, thread) in enumerate(zip(self._digs, self._threads, strict=True)):
            assert dig.stdin is not None
            dig.stdin.write("".join(f"name-{number}-{line}.test\n" for line in range(LINES)))
            dig.stdin.close()
            thread.start()
        return self

    def _read(self, dig: "subprocess.Popen[str]") -> None:
        assert dig.stdout is not None
        for line in dig.stdout:
            if not line.startswith(";"):  # a remark, as that a question was asked again
                self.answers.append(line.strip())

    def wait_for(self, count: int) -> None:
        """Returns once there are so many answers in all."""
        until(f"{count} answers", lambda: len(self.answers) >= count, seconds=30)

    def __exit__(self, *why: object) -> None:
        for dig, thread in zip(self._digs, self._threads, strict=True):
            if any(why):
                dig.kill()
            thread.join(60)
            dig.wait(60)


def test_a_flow_stays_with_its_backend(serve, reflector):
    three = [reflector(name) for name in "abc"]
    balancer = serve(datagrams([each.address for each in three]))
    with Askers(balancer.address(), 30) as askers:
        for _ in range(5):
            askers.round()
        for asker in askers.all:
            assert len({(reply.backend, reply.flow) for reply in asker.replies}) == 1
        names = [asker.replies[0].backend for asker in askers.all]
        assert {name: names.count(name) for name in "abc"} == {"a": 10, "b": 10, "c": 10}
        assert flows(balancer) == 30
        assert askers.foreign == []


def crowd(serve, reflector, clients: int) -> None:
    """So many clients at once, each with a flow of its own; when they are silent, nothing is left of them."""
    three = [reflector(name) for name in "abc"]
    idle = "2s" if clients < 1_000 else "15s"
    balancer = serve(datagrams([each.address for each in three], udp={"idle": idle}))
    descriptors = balancer.descriptors()
    with Askers(balancer.address(), clients) as askers:
        for _ in range(3):
            askers.round(at_once=200)
        assert flows(balancer) == clients
        assert askers.foreign == []
        assert all({reply.client for reply in asker.replies} == {asker.client} for asker in askers.all)
        until("no flow is left", lambda: flows(balancer) == 0, seconds=60)
        until("no socket is left", lambda: balancer.descriptors() <= descriptors + 4)
        assert len(balancer.access_log(clients, lambda line: line["proto"] == "udp")) == clients
        askers.round()
        assert askers.foreign == []


def test_no_reply_reaches_a_wrong_client(serve, reflector):
    crowd(serve, reflector, 300)


@pytest.mark.soak
def test_ten_thousand_clients(serve, reflector):
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 12_000:
        pytest.skip("needs 12,000 descriptors")
    crowd(serve, reflector, 10_000)


def test_the_table_is_bounded_and_the_oldest_goes(serve, reflector):
    one = reflector("a")
    balancer = serve(datagrams([one.address], udp={"flows": 20}, workers=1))
    with Askers(balancer.address(), 50) as askers:
        askers.round(at_once=1)
        assert flows(balancer) <= 20
        newest, oldest = askers.all[-1], askers.all[0]
        for asker in (newest, oldest):
            asker.ask()
            until("an answer", asker.hear)
        assert len({reply.flow for reply in newest.replies}) == 1
        assert len({reply.flow for reply in oldest.replies}) == 2
        assert askers.foreign == []


def test_after_as_many_replies_as_expected_a_flow_ends(serve, reflector):
    """One reply to each datagram: the next datagram is a new flow, for which a backend is chosen."""
    two = [reflector(name) for name in "ab"]
    balancer = serve(datagrams([each.address for each in two], udp={"replies": 1}, workers=1))
    with Askers(balancer.address(), 1) as askers:
        for _ in range(6):
            askers.round()
        assert "".join(reply.backend for reply in askers.all[0].replies) == "ababab"
    until("no flow is left", lambda: flows(balancer) == 0)


def test_a_port_where_nobody_listens_counts_as_a_failure(serve, reflector):
    dead, one = f"127.0.0.1:{free_port()}", reflector("a")
    pool = {"passive": {"failures": 3}}
    balancer = serve(datagrams([dead, one.address], pool=pool))
    with Askers(balancer.address(), 20) as askers:
        askers.round(at_once=1)
        assert {asker.replies[-1].backend for asker in askers.all} == {"a"}
    assert balancer.backend("app", dead)["state"] == "ejected"


def test_a_reply_leaves_from_the_address_that_was_asked(serve, reflector):
    """A connected socket hears nothing else: the address is one of several of this machine."""
    port = free_port()
    config = datagrams([reflector("a").address])
    config["listeners"]["web"]["bind"] = f"0.0.0.0:{port}"
    serve(config)
    for last in (1, 2, 3):
        asker = Asker(last, reachable(f"127.0.0.{last}:{port}"))
        asker.ask()
        until("an answer", asker.hear)
        asker.close()


def test_large_and_empty_datagrams(serve, reflector):
    balancer = serve(datagrams([reflector("a").address]))
    asker = Asker(1, balancer.address())
    asker.socket.setblocking(True)
    asker.socket.settimeout(10)
    for size in (1, 1_400, 9_000, 60_000):
        asker.socket.send(b"x" * size)
        assert asker.socket.recv(65_536).partition(b"|")[2].partition(b"|")[2] == b"x" * size
    asker.close()
