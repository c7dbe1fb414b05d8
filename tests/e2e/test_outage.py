"""Real servers die and come back, and pylb changes its plan, under load: nobody notices more than they must.

An answer that had begun when its server was killed cannot be saved; it must be visibly cut, and is counted
apart. Everything else has to succeed, for clients that keep their connections and never ask twice. The
default run is a few thousand requests; `-m soak` is the full form.
"""

import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from .balancer import Balancer, site
from .load import Load
from .patience import pause, until
from .talk import Response
from .tools import tool

KINDS = ["uvicorn", "gunicorn", "gthread"]
BODY = b"x" * 64


def is_whole(answer: Response) -> bool:
    return answer.status == 200 and answer.body == BODY


def pool_of(apps) -> dict[str, object]:
    health = {"http": "/", "interval": "250ms", "timeout": "1s", "rise": 1, "fall": 1}
    passive = {"failures": 5, "eject": "500ms"}
    return site(
        [app.address for app in apps], pool={"balance": "two_choices", "health": health, "passive": passive}
    )


@contextmanager
def hanging_up(balancer: Balancer, *, every: float) -> Iterator[None]:
    """HUP again and again, while the block runs."""
    over = threading.Event()

    def hang_up() -> None:
        while not over.wait(every):
            balancer.signal(signal.SIGHUP)

    thread = threading.Thread(target=hang_up)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def outages(apps, load: Load, balancer: Balancer, *, between: int) -> None:
    """Kills each server in turn, while there is load, and starts it again; one at a time is out."""
    for app in apps:
        load.wait_for_more(between)
        app.kill()
        load.wait_for_more(between)
        app.start()
        app.wait_until_ready()
        until("all are up again", lambda: states(balancer) == {"up"})
    load.wait_for_more(between)


def states(balancer: Balancer) -> set[str]:
    """What pylb says of its backends."""
    return {backend["state"] for pool in balancer.status()["pools"].values() for backend in pool["backends"]}


@pytest.mark.parametrize("kind", KINDS)
def test_kill_9_of_a_process_group_under_load(serve, apps, kind):
    three = apps(kind, 3)
    balancer = serve(pool_of(three))
    load = Load(balancer.address(), connections=16, check=is_whole).start()
    outages(three, load, balancer, between=600)
    load.stop()
    assert set(load.outcomes) <= {"ok", "cut"}, load
    assert load.outcomes["cut"] <= 3 * 16, load
    assert load.quiet_closes == 0
    assert load.total > 4_000 if kind == "uvicorn" else load.total > 3_000


@pytest.mark.parametrize("kind", KINDS)
def test_hup_all_the_time_under_load(serve, apps, kind):
    three = apps(kind, 3)
    balancer = serve(pool_of(three))
    with hanging_up(balancer, every=0.2), Load(balancer.address(), connections=16, check=is_whole) as load:
        load.wait_for_more(3_000)
        until("several plans were in force", lambda: balancer.status()["generation"] > 5)
    assert load.all_ok(), load
    assert load.quiet_closes == 0


@pytest.mark.parametrize("kind", KINDS)
def test_pauses_around_the_keep_alive_of_the_servers(serve, apps, kind):
    """gunicorn closes idle connections after 2 s, uvicorn after 5: requests at that moment succeed too."""
    three = apps(kind, 3)
    balancer = serve(pool_of(three))
    limit = 5.0 if kind == "uvicorn" else 2.0
    waits = [limit - 0.02, limit, limit + 0.02]
    failures: list[str] = []

    def client(method: str, wait: float) -> None:
        load = Load(
            balancer.address(),
            connections=8,
            requests=16,
            method=method,
            check=lambda answer: answer.status == 200,
        )
        load.run()
        pause(wait)
        again = Load(
            balancer.address(),
            connections=8,
            requests=16,
            method=method,
            check=lambda answer: answer.status == 200,
        )
        again.run()
        if not (load.all_ok() and again.all_ok()):
            failures.append(f"{method} after {wait} s: {load} {again}")

    threads = [threading.Thread(target=client, args=("GET", wait)) for wait in waits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
def test_two_hundred_thousand_requests_through_outages(serve, apps, kind):
    three = apps(kind, 3)
    balancer = serve(pool_of(three))
    load = Load(balancer.address(), connections=64, requests=200_000, check=is_whole).start()
    while load.total < 180_000:
        outages(three, load, balancer, between=3_000)
    load.join(1_200)
    assert set(load.outcomes) <= {"ok", "cut"}, load


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
def test_two_hundred_thousand_requests_and_a_hup_every_second(serve, apps, kind):
    three = apps(kind, 3)
    balancer = serve(pool_of(three))
    with hanging_up(balancer, every=1.0):
        load = Load(balancer.address(), connections=64, requests=200_000, check=is_whole).start().join(1_200)
    assert load.all_ok(), load


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
def test_h2load_and_a_hup_every_second(serve, apps, kind):
    h2load = tool("h2load")
    three = apps(kind, 3)
    balancer = serve(pool_of(three))
    host, port = balancer.address()
    with hanging_up(balancer, every=1.0):
        told = subprocess.run(
            [h2load, "--h1", "-n", "200000", "-c", "64", "-t", "1", f"http://{host}:{port}/"],
            capture_output=True, text=True, check=True, timeout=1_200,
        )  # fmt: skip
    assert "200000 succeeded, 0 failed, 0 errored, 0 timeout" in told.stdout, told.stdout


def test_wrk_and_a_hup_all_the_time(serve, apps):
    """The same by a client that is not ours, as fast as it can."""
    wrk = tool("wrk")
    three = apps("uvicorn", 3)
    balancer = serve(pool_of(three))
    host, port = balancer.address()
    with hanging_up(balancer, every=0.2):
        told = subprocess.run(
            [wrk, "-t1", "-c32", "-d3s", f"http://{host}:{port}/"],
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
    assert "requests in" in told.stdout
    assert "Non-2xx" not in told.stdout, told.stdout
    assert "Socket errors" not in told.stdout, told.stdout
