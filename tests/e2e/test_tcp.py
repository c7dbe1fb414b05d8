"""TCP as it is spoken: databases with their own clients, ends in either order, bodies that prove it."""

import contextlib
import hashlib
import random
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from .balancer import reachable, relay
from .daemons import postgres, redis, run
from .origin import Gone, Line
from .patience import DEADLINE, until
from .ports import free_port
from .streams import Plan, carry, exchange, mirror
from .talk import Talk
from .tools import tool

MIB = 1 << 20


# ---- other people's protocols


def test_psql(serve, daemon):
    database = daemon(postgres)
    balancer = serve(relay([database.address]))
    _, port = balancer.address()

    def sql(*commands: str, given: str = "") -> str:
        options = ["--no-psqlrc", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]
        asked = [each for command in commands for each in ("-c", command)]
        return run(
            "psql", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", *options, *asked, given=given
        )

    rows = "".join(f"{number}\t{random.Random(number).randbytes(40).hex()}\n" for number in range(20_000))
    sql("create table kept (number int primary key, what text)")
    sql("copy kept from stdin", given=rows)
    assert sql("copy (select * from kept order by number) to stdout") == rows
    assert sql("select 6 * 7", "select pg_sleep(0.1)", "select count(*) from kept").split() == ["42", "20000"]
    lines = balancer.access_log(4, lambda line: line["proto"] == "tcp")
    assert all(line["backend"] == database.address and line["status"] is None for line in lines)
    assert max(line["bytes_in"] for line in lines) > len(rows)


def test_redis_cli_goes_to_the_backup_when_the_primary_is_killed(serve, daemon):
    """The same redis-cli: its connection breaks, it connects again, and is with the backup."""
    primary, backup = daemon(redis, "primary"), daemon(redis, "backup")
    backends = [primary.address, {"address": backup.address, "backup": True}]
    balancer = serve(relay(backends, pool={"balance": "failover"}))
    _, port = balancer.address()
    client = subprocess.Popen(
        [tool("redis-cli"), "-p", str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    assert client.stdin is not None
    assert client.stdout is not None
    limit = threading.Timer(DEADLINE * 3, client.kill)
    limit.start()
    try:
        client.stdin.write("get who\n")
        assert client.stdout.readline() == "primary\n"
        primary.stop()
        client.stdin.write("get who\n" * 2)  # the first finds the connection closed, and says so
        assert client.stdout.readline() == "backup\n"
    finally:
        limit.cancel()
        client.kill()
        client.wait()
    for _ in range(10):
        assert run("redis-cli", "-p", str(port), "get", "who") == "backup\n"
    primary.start()
    primary.wait_until_ready()
    until(
        "new clients are with the primary again",
        lambda: run("redis-cli", "-p", str(port), "get", "who") == "primary\n",
        seconds=30,
    )


# ---- either side may end first


def test_netcat_ends_first_and_still_gets_the_answer(serve, peer):
    body = random.Random(1).randbytes(3 * MIB)

    def answers(line: Line) -> None:
        heard = read_all(line)
        line.send(hashlib.sha256(heard).hexdigest().encode() + heard[::-1])
        line.finish()

    balancer = serve(relay([peer(answers).address]))
    _, port = balancer.address()
    done = subprocess.run(
        [tool("nc"), "-N", "127.0.0.1", str(port)], input=body, capture_output=True, timeout=60, check=True
    )
    assert done.stdout[:64].decode() == hashlib.sha256(body).hexdigest()
    assert done.stdout[64:] == body[::-1]


def test_the_backend_ends_first_and_still_hears_netcat(serve, peer):
    body = random.Random(2).randbytes(3 * MIB)
    heard: list[bytes] = []

    def says_first(line: Line) -> None:
        line.send(body)
        line.finish()
        heard.append(read_all(line))

    balancer = serve(relay([peer(says_first).address]))
    _, port = balancer.address()
    client = subprocess.Popen(
        [tool("nc"), "-N", "127.0.0.1", str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert client.stdin is not None
    assert client.stdout is not None
    try:
        assert client.stdout.read(len(body)) == body
        client.stdin.write(body[::-1])
        client.stdin.close()
        until("the backend has heard it all", lambda: heard)
        assert heard[0] == body[::-1]
        assert client.wait(10) == 0
    finally:
        client.kill()
        client.wait()


@pytest.mark.parametrize("first", ["client", "backend"])
def test_a_half_closed_connection_lives_on(serve, peer, first):
    """After the FIN of one side the other goes on as long as it likes, and only its own FIN is the end."""
    go = threading.Event()
    heard: list[str] = []

    def script(line: Line) -> None:
        if first == "backend":
            line.send("hello")
            line.finish()
        heard.append("heard " + read_all(line).decode())
        if first == "client":
            for number in range(20):
                line.send(f"{number:02}")
            assert go.wait(10)
            line.send("over")

    balancer = serve(relay([peer(script).address]))
    with balancer.talk() as talk:
        if first == "client":
            talk.send("hello").finish()
            assert talk.exactly(40)[-2:] == b"19"
            assert heard == ["heard hello"]
            go.set()
            assert talk.rest() == b"over"
        else:
            assert talk.rest() == b"hello"
            for number in range(20):
                talk.send(f"{number:02}")
            assert heard == []
            talk.finish()
            until("the backend heard the end", lambda: heard)
            assert heard[0].endswith("19")
    (line,) = balancer.access_log(1)
    assert line["reason"] is None, line


@pytest.mark.parametrize("who", ["client", "backend"])
def test_a_reset_is_passed_on_as_a_reset(serve, peer, who):
    seen: list[str] = []

    def script(line: Line) -> None:
        line.exactly(5)
        line.send("hello")
        if who == "backend":
            line.exactly(1)
            line.reset()
            return
        try:
            seen.append("data" if line.socket.recv(1) else "end")
        except ConnectionResetError:
            seen.append("reset")

    balancer = serve(relay([peer(script).address]))
    with balancer.talk() as talk:
        assert talk.send("hello").exactly(5) == b"hello"
        if who == "client":
            talk.reset()
            until("the backend sees it", lambda: seen)
            assert seen == ["reset"]
        else:
            talk.send("!")
            with pytest.raises(ConnectionResetError):
                talk.socket.recv(1)


def ended(talk: Talk) -> bool:
    """True once the connection is over, in whatever way, without another byte."""
    try:
        return talk.socket.recv(1) == b""
    except ConnectionResetError:
        return True


def read_all(line: Line) -> bytes:
    """Everything up to the end of the connection."""
    heard = bytearray()
    with contextlib.suppress(Gone):
        while True:
            heard += line.some(256 * 1024)
    return bytes(heard)


# ---- every byte

WAYS = ["clear", "tls to pylb", "tls to the backend", "tls on both sides"]


def bodies(serve, peer, authority, way: str, count: int) -> None:
    """So many random bodies, eight clients at once."""
    from_client, to_backend = way in WAYS[1::2], way in WAYS[2:]
    pair = authority.issue("db.example", "127.0.0.1")
    backend = peer(exchange, tls=authority.server(pair) if to_backend else None)
    listener = {"tls": {"certificates": [pair.files]}} if from_client else {}
    pool = {"tls": {"ca": str(authority.ca), "server_name": "db.example"}} if to_backend else {}
    balancer = serve(relay([backend.address], listener=listener, pool=pool))
    how = {"tls": authority.client(), "name": "db.example"} if from_client else {}

    def one(seed: int) -> str:
        with balancer.talk(seconds=30, **how) as talk:
            return carry(talk, Plan.draw(seed, 8 * MIB))

    with ThreadPoolExecutor(8) as threads:
        wrong = [each for each in threads.map(one, range(count)) if each]
    assert not wrong, wrong
    assert len(balancer.access_log(count)) == count
    until("all connections are over", lambda: backend.open_connections() == 0)


@pytest.mark.parametrize("way", WAYS)
def test_bodies(serve, peer, authority, way):
    bodies(serve, peer, authority, way, 60 if way == "clear" else 15)


@pytest.mark.soak
@pytest.mark.parametrize("way", WAYS)
def test_a_thousand_bodies(serve, peer, authority, way):
    bodies(serve, peer, authority, way, 1_000)


# ---- the pool


def test_a_connection_that_is_refused_goes_to_another_backend(serve, peer):
    good = peer(mirror)
    balancer = serve(relay([f"127.0.0.1:{free_port()}", good.address]))
    for _ in range(8):
        with balancer.talk() as talk:
            assert talk.send("hello").exactly(5) == b"hello"


def test_all_are_refused(serve):
    """Nothing can be said in a protocol that is not known: the connection ends, and the log says why."""
    balancer = serve(relay([f"127.0.0.1:{free_port()}"]))
    with balancer.talk() as talk:
        assert ended(talk)
    (line,) = balancer.access_log(1)
    assert line["reason"], line


def test_at_max_in_flight_a_connection_waits_for_its_turn(serve, peer):
    backend = {"address": peer(mirror).address, "max_in_flight": 1}
    balancer = serve(relay([backend], pool={"queue": {"size": 10, "timeout": "20s"}}))
    with balancer.talk() as first, contextlib.ExitStack() as later:
        assert first.send("one").exactly(3) == b"one"
        second = later.enter_context(balancer.talk())
        second.send("two")
        assert first.send("three").exactly(5) == b"three"
        first.finish()
        assert first.closed()
        assert second.exactly(3) == b"two"


def test_an_idle_session_is_ended(serve, peer):
    backend = peer(mirror)
    balancer = serve(relay([backend.address], pool={"timeouts": {"idle": "300ms"}}))
    with balancer.talk() as talk:
        assert talk.send("hello").exactly(5) == b"hello"
        assert ended(talk)
    until("the backend's side is over too", lambda: backend.open_connections() == 0)
    (line,) = balancer.access_log(1)
    assert "idle" in line["reason"], line


def test_a_client_stays_by_its_address(serve, peer):
    names: dict[int, set[bytes]] = {}

    def named(name: str):
        return lambda line: (line.send(name), line.finish())

    peers = [peer(named(name)) for name in "abcd"]
    balancer = serve(relay([each.address for each in peers], pool={"balance": "ip_hash"}))
    for last in range(1, 17):
        for _ in range(3):
            with Talk(reachable(f"127.0.0.1:{balancer.address()[1]}"), source=f"127.0.0.{last}") as talk:
                names.setdefault(last, set()).add(talk.rest())
    assert all(len(found) == 1 for found in names.values())
    assert len(set.union(*names.values())) > 1
