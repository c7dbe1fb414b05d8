"""Servers that others wrote and people put behind a load balancer: PostgreSQL, Redis, dnsmasq.

Each runs in a folder of its own, on a port of its own, with nothing of the machine's configuration. What
refuses to run as root (PostgreSQL) runs as the user that its package made.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from .patience import until
from .ports import free_port
from .tools import skip, tool

START = 30.0
"""Seconds for a start."""


class Daemon:
    """One server. `{port}`, `{host}` and `{folder}` in its command are its own; `answers` says when it is
    there."""

    def __init__(
        self,
        command: Sequence[str],
        answers: Callable[["Daemon"], bool],
        *,
        folder: Path | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.host = host
        self.port = free_port()
        self.address = f"{host}:{self.port}"
        self.folder = folder or Path(tempfile.mkdtemp(prefix="pylb-daemon-"))
        self._command = [each.format(port=self.port, folder=self.folder, host=host) for each in command]
        self._answers = answers
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Starts it (again); returns at once."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def wait_until_ready(self) -> "Daemon":
        """Returns once it answers."""
        until(f"{self._command} answers", self._is_ready, seconds=START)
        return self

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text()
        return self._answers(self)

    def stop(self) -> None:
        """kill -9 of the whole process group; it may be started again."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def kill(self) -> None:
        """The same, and all it has written is gone."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def run(*command: str, given: str = "", seconds: float = 60) -> str:
    """What a program prints; fails if it fails."""
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def redis(who: str) -> Daemon:
    """A Redis without a disk, in which the key `who` holds its name."""
    client = tool("redis-cli")
    command = [
        tool("redis-server"),
        "--port",
        "{port}",
        "--bind",
        "{host}",
        "--save",
        "",
        "--dir",
        "{folder}",
    ]

    def answers(daemon: Daemon) -> bool:
        asked = [client, "-p", str(daemon.port), "set", "who", who]
        return subprocess.run(asked, capture_output=True, check=False).stdout == b"OK\n"

    return Daemon(command, answers)


def dnsmasq(who: str) -> Daemon:
    """A name server that gives every name the address `who`, and forwards nothing."""
    dig = tool("dig")
    command = [tool("dnsmasq"), "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"]
    command += ["--port={port}", "--listen-address={host}", "--bind-interfaces", "--pid-file="]
    command += ["--user=root", "--cache-size=0", f"--address=/test/{who}"]

    def answers(daemon: Daemon) -> bool:
        asked = [dig, "@127.0.0.1", "-p", str(daemon.port), "+short", "+tries=1", "+time=1", "a.test"]
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() == who

    return Daemon(command, answers)


def postgres() -> Daemon:
    """A PostgreSQL with an empty database, into which everybody is let."""
    tool("psql")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        skip("postgres is missing; Debian's package postgresql brings it")
    programs = found[-1].parent
    folder = Path(tempfile.mkdtemp(prefix="pylb-daemon-"))
    as_user = _as_user("postgres", folder)
    data = folder / "data"
    made = [programs / "initdb", "--pgdata", data, "--auth=trust", "--username=postgres", "--no-sync"]
    run(*as_user, *map(str, made), "--encoding=UTF8", "--no-locale")
    command = [*as_user, str(programs / "postgres"), "-D", str(data), "-p", "{port}", "-h", "{host}"]
    command += ["-c", "unix_socket_directories=", "-c", "fsync=off"]

    def answers(daemon: Daemon) -> bool:
        asked = [str(programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(daemon.port)]
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0

    return Daemon(command, answers, folder=folder)


def _as_user(name: str, folder: Path) -> list[str]:
    """What to put before a command that may not run as root; the folder becomes that user's."""
    if os.getuid() != 0:
        return []
    user = pwd.getpwnam(name)
    os.chown(folder, user.pw_uid, user.pw_gid)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
