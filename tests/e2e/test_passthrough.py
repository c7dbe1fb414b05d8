"""One port, many names: some are passed on as they are, some are decrypted here, by SNI and ALPN."""

import ssl
import subprocess

import pytest

from .balancer import reachable, tcp
from .daemons import run
from .talk import Cut, Talk
from .tools import tool

INSIDE, SHOP = "a.internal.example", "shop.example"


@pytest.fixture
def edge(serve, origin, authority):
    """Passthrough for *.internal.example, to the listener `secure` for shop.example, elsewhere by ALPN."""
    inside = origin(name="inside", tls=authority.server(authority.issue("*.internal.example")))
    special = origin(name="special", tls=special_server(authority))
    web = origin(name="web")
    config = {
        "listeners": {
            "edge": {
                "bind": tcp(),
                "protocol": "tls",
                "routes": [
                    {"match": {"sni": "*.internal.example"}, "pool": "inside"},
                    {"match": {"sni": SHOP}, "terminate": "secure"},
                    {"match": {"alpn": "special"}, "pool": "special"},
                ],
            },
            "secure": {
                "bind": tcp(),
                "tls": {"certificates": [authority.issue(SHOP).files]},
                "routes": [{"pool": "web"}],
            },
        },
        "pools": {
            "inside": {"backends": [inside.address]},
            "special": {"backends": [special.address]},
            "web": {"backends": [web.address]},
        },
        "workers": 2,
    }
    return serve(config)


def special_server(authority) -> ssl.SSLContext:
    context = authority.server(authority.issue("special.example"))
    context.set_alpn_protocols(["special"])
    return context


def test_curl_and_openssl_on_one_port(edge, authority):
    host, port = edge.address("edge")
    for name, body in ((INSIDE, "inside"), (SHOP, "web")) * 3:
        options = ["--resolve", f"{name}:{port}:{host}", "--cacert", str(authority.ca)]
        assert run(tool("curl"), "-sS", *options, f"https://{name}:{port}/") == body
    for name in (INSIDE, SHOP):
        trust = ["-verify_return_error", "-verify_hostname", name, "-CAfile", str(authority.ca)]
        said = run(tool("openssl"), "s_client", "-connect", f"{host}:{port}", "-servername", name, *trust)
        assert "Verify return code: 0 (ok)" in said or "Verification: OK" in said
    address, port = edge.address("secure")
    options = ["--resolve", f"{SHOP}:{port}:{address}", "--cacert", str(authority.ca)]
    assert run(tool("curl"), "-sS", *options, f"https://{SHOP}:{port}/") == "web"


def test_the_log_says_which_way_it_went(edge, authority):
    for name in (INSIDE, SHOP):
        with edge.talk("edge", tls=authority.client(), name=name) as talk:
            assert talk.get("/", f"Host: {name}", "Connection: close").status == 200
    passed = edge.access_log(1, lambda line: line["proto"] == "tls")
    assert (passed[0]["host"], passed[0]["pool"], passed[0]["status"]) == (INSIDE, "inside", None)
    web = edge.access_log(1, lambda line: line["proto"] == "HTTP/1.1")
    assert (web[0]["host"], web[0]["status"]) == (SHOP, 200)
    assert web[0]["tls"]


def test_alpn_routes_too(edge, authority):
    context = authority.client()
    context.set_alpn_protocols(["other", "special"])
    with edge.talk("edge", tls=context, name="special.example") as talk:
        assert talk.secured.selected_alpn_protocol() == "special"
        assert talk.get().body == b"special"


def test_a_name_without_a_route_is_closed(edge, authority):
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        edge.talk("edge", tls=authority.client(), name="other.example")
    (line,) = edge.access_log(1)
    assert line["reason"] == "no route for other.example"


@pytest.mark.parametrize("name", [INSIDE, SHOP])
@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_client_hello_in_pieces(edge, authority, name, size):
    """A client writes its hello byte by byte; what it then says comes in one piece with the rest."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = authority.client().wrap_bio(incoming, outgoing, server_hostname=name)
    with Talk(edge.address("edge")) as talk:
        first = True
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                said = outgoing.read()
                for at in range(0, len(said), size if first else len(said)):
                    talk.send(said[at : at + size] if first else said)
                first = False
                incoming.write(talk.socket.recv(65_536))
        tls.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        talk.send(outgoing.read())
        assert answer(talk, tls, incoming).startswith(b"HTTP/1.1 200")


def answer(talk: Talk, tls: ssl.SSLObject, incoming: ssl.MemoryBIO) -> bytes:
    """The first of what comes back, decrypted."""
    while True:
        incoming.write(talk.socket.recv(65_536))
        try:
            return tls.read(65_536)
        except ssl.SSLWantReadError:
            continue


def test_sessions_resume_through_both_ways(edge, authority):
    for name in (INSIDE, SHOP):
        context = authority.client()
        with edge.talk("edge", tls=context, name=name) as talk:
            talk.get("/", f"Host: {name}")
            session = talk.secured.session
        with edge.talk("edge", tls=context, name=name, session=session) as talk:
            assert talk.get("/", f"Host: {name}").status == 200
            assert talk.secured.session_reused
    context = authority.client()
    with edge.talk("secure", tls=context, name=SHOP) as talk:
        talk.get("/", f"Host: {SHOP}")
        session = talk.secured.session
    with edge.talk("edge", tls=context, name=SHOP, session=session) as talk:
        assert talk.secured.session_reused


def test_a_reload_keeps_passed_and_terminated_connections(edge, authority):
    with (
        edge.talk("edge", tls=authority.client(), name=INSIDE) as passed,
        edge.talk("edge", tls=authority.client(), name=SHOP) as ended,
    ):
        for _ in range(5):
            edge.hang_up()
            assert passed.get("/", f"Host: {INSIDE}").body == b"inside"
            assert ended.get("/", f"Host: {SHOP}").body == b"web"


def test_netcat_sees_the_end_of_what_is_not_tls(edge):
    host, port = edge.address("edge")
    done = subprocess.run(
        [tool("nc"), "-N", host, str(port)], input=b"SSH-2.0-x\r\n", capture_output=True, timeout=20
    )
    assert done.stdout == b""
    (line,) = edge.access_log(1)
    assert line["reason"]
    with pytest.raises((Cut, OSError, ssl.SSLError)), Talk(reachable(f"{host}:{port}")) as talk:
        talk.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").exactly(1)
