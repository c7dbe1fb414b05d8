"""What operators say: drain, undrain, weight, by command and over HTTP, and how long it holds."""

import json
import re
import signal
import threading
import time
from collections import Counter

import pytest

from .balancer import pylb, site, tcp
from .load import Load
from .patience import until
from .talk import Talk

TOKEN = "a-token-of-many-characters"


def ask(balancer, method, path, *, token=None, body=b"", address=None):
    """A request of the admin API: its status and JSON."""
    lines = [f"{method} {path} HTTP/1.1", "Host: pylb", f"Content-Length: {len(body)}"]
    lines += [f"Authorization: Bearer {token}"] if token else []
    with Talk(address or balancer.admin) as talk:
        talk.send("\r\n".join([*lines, "", ""]).encode() + body)
        answer = talk.response()
    return answer.status, json.loads(answer.body)


def count(balancer, requests=40):
    """How often each backend answered."""
    with balancer.talk() as talk:
        return Counter(talk.get().body.decode() for _ in range(requests))


def slowly(ask):
    time.sleep(0.02)
    ask.answer()


def test_drain_waits_until_the_backend_is_empty_and_loses_nothing(serve, origins):
    one, two = origins(2, slowly)
    balancer = serve(site([one.address, two.address]))
    with Load(balancer.address(), connections=16) as load:
        load.wait_for_more(200)
        before = time.monotonic()
        done = balancer.command("drain", "app", one.address, "--wait")
        assert time.monotonic() - before < 30
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[-1] == f"app: {one.address} is empty"
        served = one.count()
        load.wait_for_more(400)
        assert one.count() == served
        back = balancer.command("undrain", "app", one.address)
        assert (back.returncode, back.stdout) == (0, f"app: {one.address} takes requests, it is up\n")
        until("it is asked again", lambda: one.count() > served + 20)
    assert set(load.outcomes) == {"ok"}, load


def test_drain_waits_for_a_request_that_takes_its_time(serve, origins):
    may_end = threading.Event()

    def slow(ask):
        assert may_end.wait(60)
        ask.answer()

    one, two = origins(2, slow)
    balancer = serve(site([one.address, two.address], pool={"balance": "failover"}))
    with balancer.talk(seconds=60) as talk:
        talk.request("GET", "/slow")
        until("it is there", lambda: one.count() == 1)
        command = balancer.start_command("drain", "app", one.address, "--wait")
        try:
            assert command.stdout is not None
            assert re.match(rf"app: {one.address} drains, 1 in flight", command.stdout.readline())
            until("it drains", lambda: balancer.backend("app", one.address)["state"] == "draining")
            assert command.poll() is None
            may_end.set()
            assert talk.response().status == 200
            assert command.wait(30) == 0
            assert command.stdout.read().splitlines()[-1] == f"app: {one.address} is empty"
        finally:
            may_end.set()
            command.kill()
            command.wait()


def test_what_is_open_when_the_drain_is_over_is_cut_and_the_command_says_so(serve, origin):
    may_end = threading.Event()
    one = origin(lambda ask: may_end.wait(60) and None)
    balancer = serve(site([one.address], pool={"drain": {"timeout": "1s"}}))
    try:
        with balancer.talk(seconds=60) as talk:
            talk.request("GET", "/for-ever")
            until("it is there", lambda: one.count() == 1)
            done = balancer.command("drain", "app", one.address, "--wait")
            assert done.returncode == 1
            assert (
                done.stderr.splitlines()[-1]
                == f"pylb: app: {one.address} is empty, 1 in flight had to be cut"
            )
            assert talk.response().status >= 500
    finally:
        may_end.set()
    balancer.said(f"app: {one.address} is drained and empty, 1 in flight were cut")


def test_the_last_one_may_be_drained_and_that_is_said(serve, origins):
    (one,) = origins(1)
    balancer = serve(site([one.address]))
    done = balancer.command("drain", "app", one.address, "--wait")
    assert done.returncode == 0
    assert "no other backend of app can take requests" in done.stderr
    with balancer.talk() as talk:
        assert talk.get().status == 503
    balancer.command("undrain", "app", one.address)
    with balancer.talk() as talk:
        assert talk.get().status == 200


def test_weights_and_drains_hold_over_reloads_until_they_are_taken_back(serve, origins):
    one, two, three = origins(3)
    config = site([one.address, two.address, three.address])
    balancer = serve(config)
    assert balancer.command("weight", "app", one.address, "6").stdout.startswith(
        f"app: {one.address} has weight 6;"
    )
    balancer.command("drain", "app", three.address)
    assert count(balancer, 70) == {"a": 60, "b": 10}
    balancer.load({**config, "stop": {"grace": "1s"}})
    assert count(balancer, 70) == {"a": 60, "b": 10}
    status = balancer.command("status").stdout
    assert re.search(rf"{one.address} +up +6 .*weight by an operator", status)
    assert re.search(rf"{three.address} +draining .*drained by an operator: empty", status)
    assert balancer.backend("app", three.address)["override"] == {"draining": True, "weight": None}
    without = [one.address, two.address]
    balancer.load({**config, "pools": {"app": {"balance": "round_robin", "backends": without}}})
    balancer.load(config)
    assert count(balancer, 70) == {"a": 60, "b": 10}
    assert balancer.command("weight", "app", one.address, "reset").returncode == 0
    assert balancer.command("undrain", "app", three.address).returncode == 0
    assert count(balancer, 60) == {"a": 20, "b": 20, "c": 20}
    assert "by an operator" not in balancer.command("status").stdout
    said = balancer.stderr
    assert f"app: {one.address} has weight 6 by an operator" in said
    assert f"app: {three.address} is drained by an operator" in said


def test_a_restart_forgets_what_operators_said(serve, origins):
    one, two = origins(2)
    config = site([one.address, two.address])
    balancer = serve(config)
    balancer.command("drain", "app", one.address)
    assert balancer.stop() == 0
    again = serve(config)
    assert count(again) == {"a": 20, "b": 20}


def test_a_drain_works_while_the_file_is_broken(serve, origins):
    one, two = origins(2)
    balancer = serve(site([one.address, two.address]))
    balancer.file.write_text("listeners: {")
    assert not balancer.reload()["ok"]
    assert balancer.command("drain", "app", one.address).returncode == 0
    assert balancer.backend("app", one.address)["state"] == "draining"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("drain", "ap", "x"), 1, 'pylb: there is no pool called "ap"; did you mean app?\n'),
        (("drain", "app", "127.0.0.1:9"), 1, 'there is no backend in app called "127.0.0.1:9"; '),
        (("weight", "app", "{one}", "0"), 1, "a backend of weight 0 gets nothing"),
        (("weight", "app", "{one}", "99999999"), 1, "pylb: "),
        (("weight", "app", "{one}", "x"), 2, "neither a whole number nor reset"),
        (("drain", "app"), 2, "Missing argument 'BACKEND'"),
    ],
)
def test_what_an_operator_gets_wrong_changes_nothing(serve, origins, arguments, code, said):
    (one,) = origins(1)
    balancer = serve(site([one.address]))
    before = balancer.status()["generation"]
    done = balancer.command(*(each.replace("{one}", one.address) for each in arguments))
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert balancer.status()["generation"] == before
    assert balancer.backend("app", one.address)["override"] is None


def test_the_same_over_http(serve, origins):
    one, two = origins(2)
    balancer = serve(site([one.address, two.address]))
    path = f"/v1/pools/app/backends/{one.address}"
    status, found = ask(balancer, "POST", f"{path}/drain")
    assert (status, found["state"], found["drained"]) == (200, "draining", True)
    assert count(balancer) == {"b": 40}
    assert ask(balancer, "POST", f"{path}/undrain")[1]["state"] == "up"
    status, found = ask(balancer, "PUT", f"{path}/weight", body=b'{"weight": 3}')
    assert (status, found["weight"], found["override"]) == (200, 3, {"draining": False, "weight": 3})
    assert count(balancer) == {"a": 30, "b": 10}
    assert ask(balancer, "DELETE", f"{path}/weight")[1]["override"] is None
    assert ask(balancer, "GET", path)[1]["weight"] == 1
    assert ask(balancer, "GET", "/v1/pools/app/backends/x")[0] == 404


def test_the_status_is_as_openapi_describes_it(serve, origins):
    (one,) = origins(1)
    balancer = serve(site([one.address], pool={"health": {"http": "/"}}))
    until("a check has run", lambda: balancer.backend("app", one.address)["check"])
    _, schemas = ask(balancer, "GET", "/openapi.json")
    conform(balancer.status(), schemas, "Status")
    conform(balancer.reload(), schemas, "Outcome")


KINDS = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def conform(value, description, name):
    """Checks a value against a schema, strictly: what is not described may not be there."""

    def check(value, schema, path):
        if "$ref" in schema:
            schema = description["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        assert isinstance(value, tuple(KINDS[kind] for kind in kinds)), (path, value)
        if isinstance(value, dict) and "properties" in schema:
            assert set(schema.get("required", [])) <= set(value) <= set(schema["properties"]), (path, value)
            for key, inner in value.items():
                check(inner, schema["properties"][key], f"{path}.{key}")
        elif isinstance(value, dict) and "additionalProperties" in schema:
            for key, inner in value.items():
                check(inner, schema["additionalProperties"], f"{path}.{key}")
        elif isinstance(value, list):
            for at, inner in enumerate(value):
                check(inner, schema["items"], f"{path}[{at}]")
        assert "enum" not in schema or value in schema["enum"], (path, value)

    check(value, description["components"]["schemas"][name], name)


def test_on_tcp_only_with_the_token(serve, origins):
    (one,) = origins(1)
    bind = tcp()
    host, port = bind.split(":")
    config = site([one.address], admin={"bind": bind, "token": TOKEN})
    balancer = serve(config)
    address = (host, int(port))
    for path in ("/v1/status", "/openapi.json", "/nothing"):
        assert ask(balancer, "GET", path, address=address)[0] == 401
        assert ask(balancer, "GET", path, address=address, token=f"{TOKEN}x")[0] == 401
    assert ask(balancer, "GET", "/v1/status", address=address, token=TOKEN)[0] == 200
    reached = {"PYLB_ADMIN": bind, "PYLB_ADMIN_TOKEN": TOKEN}
    assert one.address in pylb("status", environ=reached).stdout
    refused = pylb("status", environ={"PYLB_ADMIN": bind})
    assert (refused.returncode, refused.stderr) == (
        1,
        f"pylb: pylb at {bind} wants its token: set PYLB_ADMIN_TOKEN\n",
    )
    assert one.address in balancer.command("status").stdout
    balancer.load({**config, "admin": {"bind": bind, "token": f"another-{TOKEN}"}})
    assert ask(balancer, "GET", "/v1/status", address=address, token=TOKEN)[0] == 401
    assert ask(balancer, "GET", "/v1/status", address=address, token=f"another-{TOKEN}")[0] == 200
    assert TOKEN not in balancer.stderr


def test_status_watch_shows_it_again_and_ends_quietly(serve, origins):
    (one,) = origins(1)
    balancer = serve(site([one.address]))
    watching = balancer.start_command("status", "--watch")
    try:
        assert watching.stdout is not None
        shown = 0
        for line in watching.stdout:
            shown += line.startswith("generation")
            if shown == 2:
                break
        watching.send_signal(signal.SIGINT)
        assert watching.wait(30) == 0
        assert watching.stderr is not None
        assert watching.stderr.read() == ""
    finally:
        watching.kill()
        watching.wait()
