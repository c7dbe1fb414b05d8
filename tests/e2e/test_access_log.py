"""One line per request, at its end, that always parses."""

import json
import re
import signal

from .balancer import site, tcp
from .origin import Ask
from .patience import pause, until

FIELDS = {
    *("ts", "id", "trace_id", "client", "proto", "tls", "method", "host", "path", "route", "pool", "backend"),
    *("attempts", "status", "proxy_status", "bytes_in", "bytes_out", "ms", "sticky", "reason", "flags"),
}
COMBINED = re.compile(
    r'(\S+) - - \[(\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000)\] "(.*?)" (\d{3}) (\d+) "(.*?)" "(.*?)"'
)


def test_json(serve, origin):
    def answer(ask: Ask) -> None:
        ask.read_body()
        pause(0.05)
        ask.answer(201, b"x" * 1000)

    one = origin(answer)
    balancer = serve(site([one.address], listener={"routes": [{"name": "all", "pool": "app"}]}))
    with balancer.talk() as talk:
        talk.request("POST", "/a?b=c", "Host: Shop.example:80", body=b"y" * 77).response()
    (line,) = balancer.access_log(1)
    assert set(line) == FIELDS
    assert set(line["ms"]) == {"head", "queue", "hook", "connect", "ttfb", "total"}
    expected = {
        "method": "POST",
        "host": "shop.example",
        "path": "/a?b=c",
        "proto": "HTTP/1.1",
        "client": "127.0.0.1",
    }
    assert expected.items() <= line.items()
    assert [line[key] for key in ("route", "pool", "backend")] == ["all", "app", one.address]
    assert (line["attempts"], line["status"]) == ([], 201)
    assert (line["bytes_in"], line["bytes_out"]) == (77, 1000)
    assert 50 <= line["ms"]["ttfb"] <= line["ms"]["total"] < 5000
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["ts"])


def test_nothing_a_client_sends_breaks_a_line(serve, origin):
    one = origin()
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        talk.get("/%22{}<>`|", 'User-Agent: \x80\xff"quote')
        talk.get("/'%27", 'traceparent: 00-"\\-x')
    lines = balancer.access_log(2)
    assert all(set(line) == FIELDS for line in lines)
    assert balancer.stdout.isascii()


def test_combined(serve, origin):
    one = origin(lambda ask: ask.answer(200, b"x" * 123))
    balancer = serve(site([one.address], log={"access": "stdout", "format": "combined"}))
    with balancer.talk() as talk:
        talk.get("/page?x", "Referer: http://a.example/", 'User-Agent: Mozilla "x"')
        talk.get("/bare")
    text = until("two lines", lambda: balancer.stdout if balancer.stdout.count("\n") == 2 else "")
    first, second = (COMBINED.fullmatch(line) for line in text.splitlines())
    assert first is not None, text
    assert second is not None, text
    assert first.group(1, 3, 4, 5, 6) == (
        "127.0.0.1",
        "GET /page?x HTTP/1.1",
        "200",
        "123",
        "http://a.example/",
    )
    assert first.group(7) == r"Mozilla \"x\""
    assert second.group(6, 7) == ("-", "-")


def test_usr1_opens_the_file_anew(serve, origin, tmp_path):
    one = origin()
    log = tmp_path / "access.log"
    balancer = serve(site([one.address], log={"access": str(log)}))
    with balancer.talk() as talk:
        talk.get("/before")
        until("the line is there", lambda: log.exists() and "/before" in log.read_text())
        log.rename(tmp_path / "access.log.1")
        talk.get("/old")
        until("the old file still gets lines", lambda: "/old" in (tmp_path / "access.log.1").read_text())
        balancer.signal(signal.SIGUSR1)
        until("the new file is there", log.exists)
        talk.get("/new")
        until("the new file gets lines", lambda: "/new" in log.read_text())
    paths = [
        json.loads(line)["path"]
        for name in ("access.log.1", "access.log")
        for line in (tmp_path / name).open()
    ]
    assert paths == ["/before", "/old", "/new"]


def test_a_log_that_cannot_be_opened(serve, origin, tmp_path):
    """At the start that is one clear line; at a reload nothing changes."""
    one = origin()
    config = site([one.address])
    missing = {"access": str(tmp_path / "missing" / "access.log")}
    refused = serve({**config, "log": missing}, ready=False)
    assert refused.wait() == 1
    assert len(refused.stderr.splitlines()) == 1, refused.stderr
    assert "missing/access.log" in refused.stderr
    balancer = serve(config)
    balancer.write({**config, "log": missing})
    outcome = balancer.reload()
    assert not outcome["ok"]
    assert "missing/access.log" in outcome["text"]
    with balancer.talk() as talk:
        assert talk.get().status == 200
    assert balancer.access_log(1)


def test_a_listener_may_stay_out_of_the_log(serve, origin):
    one = origin()
    config = site([one.address], listener={"access_log": "off"})
    config["listeners"]["loud"] = {"bind": tcp(), "routes": [{"pool": "app"}]}
    balancer = serve(config)
    with balancer.talk("web") as quiet, balancer.talk("loud") as loud:
        for _ in range(5):
            quiet.get("/quiet")
        loud.get("/loud")
    assert [line["path"] for line in balancer.access_log(1)] == ["/loud"]


def test_every_request_has_a_line_when_pylb_ends(serve, origin):
    one = origin()
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        for number in range(500):
            talk.get(f"/{number}")
    assert balancer.stop() == 0
    paths = [json.loads(line)["path"] for line in balancer.stdout.splitlines()]
    assert paths == [f"/{number}" for number in range(500)]
