"""Which pool gets a request: by host and path, first match in the order of the file."""

import pytest

from .balancer import site

ROUTES = [
    {"match": {"host": "shop.example", "path": "/api/"}, "pool": "api"},
    {"match": {"host": "shop.example", "path": "/status"}, "pool": "status"},
    {"match": {"host": "shop.example"}, "pool": "shop"},
    {"match": {"host": "*.shop.example"}, "pool": "wild"},
    {"match": {"path": "/admin/"}, "pool": "admin"},
    {"match": {"host": "late.example", "path": "/admin/x"}, "pool": "never"},
]

CASES = [
    ("shop.example", "/api", "api"),
    ("shop.example", "/api/", "api"),
    ("shop.example", "/api/v1?x=/status", "api"),
    ("SHOP.example:8080", "/api/v1", "api"),
    ("shop.example.", "/api/v1", "api"),
    ("shop.example", "/apix", "shop"),
    ("shop.example", "/API/", "shop"),
    ("shop.example", "/status", "status"),
    ("shop.example", "/status/", "shop"),
    ("shop.example", "/status?now", "status"),
    ("shop.example", "/admin/", "shop"),
    ("a.shop.example", "/api/", "wild"),
    ("a.b.shop.example", "/", "wild"),
    ("xshop.example", "/", None),
    ("other.example", "/", None),
    ("other.example", "/admin", "admin"),
    ("other.example", "/x/../admin/y", "admin"),
    ("other.example", "/./admin", "admin"),
    ("other.example", "/x/%2e%2e/admin", "admin"),
    ("other.example", "/%61dmin/", "admin"),
    ("other.example", "//admin", "admin"),
    ("other.example", "/x/%2e%2e%2fadmin", 400),
    ("late.example", "/admin/x", "admin"),
]


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Asks one running pylb for a host and a path, and returns the answer."""
    from .balancer import Balancer
    from .origin import Origin

    names = ["api", "status", "shop", "wild", "admin", "never"]
    backends = {name: Origin(name=name) for name in names}
    config = site([])
    config["listeners"]["web"]["routes"] = ROUTES
    config["pools"] = {name: {"backends": [one.address]} for name, one in backends.items()}
    balancer = Balancer(tmp_path_factory.mktemp("pylb"), config).wait_until_ready()

    def ask(host, path):
        with balancer.talk() as talk:
            return talk.get(path, f"Host: {host}")

    yield ask
    balancer.end()
    for one in backends.values():
        one.stop()


@pytest.mark.parametrize(("host", "path", "expected"), CASES)
def test_first_match_wins(asked, host, path, expected):
    answer = asked(host, path)
    if isinstance(expected, str):
        assert (answer.status, answer.body.decode()) == (200, expected)
    else:
        assert answer.status == (expected or 404)


def test_ten_thousand_hosts(serve, origin):
    few, many = origin(name="few"), origin(name="many")
    config = site([few.address])
    config["pools"]["many"] = {"backends": [many.address]}
    routes = [{"match": {"host": f"h{number}.example"}, "pool": "many"} for number in range(10_000)]
    config["listeners"]["web"]["routes"] = [*routes, {"pool": "app"}]
    balancer = serve(config)
    with balancer.talk() as talk:
        assert talk.get("/", "Host: h0.example").body == b"many"
        assert talk.get("/", "Host: h9999.example").body == b"many"
        assert talk.get("/", "Host: h10000.example").body == b"few"
