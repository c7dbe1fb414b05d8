"""Crowds, storms and stuck neighbours: what hurts must stay where it is."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from .balancer import Balancer, pylb, site, tcp
from .load import Load
from .origin import Ask
from .patience import holds, pause, until
from .ports import free_port
from .talk import Cut

MIB = 1 << 20


def hangs(ask: Ask) -> None:
    ask.wait_until_gone()
    ask.origin.abandoned.append(ask)


def test_a_client_that_sends_without_end_behind_a_request(serve, origin):
    """Requests in a pipeline wait in the client's socket, not in our memory."""
    one = origin(lambda ask: ask.wait_until_gone())
    balancer = serve(site([one.address]))
    before = balancer.memory()
    request = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n" * 4_000
    sent = 0
    with balancer.talk(seconds=0.5) as talk:
        talk.request("GET")
        one.wait_for(1)
        try:
            while sent < 64 * MIB:
                sent += talk.socket.send(request)
        except TimeoutError:
            pass
        assert sent < 32 * MIB
        assert balancer.memory() - before < 2 * MIB
        assert one.count() == 1


def test_a_client_that_leaves_behind_a_pipeline(serve, origin):
    one = origin(hangs)
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        talk.request("GET", "/1").request("GET", "/2").request("GET", "/3")
        one.wait_for(1)
    until("the backend sees it", lambda: one.abandoned, seconds=2)
    holds("nothing else was sent", lambda: one.count() == 1, seconds=0.2)


def test_a_thousand_pipelined_requests(serve, origin):
    one = origin(lambda ask: ask.answer(200, ask.target))
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        sender = threading.Thread(
            target=lambda: talk.send("".join(f"GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n" for n in range(1_000)))
        )
        sender.start()
        assert [talk.response().body for _ in range(1_000)] == [f"/{n}".encode() for n in range(1_000)]
        sender.join()


def test_a_new_connection_for_every_request(serve, origins):
    two = origins(2)
    balancer = serve(site([one.address for one in two]))
    load = Load(balancer.address(), connections=16, requests=2_000, lines=("Connection: close",)).run()
    assert load.all_ok(), load
    assert sum(one.count() for one in two) == 2_000


def test_a_thousand_clients_at_once(serve, origin):
    """All of them are connected before the first asks; all are served."""
    one = origin()
    balancer = serve(site([one.address]))
    talks = [balancer.talk(seconds=30) for _ in range(1_000)]
    for talk in talks:
        talk.request("GET")
    for talk in talks:
        assert talk.response().status == 200
    for talk in talks:
        talk.close()
    assert one.connections <= 1_000


def test_tiny_chunks_both_ways(serve, origin):
    def echo(ask: Ask) -> None:
        body = ask.read_body()
        ask.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        framed = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
        for at in range(0, len(framed), 1_001):
            ask.send(framed[at : at + 1_001])

    one = origin(echo)
    balancer = serve(site([one.address]))
    data = bytes(range(256)) * 40
    with balancer.talk() as talk:
        talk.request("POST", "/", "Transfer-Encoding: chunked")
        framed = b"".join(b"1\r\n%c\r\n" % byte for byte in data) + b"0\r\n\r\n"
        for at in range(0, len(framed), 997):
            talk.send(framed[at : at + 997])
        assert talk.response().body == data
        assert talk.get().status == 200


def test_a_head_from_the_backend_byte_by_byte(serve, origin):
    def slow(ask: Ask) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nok":
            ask.send(bytes([byte]))

    one = origin(slow)
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        for _ in range(3):
            answer = talk.get()
            assert (answer.body, answer.get("x-a")) == (b"ok", "b")


def test_an_access_log_nobody_reads_delays_nothing(tmp_path, origin):
    """stdout is a pipe that is never emptied: lines are dropped and counted, requests are not."""
    one = origin()
    config = site([one.address], metrics={"bind": tcp()})
    reading, writing = os.pipe()
    try:
        balancer = Balancer(tmp_path, config, stdout=writing).wait_until_ready()
        try:
            target = "/" + "x" * 6_000
            load = Load(balancer.address(), connections=8, requests=2_000, target=target).run()
            assert load.all_ok(), load
            assert balancer.ask_side("/healthz").status == 200
            assert balancer.metrics().value("pylb_log_dropped_total") > 0
            began = time.monotonic()
            assert balancer.stop() == 0
            assert time.monotonic() - began < 8
        finally:
            balancer.end()
    finally:
        os.close(reading)
        os.close(writing)


def test_a_storm_of_hups(serve, origins):
    two = origins(2)
    balancer = serve(site([one.address for one in two]))
    with Load(balancer.address(), connections=4) as load:
        for _ in range(200):
            balancer.signal(signal.SIGHUP)
            pause(0.002)
        load.wait_for_more(100)
    assert load.all_ok(), load
    assert load.quiet_closes == 0
    assert balancer.reload()["ok"]


def test_silence_inside_an_answer_is_not_idleness(serve, origin):
    """A stream of events may be silent for longer than any of the client's times."""

    def sparse(ask: Ask) -> None:
        ask.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        ask.chunk("one")
        pause(1.2)
        ask.chunk("two")
        ask.chunk("")

    one = origin(sparse)
    short = {"head": "300ms", "body_idle": "300ms", "keepalive": "300ms", "send_idle": "300ms"}
    balancer = serve(site([one.address], listener={"timeouts": short}))
    with balancer.talk() as talk:
        assert talk.get().body == b"onetwo"


def test_two_pylb_of_one_user(serve, origin, tmp_path):
    """The second keeps out of the first one's admin socket; commands ask which one is meant."""
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    environ = {"XDG_RUNTIME_DIR": str(runtime)}
    one = origin()
    processes = []
    try:
        for number in range(2):
            file = tmp_path / f"{number}.yaml"
            place = tcp()
            file.write_text(
                f"listeners: {{web: {{bind: {place}, routes: [{{pool: a}}]}}}}\n"
                f"pools: {{a: {{backends: [{one.address}]}}}}\n"
            )
            command = [sys.executable, "-m", "pylb", "serve", str(file)]
            quiet = subprocess.DEVNULL
            processes.append(
                subprocess.Popen(command, env={**os.environ, **environ}, stdout=quiet, stderr=quiet)
            )
            until("it has an admin socket", lambda n=number: len(list(runtime.rglob("*.sock"))) == n + 1)
        names = sorted(path.name for path in runtime.rglob("*.sock"))
        assert names == sorted(["admin.sock", f"admin-{processes[1].pid}.sock"])
        told = pylb("status", environ=environ)
        assert told.returncode == 1
        assert "--admin" in told.stderr
        for path in runtime.rglob("*.sock"):
            assert pylb("status", "--admin", f"unix:{path}", environ=environ).returncode == 0
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            assert process.wait(10) == 0
    assert not list(runtime.rglob("*.sock"))


def test_an_upload_is_tried_elsewhere_before_its_first_byte_is_taken(serve, origin):
    one = origin()
    balancer = serve(site([f"127.0.0.1:{free_port()}", one.address]))
    body = os.urandom(4 * MIB)
    with balancer.talk() as talk:
        for _ in range(4):
            assert talk.request("POST", body=body).response().status == 200
        one.script = lambda ask: (ask.send("HTTP/1.1 100 Continue\r\n\r\n"), ask.read_body(), ask.answer())
        talk.request("POST", "/", "Expect: 100-continue", "Content-Length: 5")
        assert talk.head().status == 100
        assert talk.send("hello").response().status == 200
    assert all(ask.body == body for ask in one.ledger[:4])


def test_an_early_answer_of_a_backend_that_goes_on_reading(serve, origin):
    def early(ask: Ask) -> None:
        ask.answer(200, "early")
        ask.read_body()

    one = origin(early)
    balancer = serve(site([one.address]))
    for _ in range(5):
        with balancer.talk() as talk:
            talk.request("POST", "/", "Content-Length: 400000").send(bytes(100_000))
            assert talk.head().status == 200
            assert talk.exactly(5) == b"early"
            try:
                talk.send(bytes(300_000))
                assert talk.get("/after").status == 200
            except (Cut, OSError):
                pass  # it may close, having said so
    with balancer.talk() as talk:
        one.script = lambda ask: ask.answer(200, "fine")
        assert talk.get().body == b"fine"


def test_head_answered_with_a_coding_has_no_body(serve, origin):
    one = origin(lambda ask: ask.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"))
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        for _ in range(3):
            answer = talk.request("HEAD").response(to="HEAD")
            assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize("said", [2, 1])
def test_how_long_a_backend_keeps_connections_is_believed(serve, origin, said):
    """`timeout=2` minus one second: older connections are not used, and none is kept for `timeout=1`."""
    one = origin(lambda ask: ask.answer(200, None, f"Keep-Alive: timeout={said}"))
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        talk.get()
        talk.get()
        assert one.connections == (1 if said == 2 else 2)
        pause(1.2)
        talk.get()
        assert one.connections == (2 if said == 2 else 3)
