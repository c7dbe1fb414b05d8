"""TLS as others see it: their programs look at what is offered, which certificate comes, and what resumes."""

import re
import ssl
import subprocess
import xml.etree.ElementTree as Xml
from collections import Counter

import pytest

from .balancer import site, tcp
from .daemons import run
from .patience import until
from .talk import Cut
from .tools import tool

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def secure(one, *pairs, tls=None, **more):
    """The plainest site over TLS: the first certificate is the default."""
    listener = {"tls": {"certificates": [pair.files for pair in pairs], **(tls or {})}, **more}
    return site([one.address], listener=listener)


@pytest.fixture
def shop(serve, origin, authority):
    """A site with three certificates: exact, wildcard, and first of all the default."""
    default = authority.issue("default.example")
    exact, wild = authority.issue("shop.example", "www.shop.example"), authority.issue("*.wild.example")
    return serve(secure(origin(name="one"), default, exact, wild))


def s_client(balancer, *arguments: str, given: str = "") -> str:
    """What openssl says of a connection, both streams of it, whether it fails or not."""
    host, port = balancer.address()
    done = subprocess.run(
        [tool("openssl"), "s_client", "-connect", f"{host}:{port}", *arguments],
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
    )
    return done.stdout


# ---- what is offered


@pytest.mark.soak
def test_sslscan_finds_nothing_but_tls_1_2_and_1_3(shop):
    host, port = shop.address()
    found = Xml.fromstring(run(tool("sslscan"), "--sni-name=shop.example", "--xml=-", f"{host}:{port}"))
    enabled = {
        f"{each.get('type')} {each.get('version')}"
        for each in found.iter("protocol")
        if each.get("enabled") == "1"
    }
    assert enabled == {"tls 1.2", "tls 1.3"}
    ciphers = {each.get("cipher") or "" for each in found.iter("cipher")}
    assert ciphers
    assert all("GCM" in each or "POLY1305" in each for each in ciphers), ciphers
    assert {each.get("sslversion") for each in found.iter("cipher")} == {"TLSv1.2", "TLSv1.3"}
    assert [
        each.get("vulnerable") for each in found.iter("heartbleed") if each.get("vulnerable") == "1"
    ] == []
    assert all(each.get("supported") == "0" for each in found.iter("compression"))


@pytest.mark.soak
def test_testssl_finds_nothing_to_complain_about(shop, tmp_path):
    host, port = shop.address()
    report = tmp_path / "report.csv"
    command = [tool("testssl"), "--quiet", "--color", "0", "--warnings", "batch", "--csvfile", str(report)]
    command += ["--protocols", "--std", "--vulnerable", "--server-preference", "--ip", host]
    subprocess.run([*command, f"shop.example:{port}"], stdout=subprocess.DEVNULL, timeout=900, check=False)
    rows = [line.split('","') for line in report.read_text().splitlines()[1:]]
    grave = [row for row in rows if row[3] in ("MEDIUM", "HIGH", "CRITICAL", "FATAL")]
    # All ciphers offered are good ones, so clients choose the one they are fast at.
    bad = [row for row in grave if row[0].strip('"') != "cipher_order"]
    assert rows
    assert bad == []


@pytest.mark.parametrize("version", ["1", "1_1"])
def test_openssl_gets_nothing_older(shop, version):
    said = s_client(shop, f"-tls{version}", "-cipher", "DEFAULT@SECLEVEL=0")
    assert re.search("alert (protocol version|handshake failure)", said), said
    assert "Cipher is (NONE)" in said


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("least", ["1.2", "1.3"])
def test_the_least_version_is_as_configured(serve, origin, authority, version, least):
    balancer = serve(secure(origin(), authority.issue("shop.example"), tls={"min_version": least}))
    how = {"tls": authority.client(version=VERSIONS[version]), "name": "shop.example"}
    if version < least:
        with pytest.raises(ssl.SSLError):
            balancer.talk(**how)
        return
    with balancer.talk(**how) as talk:
        assert talk.get().status == 200
        assert talk.secured.version() == f"TLSv{version}"
    (line,) = balancer.access_log(1)
    assert version in str(line["tls"]), line


def test_alpn_is_agreed_upon_or_refused(shop):
    assert "ALPN protocol: http/1.1" in s_client(shop, "-alpn", "http/1.1,foo")
    assert "No ALPN negotiated" in s_client(shop)
    assert "alert no application protocol" in s_client(shop, "-alpn", "foo")


def test_there_is_no_renegotiation(shop):
    host, port = shop.address()
    client = subprocess.Popen(
        [tool("openssl"), "s_client", "-connect", f"{host}:{port}", "-tls1_2"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said, _ = client.communicate("R\n", timeout=30)
    assert "RENEGOTIATING" in said
    assert re.search("no renegotiation|alert|unexpected eof|errno", said.partition("RENEGOTIATING")[2]), said
    with shop.talk(tls=unverified(), name="shop.example") as talk:
        assert talk.get().status == 200, "others are not disturbed"


def unverified() -> ssl.SSLContext:
    """A client that takes any certificate, to see which one comes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


# ---- which certificate


@pytest.mark.parametrize(
    ("name", "certificate"),
    [
        ("shop.example", "shop.example"),
        ("SHOP.example", "shop.example"),
        ("www.shop.example", "shop.example"),
        ("a.wild.example", "*.wild.example"),
        ("wild.example", "default.example"),
        ("a.b.wild.example", "default.example"),
        ("other.example", "default.example"),
        ("default.example", "default.example"),
        (None, "default.example"),
    ],
)
def test_the_certificate_is_chosen_by_name(shop, name, certificate):
    arguments = ["-servername", name] if name else ["-noservername"]
    said = s_client(shop, *arguments)
    assert f"CN = {certificate}\n" in said.partition("Certificate chain")[2]


def test_curl_believes_the_certificate_and_gets_the_page(shop, authority):
    host, port = shop.address()
    for name in ("shop.example", "a.wild.example", "default.example"):
        options = ["--resolve", f"{name}:{port}:{host}", "--cacert", str(authority.ca)]
        assert run(tool("curl"), "-sS", *options, f"https://{name}:{port}/") == "one"


def test_the_backend_learns_that_it_was_https(serve, origin, authority):
    one = origin()
    balancer = serve(secure(one, authority.issue("shop.example")))
    with balancer.talk(tls=authority.client(), name="shop.example") as talk:
        talk.get("/", "Host: shop.example", "X-Forwarded-Proto: http")
    assert one.ledger[0].get("x-forwarded-proto") == "https"


# ---- sessions


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_session_is_resumed_on_whatever_worker(shop, authority, version):
    """Thirty connections, of which each worker gets some: the kernel deals them out by their ports."""
    context = authority.client(version=VERSIONS[version])
    with shop.talk(tls=context, name="shop.example") as talk:
        talk.get()
        assert not talk.secured.session_reused
        session = talk.secured.session
    reused = Counter[bool]()
    for _ in range(30):
        with shop.talk(tls=context, name="shop.example", session=session) as talk:
            assert talk.get().status == 200
            reused[bool(talk.secured.session_reused)] += 1
    assert reused == {True: 30}


@pytest.mark.parametrize("version", ["tls1_2", "tls1_3"])
def test_openssl_resumes_over_a_reload(shop, tmp_path, version):
    ask = "GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n"
    kept = tmp_path / "session"
    first = s_client(shop, f"-{version}", "-ign_eof", "-sess_out", str(kept), given=ask)
    assert "New, TLSv1" in first
    shop.hang_up()
    again = s_client(shop, f"-{version}", "-ign_eof", "-sess_in", str(kept), given=ask)
    assert "Reused, TLSv1" in again
    assert "HTTP/1.1 200" in again


def test_the_session_of_one_policy_opens_no_other(serve, origin, authority):
    """Who may resume without a certificate at one name may not so come to the name that asks for one."""
    open_, closed = authority.issue("open.example"), authority.issue("closed.example")
    tls = {
        "certificates": [
            open_.files,
            {**closed.files, "client_auth": {"mode": "require", "ca": str(authority.ca)}},
        ]
    }
    balancer = serve(site([origin().address], listener={"tls": tls}))
    for version in VERSIONS.values():
        context = authority.client(version=version)
        context.check_hostname = False
        with balancer.talk(tls=context, name="open.example") as talk:
            talk.get()
            session = talk.secured.session
        with pytest.raises((ssl.SSLError, OSError, Cut)):
            refused(balancer, context, session)


def refused(balancer, context, session) -> None:
    with balancer.talk(tls=context, name="closed.example", session=session) as talk:
        assert talk.get("/", "Host: closed.example").status == 421


# ---- the connection


def test_keep_alive_and_large_bodies(serve, origin, authority):
    body = bytes(range(256)) * 8192

    def reversed_(ask):
        ask.answer(200, ask.read_body()[::-1])

    balancer = serve(secure(origin(reversed_), authority.issue("shop.example")))
    with balancer.talk(tls=authority.client(), name="shop.example") as talk:
        for _ in range(3):
            answer = talk.request("POST", "/", body=body).response()
            assert answer.body == body[::-1]


def test_the_end_is_announced(serve, origin, authority):
    """close_notify before the FIN: without it a client could not tell an end from a cut."""
    balancer = serve(secure(origin(), authority.issue("shop.example")))
    with balancer.talk(tls=authority.client(), name="shop.example") as talk:
        assert talk.get("/", "Connection: close").status == 200
        assert talk.closed()


def test_a_client_that_starts_no_handshake_is_left(serve, origin, authority):
    balancer = serve(secure(origin(), authority.issue("shop.example"), timeouts={"tls_handshake": "300ms"}))
    with balancer.talk() as silent, balancer.talk() as slow:
        slow.send(b"\x16\x03\x01")
        assert silent.rest() == b""
        assert slow.rest() in (b"", slow_alert())
    with balancer.talk(tls=authority.client(), name="shop.example") as talk:
        assert talk.get().status == 200


def slow_alert() -> bytes:
    return b"\x15\x03\x03\x00\x02\x01\x00"


def test_internal_certificates(serve, origin):
    """pylb makes an authority and a certificate, and says where the authority is."""
    balancer = serve(site([origin().address], listener={"tls": {"certificates": "internal"}}))
    (ca,) = until("the authority is there", lambda: list(balancer.folder.rglob("authority.pem")))
    context = ssl.create_default_context(cafile=ca)
    with balancer.talk(tls=context, name="localhost") as talk:
        assert talk.get().status == 200
    keys = [path for path in balancer.folder.rglob("*.key")]
    assert keys
    assert all(path.stat().st_mode & 0o077 == 0 for path in keys)
    config = site([origin().address], listener={"tls": {"certificates": "internal"}})
    before = ca.read_bytes()
    balancer.load(config)
    assert ca.read_bytes() == before


def test_sticky_cookies_are_for_https_only(serve, origin, authority):
    config = secure(origin(), authority.issue("shop.example"))
    config["pools"]["app"]["sticky"] = {"cookie": "home"}
    config["listeners"]["clear"] = {"bind": tcp(), "routes": [{"pool": "app"}]}
    balancer = serve(config)
    with balancer.talk(tls=authority.client(), name="shop.example") as talk:
        assert "; Secure" in (talk.get().get("set-cookie") or "")
    with balancer.talk("clear") as talk:
        assert "; Secure" not in (talk.get().get("set-cookie") or "")


def test_many_handshakes_at_once_leave_nothing_behind(shop, authority):
    before = shop.descriptors()
    context = authority.client()
    talks = [shop.talk(tls=context, name="shop.example") for _ in range(100)]
    for talk in talks:
        assert talk.get().status == 200
    for talk in talks:
        talk.close()
    until("no socket is left", lambda: shop.descriptors() <= before + 4)
