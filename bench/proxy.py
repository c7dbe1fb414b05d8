"""A proxy under test, from its start to its end, and the checks that it is one.

Each run gets a process of its own: nothing of the run before, no luck of one memory layout through a whole
cell.
"""

import contextlib
import http.client
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import certificate, place, probe
from bench.cells import Cell
from bench.peers import Peer, Setting
from bench.place import BACKENDS, PORT, TLS_PORT

_START, _STOP = 20.0, 5.0


class Unfit(RuntimeError):
    """A proxy that does not start, or does not do what is asked of all."""


@contextlib.contextmanager
def running(
    peer: Peer, cell: Cell, *, core: int, answers: Callable[[], bool] = probe.http_answers
) -> Iterator[int]:
    """Starts the peer for that cell on its core and yields its process id once it answers."""
    folder = Path(tempfile.mkdtemp(prefix=f"bench-{peer.name}-"))
    try:
        setting = Setting(
            port=PORT,
            backends=BACKENDS,
            folder=folder,
            access_log=cell.access_log,
            service=cell.service,
            long_streams=cell.per_gib,
            tls_port=TLS_PORT,
            certificate=certificate.make(folder) if cell.service == "https" else None,
        )
        start = peer.prepare(setting)
        with (
            open(folder / "stdout", "wb") as out,
            open(folder / "stderr", "wb") as err,
            place.on_core(core),
        ):
            process = subprocess.Popen(
                start.command, stdout=out, stderr=err, env=start.environment, cwd=folder
            )
        try:
            _wait_until_it_answers(peer, process, folder, answers)
            yield process.pid
            if cell.access_log and peer.parses and not start.log.stat().st_size:
                raise Unfit(f"{peer.name} wrote no access log")
        finally:
            _stop(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check(peer: Peer, cell: Cell) -> None:
    """The backends get what every proxy must tell them about the client; fails with Unfit if not."""
    if not peer.parses:
        return
    _check_head(peer, "http", PORT, probe.http_get("/echo")[1])
    if cell.service == "https":
        _check_head(peer, "https", TLS_PORT, probe.https_get("/echo")[1])


def _check_head(peer: Peer, scheme: str, port: int, received: bytes) -> None:
    head = received.decode().lower()
    wanted = (
        "x-forwarded-for: 127.0.0.1",
        f"x-forwarded-proto: {scheme}",
        f"x-forwarded-host: 127.0.0.1:{port}",
    )
    missing = [field for field in wanted if f"\r\n{field}\r\n" not in head]
    if "\r\nx-request-id: " not in head:
        missing.append("x-request-id")
    if missing:
        raise Unfit(f"{peer.name} does not send {', '.join(missing)}")


def _wait_until_it_answers(
    peer: Peer, process: subprocess.Popen[bytes], folder: Path, answers: Callable[[], bool]
) -> None:
    deadline = time.monotonic() + _START
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if answers():
                return
        time.sleep(0.02)
    told = "".join((folder / name).read_text(errors="replace")[-1500:] for name in ("stderr", "stdout"))
    ended = "did not answer in time" if process.poll() is None else f"ended with {process.returncode}"
    raise Unfit(f"{peer.name} {ended}: {told.strip() or 'no output'}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
