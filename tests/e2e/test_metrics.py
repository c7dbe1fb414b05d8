"""/metrics parses, and counts what happened; the health pages say how pylb is."""

from .balancer import Samples, site, tcp
from .origin import Ask
from .patience import until
from .ports import free_port


def script(ask: Ask) -> None:
    ask.read_body()
    if ask.target == "/hang":
        ask.wait_until_gone()
    else:
        ask.answer(int(ask.target.strip("/") or 200), b"x" * 10)


def test_requests_are_counted_by_route_backend_and_class(serve, origin):
    one = origin(script)
    routes = [
        {"name": "api", "match": {"path": "/404"}, "pool": "app"},
        {"match": {"host": "test"}, "pool": "app"},
    ]
    balancer = serve(site([one.address], listener={"routes": routes}, metrics={"bind": tcp()}))
    with balancer.talk() as talk:
        for path in ["/200"] * 5 + ["/404"] * 2 + ["/301", "/500"]:
            talk.request("POST", path, body=b"abc").response()
        assert talk.get("/", "Host: nobody").status == 404
    with balancer.talk() as talk:
        assert talk.send("nonsense\r\n\r\n").response().status == 400
    found = balancer.metrics(requests=11)

    def requests(**labels: str) -> float:
        return found.value("pylb_requests_total", listener="web", **labels)

    assert requests(route="api") == requests(route="api", **{"class": "4xx"}) == 2
    assert requests(route="web#2", **{"class": "2xx"}) == 5
    assert requests(route="web#2", **{"class": "3xx"}) == 1
    assert requests(route="web#2", **{"class": "5xx"}) == 1
    assert requests(route="", **{"class": "4xx"}) == 2
    at_backend = {"pool": "app", "backend": one.address}
    assert found.value("pylb_backend_requests_total", **at_backend) == 9
    assert found.value("pylb_backend_requests_total", **at_backend, **{"class": "2xx"}) == 5
    assert found.value("pylb_bytes_total", direction="in") == 27
    assert found.value("pylb_refused_requests_total") == 1
    assert found.value("pylb_upstream_connections_total", kind="new") == 1
    assert found.value("pylb_upstream_connections_total", kind="reused") == 8
    assert found.value("pylb_backend_up", **at_backend) == 1
    assert found.value("pylb_plan_generation") == 1


def test_histograms_are_cumulative_and_complete(serve, origin):
    one = origin(script)
    balancer = serve(site([one.address], metrics={"bind": tcp()}))
    with balancer.talk() as talk:
        for _ in range(20):
            talk.get()
    found = balancer.metrics(requests=20)
    name = "pylb_request_duration_seconds"
    assert found.kinds[name] == "histogram"
    buckets = sorted(
        (float(labels_of["le"]), value)
        for (each, labels), value in found.values.items()
        if each == f"{name}_bucket" and (labels_of := dict(labels))["route"] == "web#1"
    )
    counts = [count for _, count in buckets]
    assert counts == sorted(counts)
    assert buckets[-1] == (float("inf"), 20)
    assert found.value(f"{name}_count", route="web#1") == 20
    assert 0 < found.value(f"{name}_sum", route="web#1") < 20


def test_gauges_go_up_and_down(serve, origin):
    one = origin(script)
    balancer = serve(site([one.address], metrics={"bind": tcp()}))
    talk = balancer.talk()
    talk.request("GET", "/hang")
    one.wait_for(1)
    found = balancer.metrics()
    assert found.value("pylb_backend_in_flight", backend=one.address) == 1
    assert found.value("pylb_clients") == 1
    talk.close()
    until("nothing is in flight", lambda: balancer.metrics().value("pylb_backend_in_flight") == 0)
    until("nobody is connected", lambda: balancer.metrics().value("pylb_clients") == 0)


def test_counters_survive_a_reload(serve, origin):
    one = origin(script)
    config = site([one.address], metrics={"bind": tcp()})
    balancer = serve(config)
    with balancer.talk() as talk:
        for _ in range(5):
            talk.get()
        balancer.load(config)
        talk.get()
    found = balancer.metrics(requests=6)
    assert found.value("pylb_requests_total", listener="web") == 6
    assert found.value("pylb_backend_requests_total", backend=one.address) == 6
    assert found.value("pylb_plan_generation") == 2


def test_tries_in_vain_are_counted(serve, origin):
    one = origin(script)
    dead = f"127.0.0.1:{free_port()}"
    balancer = serve(
        site([dead, one.address], pool={"passive": {"failures": 3, "eject": "60s"}}, metrics={"bind": tcp()})
    )
    with balancer.talk() as talk:
        for _ in range(10):
            assert talk.get().status == 200
    found = balancer.metrics(requests=10)
    assert found.value("pylb_retries_total", reason="connect") == 3
    assert found.value("pylb_backend_ejected", backend=dead) == 1
    assert found.value("pylb_backend_ejected", backend=one.address) == 0
    assert found.value("pylb_backend_requests_total", backend=one.address) == 10
    assert balancer.backend("app", dead)["why"] == "connection refused"


def test_ejections_are_counted(serve, origin):
    bad, good = origin(lambda ask: ask.answer(503)), origin()
    pool = {"passive": {"failures": 2, "eject": "60s"}}
    balancer = serve(site([bad.address, good.address], pool=pool, metrics={"bind": tcp()}))
    with balancer.talk() as talk:
        for _ in range(10):
            talk.get()
    found = balancer.metrics(requests=10)
    assert found.value("pylb_ejections_total", pool="app", backend=bad.address) == 1
    assert found.value("pylb_ejections_total", pool="app", backend=good.address) == 0


def test_health_pages(serve, origin):
    balancer = serve(site([origin().address], metrics={"bind": tcp()}))
    assert (balancer.ask_side("/healthz").status, balancer.ask_side("/healthz").body) == (200, b"ok\n")
    assert (balancer.ask_side("/readyz").status, balancer.ask_side("/readyz").body) == (200, b"ready\n")
    assert balancer.ask_side("/other").status == 404
    assert balancer.ask_side("/metrics").get("content-type").startswith("text/plain; version=0.0.4")


def test_labels_never_come_from_clients(serve, origin):
    one = origin(script)
    balancer = serve(site([one.address], metrics={"bind": tcp()}))
    with balancer.talk() as talk:
        for number in range(50):
            talk.get("/200", f"Host: h{number}.example")
    text = balancer.ask_side("/metrics").body.decode()
    assert "example" not in text
    assert len(Samples(text).values) < 200
