"""Servers of other people, or of ours, as processes: the programs of `tests/apps`.

Each is the leader of a process group that can be killed as a whole. What it prints is in its log.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from .patience import until
from .ports import free_port
from .talk import Cut, Talk

SOURCES = Path(__file__).parents[1] / "apps"
START = 60.0
"""Seconds for a start: some import half of PyPI, several of them at once, on two cores."""
NOTHING: Mapping[str, str] = MappingProxyType({})


class Program:
    """One server. `arguments` follow `python -m` or the name of a file in `tests/apps`; `{port}` is its
    port."""

    def __init__(
        self, folder: Path, *arguments: str, environ: Mapping[str, str] = NOTHING, ready: str = "/"
    ) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.log = folder / f"program-{self.port}.log"
        self._command = [argument.format(port=self.port) for argument in arguments]
        self._environ = {**os.environ, "PYTHONPATH": str(SOURCES), **environ}
        self._ready = ready
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Starts it (again); returns at once."""
        first, *rest = self._command
        program = [str(SOURCES / first)] if first.endswith(".py") else ["-m", first]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *program, *rest],
                cwd=self.log.parent,
                env=self._environ,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def wait_until_ready(self) -> "Program":
        """Returns once it answers HTTP, whatever it says."""
        until(f"{self._command} answers", self._answers, seconds=START)
        return self

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        try:
            with Talk(("127.0.0.1", self.port)) as talk:
                return talk.get(self._ready, "Connection: close").status < 500
        except (OSError, Cut):
            return False

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the whole group."""
        assert self.process is not None
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """kill -9 of the whole group."""
        if self.process is not None:
            self.signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


Programs = Callable[..., list[Program]]
