"""An origin that keeps a ledger of what it did, in a file that survives kill -9.

Run as `python ledger.py PORT FILE [--idle FROM TO] [--work SECONDS] [--status N]`. A request's id is its
path. A line `begin ID` is written once the whole request is there, `end ID` once its answer is handed to
the kernel. `--idle` closes a connection that is idle for a random time between two, like any server does some
time; `--work` is how long an answer takes.
"""

import argparse
import asyncio
import os
import random

NAME = f"{os.getpid()}"


class Line(asyncio.Protocol):
    """One connection."""

    def __init__(self, how: argparse.Namespace) -> None:
        self.how = how
        self.ahead = b""
        self.timer: asyncio.TimerHandle | None = None
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self._wake()

    def data_received(self, data: bytes) -> None:
        self._wake()
        self.ahead += data
        self._step()

    def _step(self) -> None:
        head, end, rest = self.ahead.partition(b"\r\n\r\n")
        if self.busy or not end:
            return
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = int(fields.get(b"content-length", 0))
        if len(rest) < length:
            return
        self.busy, self.ahead = True, rest[length:]
        name = head.split(b" ", 2)[1].strip(b"/")
        os.write(self.how.file, b"begin %s\n" % name)
        if self.how.work:
            asyncio.get_running_loop().call_later(self.how.work, self._answer, name)
        else:
            self._answer(name)

    def _answer(self, name: bytes) -> None:
        self.busy = False
        if self.transport.is_closing():
            return
        body = b"%s by %s" % (name, NAME.encode())
        head = b"HTTP/1.1 %d Fine\r\nContent-Length: %d\r\n\r\n" % (self.how.status, len(body))
        self.transport.write(head + body)
        os.write(self.how.file, b"end %s\n" % name)
        if self.how.idle:
            patience = random.uniform(*self.how.idle)
            self.timer = asyncio.get_running_loop().call_later(patience, self.transport.close)
        self._step()

    def _wake(self) -> None:
        if self.timer:
            self.timer.cancel()
            self.timer = None


async def serve(how: argparse.Namespace) -> None:
    """Until killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Line(how), "127.0.0.1", how.port, backlog=1024)
    await server.serve_forever()


def arguments() -> argparse.Namespace:
    """From the command line; `file` is its descriptor."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument(
        "file", type=lambda path: os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    )
    parser.add_argument("--idle", type=float, nargs=2)
    parser.add_argument("--work", type=float, default=0.0)
    parser.add_argument("--status", type=int, default=200)
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(serve(arguments()))
