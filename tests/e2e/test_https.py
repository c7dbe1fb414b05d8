"""What makes HTTPS convenient: the redirect from clear, HSTS, and an answer to names that are not meant."""

from .balancer import site, tcp
from .daemons import run
from .tools import tool


def test_redirect_https(serve, origin, authority):
    """Everything goes to the same place over TLS, before any route is looked at."""
    one = origin(name="one")
    config = site([one.address], listener={"tls": {"certificates": [authority.issue("shop.example").files]}})
    _, _, port = config["listeners"]["web"]["bind"].rpartition(":")
    config["listeners"]["clear"] = {"bind": tcp(), "redirect_https": int(port)}
    config["listeners"]["plain"] = {"bind": tcp(), "redirect_https": True, "routes": [{"pool": "app"}]}
    balancer = serve(config)
    with balancer.talk("clear") as talk:
        answer = talk.get("/a/b?c=d", "Host: shop.example:8080")
        assert (answer.status, answer.get("location")) == (308, f"https://shop.example:{port}/a/b?c=d")
        answer = talk.request("POST", "/a", "Host: shop.example", body=b"x").response()
        assert (answer.status, answer.get("location")) == (308, f"https://shop.example:{port}/a")
    with balancer.talk("plain") as talk:
        answer = talk.get("/%20?", "Host: SHOP.example")
        assert (answer.status, answer.get("location")) == (308, "https://shop.example/%20?")
    assert one.count() == 0
    host, clear = balancer.address("clear")
    known = [each for known in (clear, port) for each in ("--resolve", f"shop.example:{known}:{host}")]
    options = ["-sSL", *known, "--cacert", str(authority.ca)]
    assert run(tool("curl"), *options, f"http://shop.example:{clear}/a") == "one"


def test_who_comes_over_a_trusted_proxy_with_tls_is_not_redirected(serve, origin):
    one = origin(name="one")
    listener = {"redirect_https": True, "trusted_proxies": ["127.0.0.2/32"]}
    balancer = serve(site([one.address], listener=listener))
    with balancer.talk(source="127.0.0.2") as talk:
        assert talk.get("/", "X-Forwarded-Proto: https").body == b"one"
        assert talk.get("/", "X-Forwarded-Proto: http").status == 308
        assert talk.get("/").status == 308
    with balancer.talk(source="127.0.0.3") as talk:
        assert talk.get("/", "X-Forwarded-Proto: https").status == 308


def test_hsts_is_a_header_edit(serve, origin, authority):
    hsts = "max-age=31536000; includeSubDomains"
    route = {"pool": "app", "response_headers": {"set": {"strict-transport-security": hsts}}}
    tls = {"certificates": [authority.issue("shop.example").files]}
    script = lambda ask: ask.answer(200, "one", "Strict-Transport-Security: max-age=1")  # noqa: E731
    balancer = serve(site([origin(script).address], listener={"tls": tls, "routes": [route]}))
    with balancer.talk(tls=authority.client(), name="shop.example") as talk:
        assert talk.get("/", "Host: shop.example").get("strict-transport-security") == hsts


def test_421_only_across_policies(serve, origin, authority):
    """Two names with the same rules share connections; a name with rules of its own does not."""
    one = origin(name="one")
    auth = {"mode": "optional", "ca": str(authority.ca)}
    certificates = [
        authority.issue("a.example").files,
        authority.issue("b.example").files,
        {**authority.issue("*.closed.example").files, "client_auth": auth},
    ]
    balancer = serve(site([one.address], listener={"tls": {"certificates": certificates}}))

    def status_of(name: str, host: str) -> int:
        with balancer.talk(tls=authority.client(), name=name) as talk:
            return talk.get("/", f"Host: {host}").status

    for host, status in {
        "a.example": 200,
        "A.EXAMPLE:443": 200,
        "b.example": 200,
        "unknown.example": 200,
        "x.closed.example": 421,
        "X.Closed.Example:1": 421,
    }.items():
        assert status_of("a.example", host) == status, host
    for host, status in {"x.closed.example": 200, "y.closed.example": 200, "a.example": 421}.items():
        assert status_of("x.closed.example", host) == status, host
    assert one.count() == 6
    misdirected = balancer.access_log(3, lambda line: line["status"] == 421)
    assert len(misdirected) == 3
