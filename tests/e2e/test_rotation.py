"""Certificates are renewed while handshakes go on: none fails, and a broken one changes only the log."""

import random
import ssl
import threading
import time
from collections import Counter

import pytest

from .balancer import site, tcp
from .patience import until
from .talk import Talk

NAME = "shop.example"
PICKED_UP = 2.0
"""Seconds after which a new certificate is served."""


class Handshakes:
    """Clients that connect, ask once and leave, over and over. A context manager."""

    def __init__(self, balancer, authority, clients: int) -> None:
        self.address = balancer.address()
        self.seen: Counter[int] = Counter()
        """How often each certificate came, by its serial number."""
        self.failures: list[str] = []
        self._authority = authority
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._client, daemon=True) for _ in range(clients)]

    def __enter__(self) -> "Handshakes":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *why: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def _client(self) -> None:
        context = self._authority.client()
        while not self._over.is_set():
            try:
                with Talk(self.address, tls=context, name=NAME) as talk:
                    answer = talk.get("/", f"Host: {NAME}", "Connection: close")
                    assert answer.status == 200, answer
                    self.seen[serial_of(talk)] += 1
            except Exception as error:
                self.failures.append(repr(error))

    def wait_for(self, count: int) -> None:
        """Returns once there were so many handshakes in all."""
        until(f"{count} handshakes", lambda: self.seen.total() >= count or self.failures, seconds=300)


def serial_of(talk: Talk) -> int:
    """The serial number of the certificate that came."""
    shown = talk.secured.getpeercert()
    assert shown
    return int(str(shown["serialNumber"]), 16)


def rotate(serve, origin, authority, *, rotations: int, handshakes: int) -> None:
    """So many rotations over so many handshakes, the one in the middle broken."""
    pair = authority.issue(NAME)
    other = authority.issue("other.example")
    tls = {"certificates": [other.files, pair.files]}
    balancer = serve(site([origin().address], listener={"tls": tls}, metrics={"bind": tcp()}))
    broken = rotations // 2
    with Handshakes(balancer, authority, clients=4) as load:
        for number in range(rotations):
            load.wait_for(handshakes * number // rotations)
            if number == broken:
                good = pair.cert.read_bytes()
                pair.cert.write_bytes(good[:200] + random.Random(number).randbytes(40))
                balancer.said(rf"{pair.cert.name}")
                until("metrics tell", lambda: balancer.metrics().value("pylb_certificate_broken") == 1)
                assert pair.cert.name in balancer.command("status").stdout
                continue
            new = authority.issue(NAME)
            pair.replace(new)
            began = time.monotonic()
            until("the new one is served", lambda serial=new.serial: load.seen[serial], seconds=30)
            assert time.monotonic() - began < PICKED_UP
        load.wait_for(handshakes)
    assert load.failures == []
    assert len(load.seen) == rotations
    until("nothing is broken any more", lambda: not balancer.metrics().value("pylb_certificate_broken"))


def test_rotations_under_handshakes(serve, origin, authority):
    rotate(serve, origin, authority, rotations=4, handshakes=600)


@pytest.mark.soak
def test_fifty_rotations_under_twenty_thousand_handshakes(serve, origin, authority):
    rotate(serve, origin, authority, rotations=50, handshakes=20_000)


def test_one_broken_pair_does_not_hold_up_the_others(serve, origin, authority):
    names = ["a.example", "b.example", "c.example"]
    pairs = {name: authority.issue(name) for name in names}
    tls = {"certificates": [pair.files for pair in pairs.values()]}
    balancer = serve(site([origin().address], listener={"tls": tls}, metrics={"bind": tcp()}))

    def served(name: str) -> int:
        with balancer.talk(tls=authority.client(), name=name) as talk:
            return serial_of(talk)

    before = {name: served(name) for name in names}
    new = authority.issue("c.example")
    pairs["a.example"].key.write_bytes(new.key.read_bytes())
    pairs["b.example"].cert.unlink()
    pairs["c.example"].replace(new)
    until("c is new", lambda: served("c.example") == new.serial)
    until("two are broken", lambda: balancer.metrics().value("pylb_certificate_broken") == 2)
    assert served("a.example") == before["a.example"]
    assert served("b.example") == before["b.example"]
    balancer.said(pairs["a.example"].key.stem)
    balancer.said(pairs["b.example"].cert.name)


def test_the_expiry_is_a_metric(serve, origin, authority):
    pair = authority.issue(NAME)
    config = site(
        [origin().address], listener={"tls": {"certificates": [pair.files]}}, metrics={"bind": tcp()}
    )
    balancer = serve(config)
    with balancer.talk(tls=authority.client(), name=NAME) as talk:
        shown = talk.secured.getpeercert()
    assert shown
    expires = ssl.cert_time_to_seconds(str(shown["notAfter"]))
    assert balancer.metrics().value("pylb_certificate_expiry_seconds", listener="web") == expires


def test_authorities_are_watched_too(serve, origin, authority, stranger):
    """The authority of clients is replaced: those of the new one come in, those of the old one do not."""
    ca = authority.folder / "clients.pem"
    ca.write_bytes(authority.ca.read_bytes())
    tls = {
        "certificates": [authority.issue(NAME).files],
        "client_auth": {"mode": "require", "ca": str(ca)},
    }
    balancer = serve(site([origin().address], listener={"tls": tls}))
    old, new = authority.issue("a.example", usage="client"), stranger.issue("a.example", usage="client")

    def may(pair) -> bool:
        try:
            with balancer.talk(tls=authority.client(pair), name=NAME) as talk:
                return talk.get().status == 200
        except Exception:
            return False

    assert (may(old), may(new)) == (True, False)
    ca.write_bytes(stranger.ca.read_bytes())
    until("the new ones come in", lambda: may(new))
    assert not may(old)
