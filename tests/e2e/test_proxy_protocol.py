"""PROXY headers: believed of those who are listed, told to backends that want them."""

import re
import socket
import struct

import pytest

from .balancer import relay, site
from .origin import Line
from .streams import mirror

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v1(client: str) -> bytes:
    return f"PROXY TCP4 {client} 9.9.9.9 4711 443\r\n".encode()


def v2(client: str, more: bytes = b"") -> bytes:
    addresses = socket.inet_aton(client) + socket.inet_aton("9.9.9.9") + struct.pack(">HH", 4711, 443)
    return SIGNATURE + b"\x21\x11" + struct.pack(">H", len(addresses) + len(more)) + addresses + more


LOCAL = SIGNATURE + b"\x20\x00\x00\x00"
UNKNOWN = b"PROXY UNKNOWN\r\n"
HEADERS = {
    "v1": (v1("1.2.3.4"), "1.2.3.4"),
    "v1-ipv6": (b"PROXY TCP6 2001:db8::7 ::1 4711 443\r\n", "2001:db8::7"),
    "v1-unknown": (UNKNOWN, "127.0.0.1"),
    "v2": (v2("1.2.3.4"), "1.2.3.4"),
    "v2-with-more": (v2("1.2.3.4", b"\x01\x00\x02h2\xe0\x00\x03abc"), "1.2.3.4"),
    "v2-local": (LOCAL, "127.0.0.1"),
}


@pytest.mark.parametrize("over", ["http", "https"])
def test_a_listed_peer_says_who_the_client_is(serve, origin, authority, over):
    one, how = origin(), {}
    listener = {"proxy_protocol": {"from": ["127.0.0.0/8"]}}
    if over == "https":
        listener["tls"] = {"certificates": [authority.issue("shop.example").files]}
        how = {"tls": authority.client(), "name": "shop.example"}
    balancer = serve(site([one.address], listener=listener))
    for case, (header, client) in HEADERS.items():
        with balancer.talk(first=header, **how) as talk:
            assert talk.get(f"/{case}").status == 200
        assert one.ledger[-1].get("x-forwarded-for") == client, case
        (line,) = balancer.access_log(1, lambda line, path=f"/{case}": line["path"] == path)
        assert line["client"] == client, case


def test_a_listed_peer_of_tcp_says_who_the_client_is(serve, peer):
    balancer = serve(relay([peer(mirror).address], listener={"proxy_protocol": {"from": ["127.0.0.0/8"]}}))
    for count, (case, (header, client)) in enumerate(HEADERS.items(), start=1):
        with balancer.talk(first=header + b"he") as talk:
            assert talk.send("llo").exactly(5) == b"hello"
        assert balancer.access_log(count)[-1]["client"] == client, case


def test_who_is_not_listed_is_not_believed(serve, origin):
    one = origin()
    balancer = serve(site([one.address], listener={"proxy_protocol": {"from": ["127.0.0.2/32"]}}))
    with balancer.talk(source="127.0.0.3") as talk:
        assert talk.get().status == 200
    with balancer.talk(source="127.0.0.3", first=v1("1.2.3.4")) as talk:
        assert talk.get().status == 400
    with balancer.talk(source="127.0.0.2", first=v1("1.2.3.4")) as talk:
        assert talk.get().status == 200
    assert [ask.get("x-forwarded-for") for ask in one.ledger] == ["127.0.0.3", "1.2.3.4"]


def test_a_header_in_pieces(serve, origin):
    one = origin()
    balancer = serve(site([one.address], listener={"proxy_protocol": {"from": ["127.0.0.1"]}}))
    for header in (v1("1.2.3.4"), v2("1.2.3.4", bytes([4]) + struct.pack(">H", 997) + bytes(997))):
        with balancer.talk() as talk:
            for at in range(0, len(header), 5):
                talk.send(header[at : at + 5])
            assert talk.get().status == 200
    assert {ask.get("x-forwarded-for") for ask in one.ledger} == {"1.2.3.4"}


def announced(line: Line) -> tuple[str, int]:
    """The client and its port, as a header of either version at the start of a connection says."""
    start = line.exactly(12)
    if start == SIGNATURE:
        command, family, length = struct.unpack(">BBH", line.exactly(4))
        assert (command, family) == (0x21, 0x11)
        body = line.exactly(length)
        return socket.inet_ntoa(body[:4]), struct.unpack(">H", body[8:10])[0]
    text = start + line.until(b"\r\n")
    found = re.fullmatch(rb"PROXY TCP4 (\S+) 127\.0\.0\.1 (\d+) (\d+)\r\n", text)
    assert found, text
    return found[1].decode(), int(found[2])


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_backend_of_tcp_is_told(serve, peer, version):
    heads: list[tuple[str, int]] = []

    def script(line: Line) -> None:
        heads.append(announced(line))
        mirror(line)

    balancer = serve(relay([peer(script).address], pool={"proxy_protocol": version}))
    with balancer.talk(source="127.0.0.7") as talk:
        port = talk.socket.getsockname()[1]
        assert talk.send("hello").exactly(5) == b"hello"
    assert heads == [("127.0.0.7", port)]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_backend_of_http_is_told_for_each_client(serve, peer, version):
    """A connection that was announced for one client carries no other's requests."""

    def script(line: Line) -> None:
        client, _ = announced(line)
        while True:
            line.until(b"\r\n\r\n")
            line.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(client)}\r\n\r\n{client}")

    balancer = serve(site([peer(script).address], pool={"proxy_protocol": version}))
    for _ in range(3):
        for last in (5, 6, 7):
            with balancer.talk(source=f"127.0.0.{last}") as talk:
                for _ in range(3):
                    assert talk.get().body.decode() == f"127.0.0.{last}"
