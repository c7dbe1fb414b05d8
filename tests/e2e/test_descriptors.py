"""Descriptors used up: accepting pauses, who is served goes on, the health port answers, and it passes."""

from .balancer import Balancer, site, tcp
from .patience import until
from .talk import Cut, Talk

LIMIT = 160


def crowd(balancer: Balancer, count: int) -> list[Talk]:
    """Clients that connect, ask once, and stay. The kernel's queue takes those that pylb cannot."""
    talks = [balancer.talk() for _ in range(count)]
    for talk in talks:
        talk.request("GET")
    return talks


def test_max_clients_follows_from_the_limit(serve, origin):
    balancer = serve(site([origin().address]), descriptors=LIMIT)
    assert 1 <= balancer.status()["max_clients"] < LIMIT
    assert str(balancer.status()["max_clients"]) in balancer.said(r"max_clients \d")


def test_more_clients_than_descriptors(serve, origin):
    """`max_clients` is set far too high on purpose, so that the descriptors end first."""
    one = origin()
    balancer = serve(site([one.address], max_clients=10_000, metrics={"bind": tcp()}), descriptors=LIMIT)
    served = balancer.talk()
    assert served.get().status == 200
    talks = crowd(balancer, 300)
    balancer.said("no new connections")
    for path in ("/healthz", "/readyz", "/metrics"):
        assert balancer.ask_side(path).status == 200
    assert balancer.status()["clients"] <= LIMIT
    for talk in talks:
        talk.close()
    served.close()

    def works() -> bool:
        with balancer.talk() as talk:
            try:
                return talk.get().status == 200
            except Cut:
                return False

    until("new clients are served again", works)
    for _ in range(20):
        assert works()


def test_everybody_is_served_in_the_end(serve, origin):
    """300 clients, one request each, on a process that can hold a third of them at once."""
    one = origin()
    balancer = serve(site([one.address]), descriptors=LIMIT)
    talks = [balancer.talk(seconds=30) for _ in range(300)]
    for talk in talks:
        talk.request("GET", "/", "Connection: close")
    for talk in talks:
        assert talk.response().status == 200
        talk.close()
