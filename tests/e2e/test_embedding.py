"""A trio program that embeds pylb and blocks its own event loop: traffic does not notice."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import pytest

from .balancer import Samples, reachable, site, tcp
from .load import Load
from .patience import pause, until
from .talk import Talk

PROGRAM = """
import json, os, sys, time
import trio
import pylb

config, blocked = json.loads(sys.argv[1]), float(sys.argv[2])

async def main():
    async with pylb.running(config) as lb:
        print("ready", json.dumps(lb.status()["listeners"]), flush=True)
        while (line := await trio.to_thread.run_sync(sys.stdin.readline)).strip() != "end":
            if line.strip() == "block":
                time.sleep(blocked)
                print("unblocked", flush=True)
            elif line.strip() == "fork":
                child = os.fork()
                if not child:
                    os.close(1)
                    time.sleep(60)
                    os._exit(0)
                print("forked", child, flush=True)
            elif line.strip() == "apply":
                config["pools"]["app"]["backends"].reverse()
                print("applied", await lb.apply(config), flush=True)
            elif line.strip() == "fail":
                try:
                    await lb.apply({**config, "pools": {}})
                except pylb.ConfigInvalid as error:
                    print("refused", len(error.errors), flush=True)
            elif line.strip() == "fact":
                generation = await lb.apply(config)
                async for fact in lb.facts():
                    if fact["fact"] == "plan_applied" and fact["generation"] == generation:
                        break
                print("fact", generation, flush=True)
    print("ended", flush=True)

trio.run(main)
"""


class Program:
    """The program above, told what to do on its stdin."""

    def __init__(self, folder: Path, config, blocked: float) -> None:
        file = folder / "program.py"
        file.write_text(PROGRAM)
        self.process = subprocess.Popen(
            [sys.executable, str(file), json.dumps(config), str(blocked)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        self.expect("ready")

    def tell(self, word: str) -> None:
        self.stdin.write(f"{word}\n")
        self.stdin.flush()

    def expect(self, word: str) -> str:
        line = self.stdout.readline()
        assert line.startswith(word), f"{word}? {line}"
        return line.removeprefix(word).strip()

    def cpu(self) -> float:
        """Seconds of processor time used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100


@contextmanager
def program(folder: Path, config, blocked: float = 4.0) -> Iterator[Program]:
    started = Program(folder, config, blocked)
    try:
        yield started
        started.tell("end")
        started.expect("ended")
        assert started.process.wait(10) == 0
    finally:
        started.process.kill()
        started.process.wait()
        started.stdin.close()
        started.stdout.close()


def embedded(addresses):
    config = site(addresses, metrics={"bind": tcp()}, log={"access": "off"})
    return config, reachable(config["listeners"]["web"]["bind"]), reachable(config["metrics"]["bind"])


def test_the_api(tmp_path, origins):
    two = origins(2)
    config, web, _ = embedded([one.address for one in two])
    with program(tmp_path, config) as running, Talk(web) as talk:
        assert {talk.get().body for _ in range(4)} == {b"a", b"b"}
        running.tell("apply")
        assert running.expect("applied") == "2"
        running.tell("fail")
        assert int(running.expect("refused")) >= 1
        running.tell("fact")
        assert running.expect("fact") == "3"
        assert {talk.get().body for _ in range(4)} == {b"a", b"b"}


def blocked_loop(tmp_path, addresses, *, seconds: float) -> None:
    config, web, side = embedded(addresses)
    with program(tmp_path, config, seconds) as running, Load(web, connections=8) as load:
        load.wait_for_more(200)
        running.tell("block")
        began = time.monotonic()
        load.wait_for_more(500)
        stale: list[bytes] = []
        while time.monotonic() - began < seconds - 0.3:
            with Talk(side) as talk:
                answer = talk.get("/readyz")
                assert answer.status == 200
                stale.append(answer.body)
                Samples(talk.get("/metrics").body.decode())
            pause(0.1)
        running.expect("unblocked")
        assert stale[0] == b"ready\n"
        assert b"stale" in stale[-1]
        load.wait_for_more(200)

        def fresh() -> bool:
            with Talk(side) as talk:
                return talk.get("/readyz").body == b"ready\n"

        until("the heartbeat is back", fresh)
        load.stop()
        assert load.all_ok(), load
        assert load.quiet_closes == 0


def test_a_forked_child_keeps_no_port_open(tmp_path, origins):
    """multiprocessing forks: what stays in a child must not go on listening when pylb has ended."""
    config, web, _ = embedded([one.address for one in origins(2)])
    child = 0
    try:
        with program(tmp_path, config) as running:
            running.tell("fork")
            child = int(running.expect("forked"))
            for _ in range(20):
                with Talk(web, seconds=2) as talk:
                    assert talk.get("/", "Connection: close").status == 200
                    assert talk.closed(), "the child does not hold connections open"
        with pytest.raises(ConnectionRefusedError):
            Talk(web)
    finally:
        if child:
            os.kill(child, signal.SIGKILL)


def test_a_blocked_event_loop_delays_no_request(tmp_path, origins):
    blocked_loop(tmp_path, [one.address for one in origins(2)], seconds=4.0)


@pytest.mark.soak
def test_a_loop_blocked_for_ten_seconds(tmp_path, origins):
    blocked_loop(tmp_path, [one.address for one in origins(2)], seconds=10.0)


@pytest.mark.soak
def test_a_blocked_loop_costs_no_processor_time(tmp_path, apps):
    """CPU per request, blocked against not blocked, within 5 %: medians of five looks at each, in turn."""
    config, web, _ = embedded([app.address for app in apps("uvicorn", 1)])
    free, blocked = [], []
    with program(tmp_path, config, 10.0) as running, Load(web, connections=8) as load:

        def cost(seconds: float) -> float:
            total, cpu = load.total, running.cpu()
            pause(seconds)
            return (running.cpu() - cpu) / (load.total - total)

        for _ in range(5):
            free.append(cost(8.0))
            running.tell("block")
            pause(1.0)
            blocked.append(cost(8.0))
            running.expect("unblocked")
        load.stop()
        assert load.all_ok(), load
    assert median(blocked) <= median(free) * 1.05, (free, blocked)


def test_a_busy_interpreter_delays_no_request(tmp_path, origins):
    """The slowest of thousands of answers while Python is stuck is still quick."""
    config, web, _ = embedded([one.address for one in origins(2)])
    config["listeners"]["web"]["limits"] = {"requests": 1_000_000}
    slowest = 0.0
    with program(tmp_path, config, 2.5) as running, Talk(web) as talk:
        talk.get()
        running.tell("block")
        unblocked = threading.Thread(target=running.expect, args=("unblocked",))
        unblocked.start()
        while unblocked.is_alive():
            began = time.monotonic()
            assert talk.get().status == 200
            slowest = max(slowest, time.monotonic() - began)
        unblocked.join()
    assert slowest < 1.0
