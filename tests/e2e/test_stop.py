"""How pylb starts, or says in one line why it does not, and how it ends."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from .balancer import pylb, site, tcp
from .load import Load
from .origin import Ask
from .patience import until
from .talk import Talk


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_term_lets_requests_in_flight_end(serve, origin, number):
    go = threading.Event()

    def slow(ask: Ask) -> None:
        assert go.wait(10)
        ask.answer(200, "worth the wait")

    one = origin(slow)
    balancer = serve(site([one.address], metrics={"bind": tcp()}))
    idle = balancer.talk()
    talk = balancer.talk()
    talk.request("GET")
    one.wait_for(1)
    balancer.signal(number)
    assert idle.closed(), "an idle connection closes at once"

    def refused() -> bool:
        try:
            balancer.talk().close()
        except ConnectionRefusedError:
            return True
        return False

    until("it accepts no more", refused)
    ready = balancer.ask_side("/readyz")
    assert (ready.status, ready.body) == (503, b"draining\n")
    assert balancer.process.poll() is None
    go.set()
    answer = talk.response()
    assert (answer.body, answer.get("connection")) == (b"worth the wait", "close")
    assert balancer.wait() == 0
    assert "stopped" in balancer.said("stopped")
    assert not balancer.admin.exists()


def test_term_under_load_fails_nobody(serve, origins):
    """Clients that never retry: each answer but the last of a connection says whether another may follow."""
    two = origins(2)
    balancer = serve(site([one.address for one in two]))
    load = Load(balancer.address(), connections=8, check=lambda answer: answer.status == 200).start()
    load.wait_for_more(200)
    balancer.signal(signal.SIGTERM)
    assert balancer.wait() == 0
    load.stop()
    assert load.outcomes["cut"] == 0
    # Behind the end nobody accepts any more; that is the only thing that may fail.
    assert set(load.why) <= {"failed: send: ConnectionRefusedError"}, load
    assert sum(one.count() for one in two) == load.outcomes["ok"]


def test_a_second_term_ends_at_once(serve, origin):
    one = origin(lambda ask: ask.wait_until_gone())
    balancer = serve(site([one.address]))
    talk = balancer.talk()
    talk.request("GET")
    one.wait_for(1)
    balancer.signal(signal.SIGTERM)
    balancer.said("stopping")
    began = time.monotonic()
    balancer.signal(signal.SIGTERM)
    assert balancer.wait() in (0, 1)
    assert time.monotonic() - began < 5
    assert talk.response().status == 503


def test_the_grace_bounds_a_stop(serve, origin):
    one = origin(lambda ask: ask.wait_until_gone())
    balancer = serve(site([one.address], stop={"grace": "500ms"}))
    talk = balancer.talk()
    talk.request("GET")
    one.wait_for(1)
    began = time.monotonic()
    balancer.signal(signal.SIGTERM)
    assert balancer.wait() == 0
    assert 0.4 < time.monotonic() - began < 5
    assert "1 connection cut" in balancer.said("stopped")
    assert talk.response().status == 503


def test_a_port_in_use_is_one_clear_line(serve, origin):
    one = origin()
    config = site([one.address], listener={"bind": one.address})
    balancer = serve(config, ready=False)
    assert balancer.wait() == 1
    assert len(balancer.stderr.splitlines()) == 1, balancer.stderr
    assert one.address in balancer.stderr
    assert "in use" in balancer.stderr
    assert "pylb.yaml:" in balancer.stderr


def test_two_pylb_do_not_share_a_port_in_silence(serve, origin):
    config = site([origin().address])
    serve(config)
    second = serve(config, ready=False)
    assert second.wait() == 1
    assert "in use" in second.stderr


def test_no_permission_is_one_clear_line(serve, origin, tmp_path):
    folder = tmp_path / "missing"
    balancer = serve(site([origin().address], listener={"bind": f"unix:{folder}/x.sock"}), ready=False)
    assert balancer.wait() == 1
    assert len(balancer.stderr.splitlines()) == 1, balancer.stderr
    assert str(folder) in balancer.stderr


def test_an_invalid_file_starts_nothing(serve, tmp_path):
    place = tcp()
    listeners = f"listeners:\n  web:\n    bind: {place}\n    rotes: [{{pool: a}}]\n"
    balancer = serve(listeners + "pools: {a: {backends: [127.0.0.1:99999]}}\n", ready=False)
    assert balancer.wait() == 3
    assert "pylb.yaml:4:5:" in balancer.stderr
    assert "routes" in balancer.stderr, "what to type instead"
    assert "pylb.yaml:5:" in balancer.stderr, "every mistake at once"


def test_a_missing_file_is_one_clear_line(tmp_path):
    told = pylb("serve", str(tmp_path / "none.yaml"))
    assert told.returncode == 1
    assert len(told.stderr.splitlines()) == 1
    assert "none.yaml" in told.stderr


def test_wrong_usage(tmp_path):
    assert pylb("serve", "--no-such-option").returncode == 2
    assert pylb("serve", "--listen", ":8080", cwd=tmp_path).returncode == 2
    assert pylb("fly").returncode == 2


def test_check_reports_everything_and_opens_nothing(tmp_path, origin):
    one = origin()
    good = tmp_path / "good.yaml"
    good.write_text(
        f"listeners: {{web: {{bind: {one.address}, routes: [{{pool: a}}]}}}}\n"
        "pools: {a: {backends: [127.0.0.1:9]}}\n"
    )
    assert pylb("check", str(good)).returncode == 0
    bad = tmp_path / "bad.yaml"
    bad.write_text(good.read_text().replace("routes", "rotes").replace("backends", "backend"))
    told = pylb("check", str(bad))
    assert told.returncode == 3
    assert "bad.yaml:1:" in told.stdout + told.stderr
    assert "bad.yaml:2:" in told.stdout + told.stderr


def test_serve_without_a_file(origin, tmp_path):
    """`--listen` and `--to` are a whole configuration."""
    one, two = origin(name="one"), origin(name="two")
    place = tcp()
    command = [
        "serve",
        "--listen",
        place,
        "--to",
        one.address,
        "--to",
        two.address,
        "--balance",
        "round_robin",
    ]
    environ = {**os.environ, "PYLB_ADMIN": f"unix:{tmp_path}/admin.sock"}
    with subprocess.Popen([sys.executable, "-m", "pylb", *command], env=environ, cwd=tmp_path) as process:
        try:
            host, _, port = place.partition(":")

            def bodies() -> set[bytes]:
                try:
                    with Talk((host, int(port))) as talk:
                        return {talk.get().body for _ in range(4)}
                except ConnectionRefusedError:
                    return set()

            assert until("it serves", bodies) == {b"one", b"two"}
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        finally:
            process.kill()


def test_systemd_is_told(origin, serve, tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        balancer = serve(site([origin().address]))
        assert b"READY=1" in manager.recv(4096)
        balancer.signal(signal.SIGHUP)
        assert b"RELOADING=1" in manager.recv(4096)
        assert b"READY=1" in manager.recv(4096)
        assert balancer.stop() == 0
        assert b"STOPPING=1" in manager.recv(4096)
