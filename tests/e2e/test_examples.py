"""Examples with servers of their own: copied, started as their first lines say, and used as their clients use
them, those for frameworks whose sessions live in one process by several at once. Those whose frameworks take
a minute to install (the extra `apps`) run with the soak tests."""

import http.cookiejar
import json
import os
import re
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .balancer import Balancer, pylb
from .patience import until
from .ports import free_port
from .tools import module

START = 90.0
"""Seconds for a start: some import half of PyPI, twice, on two cores."""


@dataclass
class Example:
    """One that runs: the folder that it was copied to, and pylb in front of it."""

    folder: Path
    balancer: Balancer
    servers: list["subprocess.Popen[bytes]"]

    @property
    def url(self) -> str:
        host, port = self.balancer.address()
        return f"http://{host}:{port}"

    def place(self, listener: str) -> tuple[str, int]:
        """Where one of its listeners is."""
        host, port = self.balancer.address(listener)
        return host, port

    def clients(self, count: int) -> list[list[str]]:
        """What several runs of its client print, that go on at the same time."""
        command = [sys.executable, "client.py", self.url]
        running = [
            subprocess.Popen(
                command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            for _ in range(count)
        ]
        done = [client.communicate(timeout=START) for client in running]
        assert [client.returncode for client in running] == [0] * count, done
        return [out.splitlines() for out, _ in done]

    def browser(self) -> urllib.request.OpenerDirector:
        """A client of its own that keeps cookies."""
        return urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

    def served(self) -> dict[str, int]:
        """How many requests each backend has answered."""
        return {each["name"]: each["requests"] for each in self.balancer.status()["pools"]["app"]["backends"]}


@pytest.fixture
def example(serve, tmp_path) -> Iterator[Callable[[str], Example]]:
    """Starts one by its name, on ports that are free."""
    with ExitStack() as stack:

        def start(name: str) -> Example:
            folder = tmp_path / name
            done = pylb("init", name, "--directory", str(folder))
            assert done.returncode == 0, done
            text = (folder / "pylb.yaml").read_text()
            for port in sorted(set(re.findall(r"\b(?:8080|844\d|900\d)\b", text))):
                text = re.sub(rf"\b{port}\b", str(free_port()), text)
            for command in re.findall(r"^#   (openssl .*?[^\\])$", text, re.MULTILINE | re.DOTALL):
                words = shlex.split(command.replace("\\\n#", ""))
                subprocess.run(words, cwd=folder, check=True, capture_output=True)
            servers = []
            environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
            environ |= dict(re.findall(r"^#   export (\w+)=(.*)$", text, re.MULTILINE))
            for number, command in enumerate(re.findall(r"^#   (.*) &$", text, re.MULTILINE)):
                log = stack.enter_context((folder / f"log-{number}").open("wb"))
                as_root = ["--allow-root"] if name == "jupyter" and os.geteuid() == 0 else []
                process = subprocess.Popen(
                    [*shlex.split(command), *as_root],
                    cwd=folder,
                    env=environ,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
                stack.callback(end, process)
                servers.append(process)
            balancer = serve(text, ready=False)
            balancer.said("serves ", seconds=START)
            until(f"the servers of {name} are up", lambda: all_up(balancer), seconds=START)
            return Example(folder, balancer, servers)

        yield start


def end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def all_up(balancer: Balancer) -> bool:
    return all(each["state"] == "up" for each in balancer.status()["pools"]["app"]["backends"])


def is_one_session(lines: list[str]) -> bool:
    """Three answers of one process, that counted to three."""
    found = [re.match(r"process (\d+), (\d) c", line) for line in lines]
    assert all(found), lines
    answers = [each.groups() for each in found if each]
    return len({process for process, _ in answers}) == 1 and [count for _, count in answers] == [
        "1",
        "2",
        "3",
    ]


@pytest.mark.parametrize(
    ("name", "extra"),
    [pytest.param("gradio", "apps", marks=pytest.mark.soak), ("socketio", "test"), ("mcp", "test")],
)
def test_sessions_of_several_clients_each_stay_in_their_process(example, name, extra):
    module(name, extra)
    running = example(name)
    for lines in running.clients(4):
        assert is_one_session(lines), lines
    assert min(running.served().values()) > 0


@pytest.mark.soak
def test_a_streamlit_page_and_all_that_belongs_to_it(example):
    module("streamlit", "apps")
    running = example("streamlit")
    for _ in range(3):
        browser = running.browser()
        browser.open(f"{running.url}/").read()
        before = running.served()
        for path in ("/_stcore/health", "/_stcore/host-config", "/favicon.png", "/") * 3:
            assert browser.open(running.url + path).status == 200
        moved = {name for name, count in running.served().items() if count > before[name]}
        assert len(moved) == 1, (before, running.served())


@pytest.mark.soak
def test_a_jupyter_kernel_is_found_again(example):
    module("jupyter_server", "apps")
    running = example("jupyter")
    browsers = [running.browser() for _ in range(3)]
    for browser in browsers:
        kernel = asked(browser, f"{running.url}/api/kernels", method="POST")["id"]
        for _ in range(6):
            assert asked(browser, f"{running.url}/api/kernels/{kernel}")["id"] == kernel
    assert len(asked(browsers[0], f"{running.url}/api/kernels")) < 4


def asked(browser: urllib.request.OpenerDirector, url: str, *, method: str = "GET") -> Any:
    """The JSON of Jupyter's REST API."""
    headers = {"Authorization": "token choose-a-long-one", "Content-Type": "application/json"}
    data = b"{}" if method == "POST" else None
    with browser.open(urllib.request.Request(url, data, headers, method=method)) as answer:
        return json.loads(answer.read())


def test_tls_with_a_certificate_that_pylb_made(example):
    running = example("tls")
    authority = running.balancer.folder / "state/internal/authority.pem"
    browser = urllib.request.build_opener(
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=authority))
    )
    ports = {name: running.place(name)[1] for name in ("clear", "web")}
    for scheme, name in (("https", "web"), ("http", "clear")):
        with browser.open(f"{scheme}://localhost:{ports[name]}/") as answer:
            assert answer.status == 200
            assert answer.url == f"https://localhost:{ports['web']}/"
    assert sum(running.served().values()) == 2


def test_lines_over_tcp_and_the_server_that_stands_in(example):
    running = example("tcp")
    first = conversation(running, b"hello\n")
    assert first[1] == b"hello\n"
    end(running.servers[0])
    until("the other stands in", lambda: conversation(running, b"hello\n")[0] not in (b"", first[0]))


def conversation(running: Example, line: bytes) -> list[bytes]:
    """What the server calls itself, and what it sends back."""
    with socket.create_connection(running.place("app"), START) as client:
        client.sendall(line)
        client.shutdown(socket.SHUT_WR)
        return [*client.makefile("rb"), b""]


def test_datagrams_of_several_clients_go_to_both_servers(example):
    running = example("udp")
    until("both have answered", lambda: len({datagram(running, b"hello") for _ in range(4)} - {b""}) == 2)


def datagram(running: Example, text: bytes) -> bytes:
    """The answer that a new client gets, if any."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(START)
        client.connect(running.place("app"))
        try:
            client.send(text)
            answer = client.recv(65536)
        except ConnectionRefusedError:
            return b""
    assert answer.endswith(b": hello"), answer
    return answer


def test_a_name_is_passed_on_and_another_decrypted_on_one_port(example):
    running = example("passthrough")
    authority = running.balancer.folder / "state/internal/authority.pem"
    assert b"encrypted all the way" in https(running, "app.localhost", running.folder / "app.pem")
    assert b"HTTP/1.1 200 OK" in https(running, "localhost", authority)


def https(running: Example, name: str, authority: Path) -> bytes:
    """What is answered for a name, on the port where both are served."""
    context = ssl.create_default_context(cafile=authority)
    with (
        socket.create_connection(running.place("edge"), START) as plain,
        context.wrap_socket(plain, server_hostname=name) as client,
    ):
        client.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        return client.makefile("rb").read()
