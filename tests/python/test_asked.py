"""A URL and header lines become the request that the core is asked about."""

from pathlib import Path

import pytest
from pylb.asked import asked
from pylb.config import parse
from pylb.config.model import Settings
from pylb.errors import PylbError

MANY = """\
listeners:
  web: {bind: ["0.0.0.0:80", ":8080"], routes: [{pool: web}]}
  local: {bind: "127.0.0.1:8081", routes: [{pool: web}]}
  other: {bind: "127.0.0.2:8081", routes: [{pool: web}]}
  hidden: {bind: "unix:/run/x:443", routes: [{pool: web}]}
pools: {web: {backends: [127.0.0.1:9001]}}
"""


def settings(text: str = MANY) -> Settings:
    return parse(text, file=Path("pylb.yaml"), environ={}).model


def only() -> Settings:
    return settings(
        "listeners: {a: {bind: ':9', routes: [{pool: p}]}}\npools: {p: {backends: ['127.0.0.1:1']}}"
    )


@pytest.mark.parametrize(
    ("url", "listener"),
    [
        ("http://shop.example/x", "web"),
        ("http://shop.example:8080/x", "web"),
        ("shop.example:8080", "web"),
        ("http://127.0.0.1:8081/", "local"),
        ("http://127.0.0.2:8081/", "other"),
    ],
)
def test_the_port_of_the_url_says_which_listener(url: str, listener: str) -> None:
    assert asked(settings(), "GET", url).listener == listener


def test_the_only_listener_takes_every_url() -> None:
    for url in ("/x", "http://a.example/", "https://a.example:7/"):
        assert asked(only(), "GET", url).listener == "a"


@pytest.mark.parametrize(
    ("url", "listener", "part"),
    [
        ("http://shop.example:8081/", None, "local and other listen on port 8081; say which one is meant"),
        (
            "https://shop.example/",
            None,
            "no listener has port 443; say which one is meant with --listener web|",
        ),
        ("/x", "wbe", 'there is no listener "wbe"; there is web, local, other, hidden'),
        ("ftp://shop.example/", None, "is not a URL"),
        ("http://", None, "is not a URL"),
        ("http://a:99999/", None, "is not a URL"),
    ],
)
def test_what_names_no_listener_is_said(url: str, listener: str | None, part: str) -> None:
    with pytest.raises(PylbError) as caught:
        asked(settings(), "GET", url, listener=listener)
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("url", "host", "target"),
    [
        ("http://shop.example/a/b?c=d#e", b"shop.example", "/a/b?c=d"),
        ("http://Shop.Example:8080", b"Shop.Example:8080", "/"),
        ("http://shop.example?c=d", b"shop.example", "/?c=d"),
        ("http://me:secret@shop.example/", b"shop.example", "/"),
        ("http://[::1]:8080/x", b"[::1]:8080", "/x"),
    ],
)
def test_a_url_is_host_and_target(url: str, host: bytes, target: str) -> None:
    found = asked(only(), "GET", url)
    assert found.headers == ((b"host", host),)
    assert found.target == target


def test_a_path_alone_is_asked_of_this_machine() -> None:
    assert asked(only(), "GET", "/x").headers == ((b"host", b"localhost"),)


def test_headers_are_lines_as_curl_takes_them() -> None:
    found = asked(only(), "GET", "/x", headers=["Host: a.example", "X-Empty:", "Cookie: a=b; c=d"])
    assert found.headers == ((b"Host", b"a.example"), (b"X-Empty", b""), (b"Cookie", b"a=b; c=d"))
    with_host = asked(only(), "GET", "http://b.example/x", headers=["host: a.example"])
    assert with_host.headers == ((b"host", b"a.example"),)
    with pytest.raises(PylbError, match='"nothing" is not a header'):
        asked(only(), "GET", "/x", headers=["nothing"])


def test_the_client_is_an_address() -> None:
    assert asked(only(), "GET", "/x").client == "127.0.0.1"
    assert asked(only(), "GET", "/x", client="2001:db8::1").client == "2001:db8::1"
    for other in ("me", "10.0.0.0/8", "fe80::1%lo", ""):
        with pytest.raises(PylbError, match="is not an IP address"):
            asked(only(), "GET", "/x", client=other)


TLS = """\
listeners:
  clear: {bind: ":80", redirect_https: true}
  secure: {bind: ":443", tls: {certificates: internal}, routes: [{pool: web}]}
  hidden: {bind: "127.0.0.1:8443", tls: {certificates: internal}, routes: [{pool: web}]}
  edge:
    bind: ":444"
    protocol: tls
    routes:
      - {match: {alpn: mqtt}, pool: web}
      - {match: {sni: "*.inner.example"}, pool: web}
      - {match: {sni: shop.example, alpn: [h2]}, terminate: hidden}
  db: {bind: ":80", protocol: udp, pool: web}
pools: {web: {backends: [127.0.0.1:9001]}}
"""


@pytest.mark.parametrize(
    ("url", "listener", "secure", "through"),
    [
        ("http://shop.example/", "clear", False, None),
        ("https://shop.example/", "secure", True, None),
        ("https://shop.example:8443/", "hidden", True, None),
        ("https://Shop.Example:444/", "hidden", True, "edge"),
    ],
)
def test_https_comes_over_tls_and_names_are_followed(
    url: str, listener: str, secure: bool, through: str | None
) -> None:
    found = asked(settings(TLS), "GET", url)
    assert (found.listener, found.secure, found.through) == (listener, secure, through)


@pytest.mark.parametrize(
    ("url", "listener", "part"),
    [
        ("http://shop.example:443/", None, "secure speaks TLS; write https://shop.example:443/"),
        ("https://a.inner.example:444/", None, "edge passes a.inner.example on to the pool web as it comes"),
        ("https://other.example:444/", None, "edge has no route for other.example, and closes"),
        ("/x", "edge", "edge has no route for clients that ask for no name"),
        ("/x", "db", "db speaks udp; only listeners of http have requests"),
    ],
)
def test_what_nobody_serves_as_requests_is_said(url: str, listener: str | None, part: str) -> None:
    with pytest.raises(PylbError) as caught:
        asked(settings(TLS), "GET", url, listener=listener)
    assert part in str(caught.value)
