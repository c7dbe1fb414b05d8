"""Three small servers to try pylb on, for `pylb serve` without a configuration.

Each is a process of its own (`origin.py`), so a visitor can kill one and watch: no request fails, and a few
seconds later it is back at the same address.
"""

import subprocess
import sys

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


async def origins(task_status: trio.TaskStatus[tuple[Demo, str]]) -> None:
    """Keeps the origins running; starts with a source that knows their addresses, and what to say."""
    places: dict[int, tuple[str, int]] = {}

    async def first(number: int) -> None:
        places[number] = await nursery.start(_keep, number)

    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as starting:
            for number in range(1, COUNT + 1):
                starting.start_soon(first, number)
        found = [places[number] for number in sorted(places)]
        task_status.started((Demo(tuple(address for address, _ in found)), _introduction(found)))


def _introduction(found: list[tuple[str, int]]) -> str:
    lines = (
        f"    origin {number}   http://{address}   process {process}"
        for number, (address, process) in enumerate(found, 1)
    )
    return _GREETING.format(origins="\n".join(lines), process=found[1][1], revival=REVIVAL)


async def _keep(number: int, task_status: trio.TaskStatus[tuple[str, int]]) -> None:
    """One origin: started, and started again at the same port whenever it ends."""
    port, told = 0, False
    while True:
        process, port = await _launch(number, port)
        if not told:
            task_status.started((f"127.0.0.1:{port}", process.pid))
            told = True
        try:
            await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
        logger.warning("origin %d (process %d) ended; it starts again in %g s", number, process.pid, REVIVAL)
        await trio.sleep(REVIVAL)


async def _launch(number: int, port: int) -> tuple[trio.Process, int]:
    command = [sys.executable, "-m", "pylb.origin", str(number), str(port)]
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
