"""Real Python servers, each in a process group of its own that can be killed as a whole.

`uvicorn` keeps idle connections for 5 s; `gunicorn` as it comes (sync workers) closes after every answer;
`gthread` is gunicorn with threads, which keeps idle connections for 2 s.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

from .patience import until
from .ports import free_port
from .talk import Talk
from .tools import module

_ASGI = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"64")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"x" * 64})
"""

_WSGI = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "64")])
    return [b"x" * 64]
"""


class App:
    """One server of a kind, that answers every GET with 64 bytes."""

    def __init__(self, kind: str, folder: Path) -> None:
        module("uvicorn" if kind == "uvicorn" else "gunicorn")
        self.kind = kind
        self.folder = folder
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        (folder / "asgi_app.py").write_text(_ASGI)
        (folder / "wsgi_app.py").write_text(_WSGI)
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Starts it (again); returns at once."""
        command = [
            "uvicorn",
            "asgi_app:app",
            "--port",
            str(self.port),
            "--no-access-log",
            "--log-level",
            "error",
        ]
        if self.kind != "uvicorn":
            command = [
                "gunicorn",
                "wsgi_app:app",
                "--bind",
                self.address,
                "--workers",
                "1",
                "--log-level",
                "error",
            ]
            command += ["--worker-tmp-dir", "/dev/shm", "--no-control-socket"]
        if self.kind == "gthread":
            command += ["--worker-class", "gthread", "--threads", "8"]
        with (self.folder / f"{self.kind}-{self.port}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_until_ready(self) -> "App":
        """Returns once it answers."""
        until(f"{self.kind} answers on {self.address}", self._answers, seconds=20)
        return self

    def _answers(self) -> bool:
        try:
            with Talk(("127.0.0.1", self.port)) as talk:
                return talk.get("/", "Connection: close").status == 200
        except (OSError, AssertionError):
            return False

    def kill(self) -> None:
        """kill -9 of the whole process group, which is this server's alone."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None
