"""`pylb serve` as a process: how it starts, what signals do, how it ends."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pylb.admin.client import client

DEADLINE = 60
"""Seconds until something that must happen counts as not happened."""


class Process:
    """A pylb with its lines; `said` waits for one."""

    def __init__(self, folder: Path, *arguments: str, **environ: str) -> None:
        self.folder = folder
        self.environ = {**os.environ, "XDG_RUNTIME_DIR": str(folder), **environ}
        for key in ("PYLB_ADMIN", "PYLB_CONFIG"):
            self.environ.pop(key, None)
        command = [sys.executable, "-m", "pylb", "serve", *arguments]
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=self.environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._more:
                self.lines.append(line.rstrip())
                self._more.notify_all()

    def said(self, text: str, *, times: int = 1) -> str:
        """The line that holds `text` (the last of `times`), once it is there."""

        def found() -> list[str]:
            return [line for line in self.lines if text in line]

        with self._more:
            assert self._more.wait_for(lambda: len(found()) >= times, DEADLINE), self.lines
            return found()[times - 1]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        """Its exit code, once it has ended and all its lines are there."""
        code = self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        return code

    def status(self) -> dict[str, Any]:
        return client(environ=self.environ).status()


Serve = Callable[..., Process]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts pylb with arguments, in a folder of its own that holds `files`."""
    with ExitStack() as stack:

        def start(*arguments: str, files: dict[str, str] | None = None, **environ: str) -> Process:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pylb")))
            for name, text in (files or {}).items():
                (folder / name).write_text(text)
            process = Process(folder, *arguments, **environ)
            stack.callback(process.process.wait)
            stack.callback(process.process.kill)
            return process

        yield start


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def config(port: int, more: str = "", backend: str = "127.0.0.1:1") -> str:
    return (
        f"listeners:\n  web:\n    bind: 127.0.0.1:{port}\n    routes: [{{pool: web}}]\n"
        f'pools:\n  web: {{backends: ["{backend}"]}}\nlog: {{access: off}}\n{more}'
    )


def test_term_ends_it_gracefully(serve: Serve) -> None:
    port = free_port()
    pylb = serve(files={"pylb.yaml": config(port)})
    pylb.said(f"serves web on 127.0.0.1:{port}")
    assert pylb.status()["pid"] == pylb.process.pid
    pylb.signal(signal.SIGTERM)
    assert pylb.ended() == 0
    assert pylb.lines[-1].endswith("INFO stopped")
    assert not (pylb.folder / "pylb" / "admin.sock").exists()


def slow_request(port: int) -> socket.socket:
    """A client in mid-request: its answer is owed as long as the backend takes."""
    talk = socket.create_connection(("127.0.0.1", port))
    talk.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    return talk


def test_a_request_in_flight_may_end(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as backend:
        pylb, talk, upstream = owing(serve, backend)
        pylb.signal(signal.SIGTERM)
        pylb.said("stopping: at most 30 s for 1 client to end")
        upstream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        assert talk.recv(1000).endswith(b"ok")
        assert pylb.ended() == 0


def test_a_second_signal_ends_it_at_once(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as backend:
        pylb, talk, _upstream = owing(serve, backend)
        pylb.signal(signal.SIGTERM)
        pylb.said("stopping: at most 30 s for 1 client to end")
        began = time.monotonic()
        pylb.signal(signal.SIGINT)
        assert pylb.ended() == 0
        assert time.monotonic() - began < 20
        assert talk.recv(1000).startswith(b"HTTP/1.1 503 ")


def owing(serve: Serve, backend: socket.socket) -> tuple[Process, socket.socket, socket.socket]:
    """A pylb that owes an answer, its client, and the connection to the backend that will give it."""
    port = free_port()
    pylb = serve(files={"pylb.yaml": config(port, backend=f"127.0.0.1:{backend.getsockname()[1]}")})
    pylb.said("serves web")
    talk = slow_request(port)
    return pylb, talk, backend.accept()[0]


def test_the_grace_is_kept(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as backend:
        port = free_port()
        address = f"127.0.0.1:{backend.getsockname()[1]}"
        pylb = serve(files={"pylb.yaml": config(port, "stop: {grace: 100ms}\n", address)})
        pylb.said("serves web")
        with slow_request(port):
            upstream = backend.accept()[0]
            pylb.signal(signal.SIGTERM)
            assert pylb.ended() == 0
            assert pylb.lines[-1].endswith("stopped, 1 connection cut")
            upstream.close()


def test_hup_puts_a_valid_file_in_force_and_leaves_an_invalid_one(serve: Serve) -> None:
    pylb = serve(files={"pylb.yaml": config(free_port())})
    pylb.said("serves web")
    file = pylb.folder / "pylb.yaml"
    good = file.read_text()
    file.write_text(good.replace("backends:", "backend:"))
    pylb.signal(signal.SIGHUP)
    assert "nothing was changed" in pylb.said("is not valid (")
    assert "did you mean" in pylb.said("ERROR pylb.yaml:6:")
    assert pylb.status()["generation"] == 1
    file.write_text(good.replace("127.0.0.1:1", "127.0.0.1:2"))
    pylb.signal(signal.SIGHUP)
    pylb.said("pylb.yaml is in force (generation 2)")
    assert pylb.status()["pools"]["web"]["backends"][0]["address"] == "127.0.0.1:2"


def test_a_hup_before_it_is_ready_is_heard_then(serve: Serve) -> None:
    pylb = serve(files={"pylb.yaml": config(free_port())})
    status = Path(f"/proc/{pylb.process.pid}/status")
    hup = 1 << (signal.SIGHUP - 1)
    until(lambda: bool(int(status.read_text().partition("SigBlk:")[2].split()[0], 16) & hup))
    pylb.signal(signal.SIGHUP)
    pylb.said("pylb.yaml is in force (generation 2)")


def test_reload_waits_for_the_outcome(serve: Serve) -> None:
    pylb = serve(files={"pylb.yaml": config(free_port())})
    pylb.said("serves web")
    answer = client(environ=pylb.environ).reload()
    assert (answer["ok"], answer["generation"]) == (True, 2)
    (pylb.folder / "pylb.yaml").write_text("listeners: 3\n")
    answer = client(environ=pylb.environ).reload()
    assert (answer["ok"], answer["exit_code"]) == (False, 3)
    assert "pylb.yaml:1:" in answer["text"]


def test_watch_reloads_what_is_saved(serve: Serve) -> None:
    pylb = serve("--watch", files={"pylb.yaml": config(free_port())})
    pylb.said("serves web")
    file = pylb.folder / "pylb.yaml"
    file.write_text(file.read_text() + "# saved\n")
    pylb.said("is in force (generation 2)")


def test_usr1_opens_files_anew_after_rotation(serve: Serve) -> None:
    more = "log: {access: access.log, to: pylb.log}\n"
    text = config(free_port()).replace("log: {access: off}\n", more)
    pylb = serve(files={"pylb.yaml": text})
    log = pylb.folder / "pylb.log"
    until(lambda: log.exists() and "serves web" in log.read_text())
    log.rename(pylb.folder / "old.log")
    (pylb.folder / "access.log").rename(pylb.folder / "old-access.log")
    pylb.signal(signal.SIGUSR1)
    until(log.exists)
    until((pylb.folder / "access.log").exists)


def test_an_address_in_use_is_one_line(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        pylb = serve(files={"pylb.yaml": config(port)})
        assert pylb.ended() == 1
    (line,) = pylb.lines
    assert f"cannot listen on 127.0.0.1:{port}: " in line
    assert "in use" in line


def test_messages_that_cannot_be_written_are_one_line(serve: Serve) -> None:
    text = config(free_port()).replace("access: off", "access: off, to: no/such/file.log")
    pylb = serve(files={"pylb.yaml": text})
    assert pylb.ended() == 1
    (line,) = pylb.lines
    assert line.startswith("pylb: pylb.yaml:7:24: log: cannot write to /")
    assert line.endswith("/no/such/file.log: No such file or directory")


def test_an_edit_with_a_hup_is_in_force_once(serve: Serve) -> None:
    pylb = serve("--watch", files={"pylb.yaml": config(free_port())})
    pylb.said("serves web")
    file = pylb.folder / "pylb.yaml"
    file.write_text(file.read_text().replace("127.0.0.1:1", "127.0.0.1:2"))
    pylb.signal(signal.SIGHUP)
    pylb.said("in force (generation 2)")
    file.write_text(file.read_text().replace("127.0.0.1:2", "127.0.0.1:3"))
    pylb.said("in force (generation 3)")
    assert pylb.status()["pools"]["web"]["backends"][0]["address"] == "127.0.0.1:3"


def test_a_file_that_is_not_there_is_one_line(serve: Serve) -> None:
    pylb = serve("nowhere.yaml")
    assert pylb.ended() == 1
    (line,) = pylb.lines
    assert "cannot read nowhere.yaml: No such file" in line


def test_mistakes_end_it_with_3_and_nothing_started(serve: Serve) -> None:
    pylb = serve(files={"pylb.yaml": "listeners:\n  web: {bind: 80}\npool: {}\n"})
    assert pylb.ended() == 3
    assert len(pylb.lines) >= 3
    assert all(":" in line for line in pylb.lines)


def test_a_second_one_warns_and_goes_beside(serve: Serve) -> None:
    first = serve(files={"pylb.yaml": config(free_port())})
    first.said("serves web")
    second = serve(files={"pylb.yaml": config(free_port())}, XDG_RUNTIME_DIR=str(first.folder))
    place = first.folder / "pylb" / f"admin-{second.process.pid}.sock"
    second.said(f"another pylb is running: reach this one with --admin unix:{place}")
    assert client(f"unix:{place}").status()["pid"] == second.process.pid


def test_systemd_hears_of_each_change(serve: Serve) -> None:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"{folder}/notify")
        manager.settimeout(DEADLINE)
        pylb = serve(files={"pylb.yaml": config(free_port())}, NOTIFY_SOCKET=f"{folder}/notify")
        assert manager.recv(1000).startswith(b"READY=1\n")
        pylb.signal(signal.SIGHUP)
        assert manager.recv(1000).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert manager.recv(1000).startswith(b"READY=1\n")
        pylb.signal(signal.SIGTERM)
        assert manager.recv(1000).startswith(b"STOPPING=1\n")


def test_the_descriptor_limit_is_raised(serve: Serve) -> None:
    hard = int(Path("/proc/self/limits").read_text().partition("Max open files")[2].split()[1])
    pylb = serve(files={"pylb.yaml": config(free_port())})
    pylb.said("serves web")
    assert pylb.status()["max_clients"] == (hard - 64) // 2


def test_the_demo_answers_from_three_origins_in_turn(serve: Serve) -> None:
    if in_use(8080):
        pytest.skip("port 8080 is in use")
    pylb = serve()
    pylb.said("serves web on 127.0.0.1:8080")
    answers = [ask_demo() for _ in range(6)]
    assert answers == [f"Hello from origin {number}\n" for number in (1, 2, 3, 1, 2, 3)]
    victim = int(pylb.said("origin 2   http://").rpartition(" ")[2])
    os.kill(victim, signal.SIGKILL)
    assert all(ask_demo().startswith("Hello") for _ in range(6))
    pylb.said(f"origin 2 (process {victim}) ended")
    until(lambda: ask_demo() == "Hello from origin 2\n")
    pylb.process.kill()
    pylb.ended()
    origins = [
        int(line.rpartition(" ")[2])
        for line in pylb.lines
        if "http://127.0.0.1:" in line and "process" in line
    ]
    until(lambda: not any(Path(f"/proc/{process}").exists() for process in origins))


def in_use(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


def ask_demo() -> str:
    connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=DEADLINE)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def until(holds: Callable[[], bool]) -> None:
    """Waits until it does."""
    ends = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < ends, "this never happened"
        time.sleep(0.02)


def test_status_is_json(serve: Serve) -> None:
    pylb = serve("--listen", f"127.0.0.1:{free_port()}", "--to", "127.0.0.1:1", "--health", "/healthz")
    pylb.said("serves web")
    until(lambda: pylb.status()["pools"]["web"]["backends"][0]["state"] == "down")
    backend = pylb.status()["pools"]["web"]["backends"][0]
    assert backend["why"] == "connection refused"
    assert backend["check"]["good"] is False
    assert json.dumps(backend)
    assert pylb.said("is down: connection refused")
