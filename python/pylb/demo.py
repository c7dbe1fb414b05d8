"""Three small servers to try pylb on, for `pylb serve` without a configuration.

Each is a process of its own (`python -m pylb.demo NUMBER PORT`), so a visitor can kill one and watch: no
request fails, and a few seconds later it is back. They hold the read end of a pipe from pylb and leave when
it closes, so none outlives pylb however that ends.
"""

import dataclasses
import os
import signal
import subprocess
import sys

import h11
import trio

from pylb.config import Demo
from pylb.errors import PylbError
from pylb.messages import logger

COUNT = 3
REVIVAL = 5.0
"""Seconds until an origin that ended is started again."""
PATIENCE = 30.0
"""Seconds for the origins to start."""

_GREETING = """\
No configuration, so this is the demo: three small servers, started by pylb, behind http://127.0.0.1:8080

{origins}

Ask it, in another terminal; the answers come from the three in turn:

    for i in 1 2 3 4 5 6; do curl -s http://127.0.0.1:8080; done

Kill one (kill -9 {process}) and ask again: no request fails, and after {revival:g} seconds it is back.
`pylb status` shows how they are. Ctrl-C stops it all. When you want your own:

    pylb init                                                     # writes a pylb.yaml to start from
    pylb serve --listen :8080 --to 127.0.0.1:9001 --to 127.0.0.1:9002      # needs no file

One line of JSON per request follows (the access log).

"""


async def origins(task_status: trio.TaskStatus[Demo]) -> None:
    """Keeps the origins running, and starts with a source that knows their addresses."""
    async with trio.open_nursery() as nursery:
        running = [await nursery.start(_keep, number) for number in range(1, COUNT + 1)]
        shown = "\n".join(
            f"    origin {number}   http://{at}   process {process}"
            for number, (at, process) in enumerate(running, 1)
        )
        sys.stderr.write(_GREETING.format(origins=shown, process=running[1][1], revival=REVIVAL))
        task_status.started(dataclasses.replace(Demo(), addresses=tuple(at for at, _ in running)))


async def _keep(number: int, task_status: trio.TaskStatus[tuple[str, int]]) -> None:
    """One origin: started, and started again at the same port whenever it ends."""
    port = 0
    while True:
        process, port = await _launch(number, port)
        task_status.started((f"127.0.0.1:{port}", process.pid))
        task_status = trio.TASK_STATUS_IGNORED
        try:
            await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
        logger.warning("origin %d (process %d) ended; it starts again in %g s", number, process.pid, REVIVAL)
        await trio.sleep(REVIVAL)


async def _launch(number: int, port: int) -> tuple[trio.Process, int]:
    command = [sys.executable, "-m", "pylb.demo", str(number), str(port)]
    process = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    told = b""
    with trio.move_on_after(PATIENCE):
        while not told.endswith(b"\n") and (more := await process.stdout.receive_some()):
            told += more
    if not told.endswith(b"\n"):
        process.kill()
        raise PylbError(f"origin {number} of the demo did not start; use --listen and --to, or a file")
    return process, int(told)


async def _origin(number: int, port: int) -> None:
    """Says its port on standard output, and answers until standard input closes."""
    listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
    async with trio.open_nursery() as nursery:

        async def connection(stream: trio.SocketStream) -> None:
            await answer(stream, f"Hello from origin {number}\n".encode())

        nursery.start_soon(trio.serve_listeners, connection, listeners)
        os.write(1, b"%d\n" % listeners[0].socket.getsockname()[1])
        async with trio.lowlevel.FdStream(os.dup(0)) as parent:
            while await parent.receive_some():
                pass
        nursery.cancel_scope.cancel()


async def answer(stream: trio.abc.Stream, body: bytes) -> None:
    """One connection: `body` for every request, until either side hangs up."""
    talk = h11.Connection(h11.SERVER)
    async with stream:
        try:
            while (method := await _request(stream, talk)) is not None:
                await stream.send_all(_response(talk, method, body))
                if talk.our_state is h11.MUST_CLOSE:
                    return
                talk.start_next_cycle()
        except (trio.BrokenResourceError, h11.RemoteProtocolError):
            return


async def _request(stream: trio.abc.Stream, talk: h11.Connection) -> bytes | None:
    """The method of the next request, once it is complete; None at the end of the connection."""
    method = b""
    while True:
        event = talk.next_event()
        if event is h11.NEED_DATA:
            talk.receive_data(bytes(await stream.receive_some(65536)))
        elif isinstance(event, h11.Request):
            method = event.method
            if talk.they_are_waiting_for_100_continue:
                await stream.send_all(
                    talk.send(h11.InformationalResponse(status_code=100, headers=[])) or b""
                )
        elif isinstance(event, h11.EndOfMessage):
            return method
        elif isinstance(event, h11.ConnectionClosed):
            return None


def _response(talk: h11.Connection, method: bytes, body: bytes) -> bytes:
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    head = talk.send(h11.Response(status_code=200, headers=headers)) or b""
    data = talk.send(h11.Data(data=body)) or b"" if method != b"HEAD" else b""
    return head + data + (talk.send(h11.EndOfMessage()) or b"")


if __name__ == "__main__":
    # Ctrl-C goes to every process of the terminal; an origin stays until pylb has let its requests end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    trio.run(_origin, int(sys.argv[1]), int(sys.argv[2]))
