"""Health checks over TLS: what is believed, and why not, in words."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from pylb.core import Core
from pylb.health.probe import Answer, Question, Request, ask
from pylb.health.secure import Secure, reason

pytestmark = pytest.mark.trio

REQUEST = Request("/healthz", "app.example", (), 200, 399)
OWN = Core.mint(["app.example", "127.0.0.1"])
OTHER = Core.mint(["other.example"])


@asynccontextmanager
async def backend(
    folder: Path, minted: dict[str, str], clients: str | None = None, failures: list[str] | None = None
) -> AsyncIterator[str]:
    """Answers 200 over TLS; asks for certificates of `clients`, and notes what OpenSSL says of them."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (folder / "backend.pem").write_text(minted["certificate"] + minted["key"])
    context.load_cert_chain(folder / "backend.pem")
    if clients:
        context.load_verify_locations(cadata=clients)
        context.verify_mode = ssl.CERT_REQUIRED

    async def talk(stream: "trio.SSLStream[trio.SocketStream]") -> None:
        try:
            await stream.receive_some()
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        except trio.BrokenResourceError as error:
            if failures is not None:
                failures.append(str(error.__cause__))

    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_ssl_over_tcp, talk, 0, context, host="127.0.0.1", https_compatible=True)
        (listener,) = await nursery.start(serve)
        yield f"127.0.0.1:{listener.transport_listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


def believing(
    minted: dict[str, str] | None, name: str = "app.example", shown: tuple[bytes, bytes] | None = None
) -> Secure:
    return Secure(name, minted["authority"].encode() if minted else None, shown)


async def verdict(address: str, secure: Secure, request: Request | None = REQUEST) -> Answer:
    return await ask(Question(address, request, 5, secure))


async def test_good_backends_are_good(tmp_path: Path) -> None:
    async with backend(tmp_path, OWN) as address:
        for secure in (believing(OWN), believing(OWN, "127.0.0.1"), believing(None, "whoever.example")):
            assert (await verdict(address, secure)).status == 200
            assert (await verdict(address, secure, None)).good


async def test_bad_certificates_are_told_apart(tmp_path: Path) -> None:
    async with backend(tmp_path, OWN) as address:
        for secure, why in (
            (believing(OTHER), "certificate is of an unknown authority"),
            (believing(OWN, "web.internal"), "certificate is for another name, not web.internal"),
        ):
            for request in (REQUEST, None):
                answer = await verdict(address, secure, request)
                assert (answer.good, answer.why) == (False, why)


async def test_a_certificate_among_the_authorities_is_believed(tmp_path: Path) -> None:
    async with backend(tmp_path, OWN) as address:
        assert (await verdict(address, Secure("app.example", OWN["certificate"].encode(), None))).good


async def test_a_certificate_is_shown_to_who_asks(tmp_path: Path) -> None:
    failures: list[str] = []
    async with backend(tmp_path, OWN, OTHER["certificate"], failures) as address:
        assert not (await verdict(address, believing(OWN))).good
        shown = OTHER["certificate"].encode(), OTHER["key"].encode()
        await verdict(address, believing(OWN, shown=shown))
    # The second is one for servers, which is no good here either; but it was shown.
    none, shown_one = failures
    assert "did not return a certificate" in none
    assert "did not return a certificate" not in shown_one


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "the other side requires a certificate"),
        ("TLSV1_ALERT_UNKNOWN_CA", "the other side does not know the authority of the certificate"),
        ("WRONG_VERSION_NUMBER", "not TLS"),
        ("SOMETHING_NEW", "TLS failed: something new"),
    ],
)
async def test_failures_of_openssl_have_our_words(said: str, why: str) -> None:
    error = ssl.SSLError(1, said)
    error.reason = said
    assert reason(error, believing(OWN)) == why


async def test_what_speaks_no_tls_is_said_so() -> None:
    async def talk(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, talk, 0, host="127.0.0.1"))
        address = f"127.0.0.1:{listener.socket.getsockname()[1]}"
        assert (await verdict(address, believing(OWN))).why == "not TLS"
        nursery.cancel_scope.cancel()


async def test_a_preface_comes_before_everything() -> None:
    heard: list[bytes] = []

    async def talk(stream: trio.SocketStream) -> None:
        heard.append(await stream.receive_some(15))

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, talk, 0, host="127.0.0.1"))
        address = f"127.0.0.1:{listener.socket.getsockname()[1]}"
        await ask(Question(address, REQUEST, 5, believing(OWN), b"PROXY UNKNOWN\r\n"))
        nursery.cancel_scope.cancel()
    assert heard == [b"PROXY UNKNOWN\r\n"]
