"""What origins executed, by their own books: nothing twice, and next to nothing in vain.

The origins are processes that write down every request they begin and end. They close idle connections after
1 to 50 ms at random, so that requests and FINs cross all the time, or are killed.
"""

import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from .balancer import Balancer, site
from .crowd import Crowd, Outcome, get, post
from .patience import until
from .programs import Program

LEARNING = 1_000
"""Requests in which pylb may find out how short-tempered its backends are."""


class Books:
    """The ledgers of some origins."""

    def __init__(self, programs, folder: Path, count: int, *how: str) -> None:
        self.folder = folder
        arguments = ("ledger.py", "{port}", str(folder / "{port}.ledger"), *how)
        self.origins: list[Program] = programs(count, *arguments)

    def of(self, origin: Program, what: str) -> list[int]:
        """The ids that one of them has begun or ended."""
        lines = (self.folder / f"{origin.port}.ledger").read_text().split("\n")
        words = [line.split(" ", 1) for line in lines if line]
        return [int(name) for verb, name in words if verb == what and name]

    def begun(self) -> Counter[int]:
        """How often each id was begun, anywhere."""
        return Counter(name for origin in self.origins for name in self.of(origin, "begin"))


def think(dice) -> float:
    """Around the time after which the origins lose their patience."""
    return dice.uniform(0, 0.06)


def crossing(serve, programs, folder: Path, request, count: int) -> tuple[list[Outcome], Books]:
    """Requests to origins that hang up on idle connections; those after the learning that failed."""
    books = Books(programs, folder, 3, "--idle", "0.001", "0.05")
    balancer = serve(site([origin.address for origin in books.origins], log={"access": "off"}))
    crowd = Crowd(
        balancer.address(), clients=64, requests=LEARNING + count, request=request, think=think
    ).run()
    assert len(crowd.outcomes) >= LEARNING + count
    later = [one for one in crowd.outcomes if one.number > LEARNING]
    return [one for one in later if one.status != 200], books


def gets(serve, programs, folder: Path, count: int) -> None:
    failed, _ = crossing(serve, programs, folder, get, count)
    assert not failed, failed[:5]


def posts(serve, programs, folder: Path, count: int) -> None:
    failed, books = crossing(serve, programs, folder, post, count)
    assert {one.status for one in failed} <= {502}, failed[:5]
    assert len(failed) <= count / 10_000, failed[:5]
    executed = books.begun()
    assert max(executed.values()) == 1, executed.most_common(3)


def test_gets_while_origins_hang_up(serve, programs, tmp_path):
    gets(serve, programs, tmp_path, 3_000)


def test_posts_while_origins_hang_up(serve, programs, tmp_path):
    posts(serve, programs, tmp_path, 3_000)


@pytest.mark.soak
def test_a_hundred_thousand_gets_while_origins_hang_up(serve, programs, tmp_path):
    gets(serve, programs, tmp_path, 100_000)


@pytest.mark.soak
def test_a_hundred_thousand_posts_while_origins_hang_up(serve, programs, tmp_path):
    posts(serve, programs, tmp_path, 100_000)


# ---- kill -9


def killed(serve, programs, folder: Path, *, clients: int, more: int) -> None:
    """One of three dies under POST load: what it had not begun, or not ended, may fail, and nothing else."""
    books = Books(programs, folder, 3, "--work", "0.02")
    balancer = serve(site([origin.address for origin in books.origins]))
    victim = books.origins[1]
    with Crowd(balancer.address(), clients=clients, request=post) as crowd:
        crowd.wait_for_more(more)
        victim.kill()
        crowd.wait_for_more(more)
    failed = {one.number for one in crowd.outcomes if one.status != 200}
    assert set(crowd.statuses) <= {200, 502}, crowd
    begun, ended = set(books.of(victim, "begin")), set(books.of(victim, "end"))
    everywhere = books.begun()
    assert max(everywhere.values()) == 1, everywhere.most_common(3)
    answered = ended - {one.number for one in crowd.outcomes if one.status == 200}
    unbegun = failed - set(everywhere)
    assert failed <= (begun - ended) | answered | unbegun, "failed, though not in flight at the victim"
    assert len(failed) <= clients
    assert unbegun <= sent_to(balancer, victim, len(crowd.outcomes)), "failed without being sent anywhere"


def sent_to(balancer: Balancer, origin: Program, lines: int) -> set[int]:
    """Ids that pylb says it sent to an origin."""
    log = balancer.access_log(lines)
    return {int(line["path"].strip("/")) for line in log if line["backend"] == origin.address}


def test_kill_9_under_posts(serve, programs, tmp_path):
    killed(serve, programs, tmp_path, clients=32, more=800)


@pytest.mark.soak
@pytest.mark.parametrize("attempt", range(10))
def test_kill_9_under_many_posts(serve, programs, tmp_path, attempt):
    killed(serve, programs, tmp_path, clients=128, more=20_000)


def test_kill_9_of_a_stuck_origin(serve, programs, tmp_path):
    """Stopped first, so that what is in flight there can be counted: that fails, and nothing later does.

    A dying process closes one descriptor after another, and the kernel accepts connections for it until it
    comes to the listening one; what goes there in these milliseconds is lost, too.
    """
    books = Books(programs, tmp_path, 3, "--work", "0.005")
    balancer = serve(site([origin.address for origin in books.origins]))
    victim = books.origins[0]
    crowd = Crowd(balancer.address(), clients=24, requests=2_000, request=post).start()
    crowd.wait_for_more(200)
    victim.signal(signal.SIGSTOP)
    until(
        "all clients wait for it",
        lambda: balancer.backend("app", victim.address)["in_flight"] == crowd.clients,
    )
    killed = time.monotonic()
    victim.kill()
    gone = time.monotonic()
    crowd.join()
    assert set(crowd.statuses) == {200, 502}, crowd
    failed = [one.began for one in crowd.outcomes if one.status == 502]
    assert sum(began < killed for began in failed) == crowd.clients
    assert max(failed) < gone
    assert max(books.begun().values()) == 1
