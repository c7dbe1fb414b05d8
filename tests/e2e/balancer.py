"""pylb, as a process of its own.

`Balancer` writes a configuration file, runs `python -m pylb serve` on it and knows when it listens. What it
says goes to files: `stderr` for messages, `stdout` for the access log. It is stopped by its own process id,
and whoever started it checks that it never panicked and never showed a traceback.
"""

import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from .patience import DEADLINE, until
from .ports import free_port
from .talk import Address, Talk

Config = Mapping[str, Any]
NOTHING: Mapping[str, Any] = MappingProxyType({})
START = 30.0
"""Seconds that a start may take, on a machine that has much else to do."""
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class Balancer:
    """A running pylb. `config` is the file as data, or as text."""

    def __init__(
        self,
        folder: Path,
        config: Config | str,
        *,
        arguments: Sequence[str] = (),
        descriptors: int | None = None,
        pass_fds: Sequence[int] = (),
        stdout: int | None = None,
        wrapper: Sequence[str] = (),
        prepare: Callable[[Path], object] = lambda folder: None,
    ) -> None:
        prepare(folder)
        self.folder = folder
        self.file = folder / "pylb.yaml"
        self.admin = folder / "admin.sock"
        self._stdout = folder / "stdout"
        self._stderr = folder / "stderr"
        self.write(config)
        command = [*wrapper, sys.executable, "-m", "pylb", "serve", str(self.file), *arguments]
        with self._stdout.open("wb") as out, self._stderr.open("wb") as err:
            self.process = subprocess.Popen(
                command,
                stdout=out if stdout is None else stdout,
                stderr=err,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYLB_ADMIN": f"unix:{self.admin}", "XDG_STATE_HOME": str(folder)},
                pass_fds=pass_fds,
                preexec_fn=_limit(descriptors),
            )

    # ---- its configuration

    def write(self, config: Config | str) -> None:
        """Writes the file anew; whether pylb reads it is another matter."""
        text = config if isinstance(config, str) else yaml.dump(dict(config), Dumper=_Dumper, sort_keys=False)
        self.file.write_text(text)
        self._config = yaml.safe_load(text) if isinstance(config, str) else config

    @property
    def config(self) -> dict[str, Any]:
        """What was last written."""
        return dict(self._config)

    def address(self, listener: str = "web") -> Address:
        """Where a listener of the configuration can be reached."""
        bind = self._config["listeners"][listener]["bind"]
        return reachable(bind if isinstance(bind, str) else bind[0])

    def talk(self, listener: str = "web", **how: Any) -> Talk:
        """A new client connection."""
        return Talk(self.address(listener), **how)

    # ---- its life

    def wait_until_ready(self) -> "Balancer":
        """Returns once every HTTP listener accepts and Python answers on the admin socket, which it does when
        the others listen too: a connection to see whether they do would be one to their backends."""
        binds = [each["bind"] for each in self._config["listeners"].values() if _is_plain(each)]
        binds += [self._config["metrics"]["bind"]] if "metrics" in self._config else []
        flat = [one for bind in binds for one in ([bind] if isinstance(bind, str) else bind)]
        for bind in flat:
            if not bind.startswith("fd:"):
                until(f"pylb listens on {bind}", lambda bind=bind: self._accepts(bind), seconds=START)
        until("the admin socket answers", lambda: self._accepts(f"unix:{self.admin}"), seconds=START)
        return self

    def _accepts(self, bind: str) -> bool:
        assert self.process.poll() is None, f"pylb ended with {self.process.returncode}:\n{self.stderr}"
        try:
            Talk(reachable(bind)).close()
        except OSError:
            return False
        return True

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the process."""
        self.process.send_signal(number)

    def wait(self, seconds: float = DEADLINE) -> int:
        """The exit code, once it has ended by itself."""
        return self.process.wait(seconds)

    def stop(self) -> int:
        """Asks it to end, and waits for that."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def end(self) -> None:
        """Ends whatever is left, and looks for what must never be in its log."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for word in ("panicked", "Traceback", "RuntimeWarning"):
            assert word not in self.stderr, f"pylb wrote {word!r}:\n{self.stderr}"

    # ---- what it says

    @property
    def stderr(self) -> str:
        """Its messages so far."""
        return self._stderr.read_text(errors="replace")

    @property
    def stdout(self) -> str:
        """Its access log so far, where that goes to stdout."""
        return self._stdout.read_text(errors="replace")

    def said(self, pattern: str, *, seconds: float = DEADLINE) -> str:
        """The first message that matches, waiting for it if need be."""
        found = until(f"a message like {pattern!r}", lambda: self._find(pattern), seconds=seconds)
        return found[0]

    def _find(self, pattern: str) -> list[str]:
        return [line for line in self.stderr.splitlines() if re.search(pattern, line)]

    def access_log(
        self, count: int, which: Callable[[dict[str, Any]], bool] = lambda line: True
    ) -> list[dict[str, Any]]:
        """The JSON access log, once at least `count` lines of it are as wanted; only those."""

        def enough() -> list[dict[str, Any]] | None:
            complete = self.stdout.rpartition("\n")[0].splitlines()
            lines = [line for line in map(json.loads, complete) if which(line)]
            return lines if len(lines) >= count else None

        return until(f"{count} lines of access log", enough)

    # ---- its doors for operators

    def reload(self) -> dict[str, Any]:
        """Asks for a reload and waits for the outcome."""
        return self._ask("POST", "/v1/reload")

    def load(self, config: Config | str) -> dict[str, Any]:
        """Writes a configuration and puts it in force; fails if pylb refuses it."""
        self.write(config)
        outcome = self.reload()
        assert outcome["ok"], outcome
        return outcome

    def hang_up(self) -> None:
        """HUP, and waits until a plan came into force by it."""
        before = self.status()["generation"]
        self.signal(signal.SIGHUP)
        until("a new plan is in force", lambda: self.status()["generation"] > before)

    def status(self) -> dict[str, Any]:
        """What `pylb status --json` gets."""
        return self._ask("GET", "/v1/status")

    def backend(self, pool: str, name: str) -> dict[str, Any]:
        """One backend of the status, by its name."""
        found = [one for one in self.status()["pools"][pool]["backends"] if one["name"] == name]
        assert found, f"no backend {name} in pool {pool}"
        return found[0]

    def _ask(self, method: str, path: str) -> dict[str, Any]:
        with Talk(self.admin, seconds=30) as talk:
            talk.send(f"{method} {path} HTTP/1.1\r\nHost: pylb\r\nContent-Length: 0\r\n\r\n")
            answer = talk.response()
        assert answer.status == 200, answer
        return json.loads(answer.body)

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Runs another `pylb` command that is meant for this process."""
        return pylb(*arguments, environ={"PYLB_ADMIN": f"unix:{self.admin}"})

    def start_command(self, *arguments: str) -> "subprocess.Popen[str]":
        """Starts one that takes its time."""
        return subprocess.Popen(
            [sys.executable, "-m", "pylb", *arguments],
            env={**os.environ, "PYLB_ADMIN": f"unix:{self.admin}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def metrics(self, *, requests: int = 0) -> "Samples":
        """All samples of /metrics, once this many requests are counted: each is, just after its last byte."""

        def counted() -> Samples | None:
            found = Samples(self.ask_side("/metrics").body.decode())
            return found if found.value("pylb_requests_total") >= requests else None

        return until(f"{requests} requests are counted", counted)

    def ask_side(self, path: str) -> Any:
        """An answer of the metrics listener."""
        with Talk(reachable(self._config["metrics"]["bind"])) as talk:
            return talk.get(path)

    def descriptors(self) -> int:
        """How many it has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def memory(self) -> int:
        """Bytes of its resident set."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found
        return int(found[1]) * 1024


class Samples:
    """Prometheus text, parsed strictly: a line that is no comment must be a sample."""

    _sample = re.compile(r'([a-zA-Z_:][\w:]*)(?:\{((?:[a-z]\w*="(?:[^"\\]|\\.)*",?)*)\})? (\S+)')
    _label = re.compile(r'([a-z]\w*)="((?:[^"\\]|\\.)*)"')

    def __init__(self, text: str) -> None:
        self.values: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        self.kinds: dict[str, str] = {}
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                name, kind = line.split()[2:]
                assert name not in self.kinds, f"two TYPE lines for {name}"
                self.kinds[name] = kind
            elif not line.startswith("# HELP "):
                self._take(line)

    def _take(self, line: str) -> None:
        parsed = self._sample.fullmatch(line)
        assert parsed, f"not a sample: {line!r}"
        key = (parsed[1], frozenset(self._label.findall(parsed[2] or "")))
        assert key not in self.values, f"twice: {line!r}"
        self.values[key] = float(parsed[3])

    def value(self, name: str, **labels: str) -> float:
        """The sum of all samples of this name that carry these labels."""
        wanted = set(labels.items())
        return sum(value for (each, has), value in self.values.items() if each == name and wanted <= has)


def reachable(bind: str) -> Address:
    """The address to connect to for a bind as a user writes it."""
    if bind.startswith("unix:"):
        return Path(bind.removeprefix("unix:"))
    host, _, port = bind.rpartition(":")
    host = host.strip("[]")
    return ({"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), int(port))


def _is_plain(listener: Config) -> bool:
    return listener.get("protocol", "http") == "http" and not {"tls", "proxy_protocol"} & listener.keys()


def tcp() -> str:
    """A bind on the loopback address, on a free port."""
    return f"127.0.0.1:{free_port()}"


def site(
    backends: Sequence[Any], *, pool: Config = NOTHING, listener: Config = NOTHING, **top: Any
) -> dict[str, Any]:
    """The plainest configuration: listener `web`, pool `app`; what is given replaces or adds keys."""
    return {
        "listeners": {"web": {"bind": tcp(), "routes": [{"pool": "app"}], **listener}},
        "pools": {"app": {"balance": "round_robin", "backends": list(backends), **pool}},
        "workers": 2,
        **top,
    }


def relay(
    backends: Sequence[Any], *, pool: Config = NOTHING, listener: Config = NOTHING, **top: Any
) -> dict[str, Any]:
    """The plainest configuration of layer 4: listener `web` speaks TCP, or what is given, with pool `app`."""
    return {
        "listeners": {"web": {"bind": tcp(), "protocol": "tcp", "pool": "app", **listener}},
        "pools": {"app": {"balance": "round_robin", "backends": list(backends), **pool}},
        "workers": 2,
        **top,
    }


def pylb(
    *arguments: str, environ: Mapping[str, str] = NOTHING, cwd: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """Runs a `pylb` command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "pylb", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environ},
        cwd=cwd,
        timeout=60,
        check=False,
    )


def _limit(descriptors: int | None) -> Callable[[], None] | None:
    if descriptors is None:
        return None
    count = descriptors
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))
