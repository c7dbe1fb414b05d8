"""Those who speak something else than the port: closed at once, with one line in the log."""

import contextlib
import random
import ssl
import struct
import time
from typing import Any

import pytest

from .balancer import relay, site, tcp
from .load import Load
from .patience import until
from .talk import Cut, Talk

ALERT = 21
"""The kind of record that an alert is."""
GARBAGE = random.Random(5).randbytes(4_000)
HTTP = b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n"


def record(kind: int, body: bytes, version: int = 0x0301) -> bytes:
    """A record of TLS (RFC 8446, section 5.1)."""
    return struct.pack(">BHH", kind, version, len(body)) + body


def hello_of(length: int) -> bytes:
    """The beginning of a ClientHello that announces so many bytes, and as many of them as one record has."""
    return record(22, b"\x01" + length.to_bytes(3, "big") + b"\x03\x03" + bytes(16_000))


STRANGERS = {
    "garbage": b"\xff" + GARBAGE,
    "nulls": bytes(1_000),
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "http": HTTP,
    "http-2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "ssl-2": b"\x80\x2e\x01\x00\x02" + bytes(44),
    "another-record": record(23, b"x" * 100),
    "an-alert": record(21, b"\x02\x28"),
    "another-handshake": record(22, b"\x02\x00\x00\x26" + bytes(38)),
    "an-empty-record": record(22, b""),
    "a-record-too-long": b"\x16\x03\x01\xff\xff" + bytes(70_000),
    "a-hello-of-16-mib": hello_of(0xFFFFFF) * 2,
    "a-hello-without-content": record(22, b"\x01\x00\x00\x02\x03\x03"),
    "a-hello-of-garbage": record(22, b"\x01\x00\x0f\xa0" + GARBAGE),
}


@pytest.fixture
def house(serve, origin, authority):
    """All kinds of ports in one pylb."""
    one = origin(name="one")
    tls = {"certificates": [authority.issue("shop.example").files]}
    config = site([one.address], listener={"tls": tls})
    config["listeners"]["clear"] = {"bind": tcp(), "routes": [{"pool": "app"}]}
    config["listeners"]["edge"] = {
        "bind": tcp(),
        "protocol": "tls",
        "routes": [{"match": {"sni": "shop.example"}, "terminate": "web"}],
    }
    config["listeners"]["stream"] = {"bind": tcp(), "protocol": "tcp", "tls": tls, "pool": "app"}
    return serve(config)


def drained(talk: Talk) -> bytes:
    """What comes before the end, however that is."""
    try:
        return talk.rest()
    except Cut as cut:
        return cut.got


def lines(balancer, count: int) -> list[dict[str, Any]]:
    """The lines of those who were sent away; there may not be more than expected."""
    found = balancer.access_log(count, lambda line: line["reason"] is not None)
    assert len(found) == count, found
    return found


@pytest.mark.parametrize("listener", ["web", "edge", "stream"])
def test_what_is_not_tls_is_closed(house, authority, listener):
    """Each gets at most an alert, or a plain 400 if it may speak HTTP; a neighbour does not notice."""
    with house.talk(listener, tls=authority.client(), name="shop.example") as neighbour:
        for number, (stranger, said) in enumerate(STRANGERS.items(), 1):
            with house.talk(listener, seconds=3) as talk:
                with contextlib.suppress(OSError):
                    talk.send(said)
                heard = drained(talk)
            if stranger == "http" and listener == "web":
                assert heard.startswith(b"HTTP/1.1 400 "), heard
            elif said[:1].isalpha():
                assert heard == b"" or heard.startswith(b"HTTP/1.1 400 "), (stranger, heard)
            else:
                assert heard == b"" or heard[0] == ALERT, (stranger, heard)
            assert lines(house, number)[-1]["reason"], stranger
            assert neighbour.get("/", "Host: shop.example").body == b"one"
    assert "not" in lines(house, len(STRANGERS))[0]["reason"]


def test_tls_on_a_port_without_is_closed(house, authority):
    with house.talk("clear") as neighbour:
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            house.talk("clear", tls=authority.client(), name="shop.example", seconds=3)
        (line,) = house.access_log(1)
        assert "TLS" in line["reason"]
        assert neighbour.get().body == b"one"


def test_who_leaves_within_the_hello_is_not_missed(house, authority):
    """One line each, and no descriptor is left."""
    until("the probes are gone", lambda: house.status()["clients"] == 0)
    before = house.descriptors()
    hello = client_hello(authority)
    for count, end in enumerate((1, 5, 40, len(hello) - 1), 1):
        for listener in ("web", "edge", "stream"):
            with house.talk(listener) as talk:
                talk.send(hello[:end]).finish()
                assert drained(talk)[:1] in (b"", bytes([ALERT]))
        lines(house, 3 * count)
    until("no descriptor is left", lambda: house.descriptors() <= before)


@pytest.mark.soak
def test_who_takes_too_long_for_the_hello_is_closed(house, authority):
    """A passthrough waits for 5 s; a handshake for as long as is configured. All of them at once."""
    hello = client_hello(authority)
    config = house.config
    config["listeners"]["web"]["timeouts"] = {"tls_handshake": "1s"}
    house.load(config)
    began = time.monotonic()
    edge, web = house.talk("edge"), house.talk("web")
    for byte in hello[:20]:
        edge.send(bytes([byte]))
        web.send(bytes([byte]))
    assert drained(web)[:1] in (b"", bytes([ALERT]))
    assert 0.9 < time.monotonic() - began < 4
    assert drained(edge) == b""
    assert 4.5 < time.monotonic() - began < 8
    for line in lines(house, 2):
        assert "slow" in line["reason"] or "longer than" in line["reason"], line


def client_hello(authority) -> bytes:
    """What a client says first."""
    outgoing = ssl.MemoryBIO()
    tls = authority.client().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="shop.example")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def test_a_storm_of_strangers_disturbs_nobody(house, authority):
    """Hundreds of them while others work: not one request fails, and all is counted once."""
    dice = random.Random(7)
    with Load(house.address("clear"), connections=4) as load:
        count = 0
        for _ in range(40):
            for listener in ("web", "edge", "stream"):
                with house.talk(listener) as talk:
                    with contextlib.suppress(OSError):
                        talk.send(dice.choice(list(STRANGERS.values()))[: dice.randrange(1, 400)])
                    if dice.random() < 0.5:
                        talk.reset()
                    count += 1
        load.wait_for_more(200)
    assert load.all_ok(), load
    lines(house, count)


# ---- PROXY headers

V2 = b"\r\n\r\n\0\r\nQUIT\n"
WRONG = {
    "none": HTTP,
    "garbage": b"\xff" + GARBAGE,
    "unknown-version": b"PROXY TCP9 1.2.3.4 5.6.7.8 1 2\r\n" + HTTP,
    "bad-address": b"PROXY TCP4 1.2.3.400 5.6.7.8 1 2\r\n" + HTTP,
    "bad-port": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n" + HTTP,
    "address-of-another-family": b"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n" + HTTP,
    "two-spaces": b"PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n" + HTTP,
    "no-carriage-return": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n" + HTTP,
    "a-line-that-never-ends": b"PROXY TCP4 " + b"1" * 200,
    "version-3": V2 + b"\x31\x11\0\x0c" + bytes(12) + HTTP,
    "unknown-command": V2 + b"\x2f\x11\0\x0c" + bytes(12) + HTTP,
    "too-short-for-its-addresses": V2 + b"\x21\x11\0\x04" + bytes(4) + HTTP,
    "longer-than-allowed": V2 + b"\x21\x11\xff\xff" + bytes(70_000),
}


def test_a_wrong_proxy_header_is_closed(serve, origin, authority, peer):
    listener = {"proxy_protocol": {"from": ["127.0.0.0/8"]}}
    config = site([origin(name="one").address], listener=listener)
    stream = relay([peer().address], listener=listener)
    config["listeners"]["stream"] = {**stream["listeners"]["web"], "pool": "stream"}
    config["pools"]["stream"] = stream["pools"]["app"]
    balancer = serve(config)
    first = b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"
    count = 0
    with balancer.talk(first=first) as web, balancer.talk("stream", first=first) as other:
        for case, said in WRONG.items():
            for name in ("web", "stream"):
                with balancer.talk(name, seconds=3) as talk:
                    with contextlib.suppress(OSError):
                        talk.send(said)
                    assert drained(talk) == b"", case
                count += 1
                assert "PROXY" in lines(balancer, count)[-1]["reason"], case
            assert web.get().body == b"one"
            assert other.send("hello").exactly(5) == b"hello"
