"""`pylb explain`: what it says of a request, beside the places in the file."""

import base64
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pylb import cli
from pylb.affinity import KeyRing, ids

FILE = """\
listeners:
  web:
    bind: 127.0.0.1:8080
    trusted_proxies: [10.0.0.0/8]
    routes:
      - {match: {path: /ping}, respond: {status: 200, body: pong}}
      - {match: {path: /old/}, redirect: {to: "https://{host}{uri}", status: 308}}
      - {name: debug, match: {methods: [POST], headers: {x-debug: {present: true}}}, pool: canary}
      - match: {host: "*.shop.example", query: {version: {regex: "[23]"}}, client: [192.0.2.0/24]}
        split: {web: 0, canary: 1}
        split_by: {cookie: sid}
        rate_limit: {rate: 10/s, key: {header: x-api-key}}
        rewrite: {strip_prefix: /api, host: inner.example}
        request_headers: {set: {x-env: prod}}
        response_headers: {remove: [server]}
      - {pool: web, match: {host: shop.example}}
pools:
  web: {balance: round_robin, backends: [127.0.0.1:9001], sticky: {cookie: pylb}}
  canary: {backends: [127.0.0.1:9002]}
"""

WHOLE = """\
listener  web (pylb.yaml:2:3)
not       web#1 (pylb.yaml:6:9): the path is not /ping
not       web#2 (pylb.yaml:7:9): the path is not /old/ or below
not       debug (pylb.yaml:8:9): the method is not POST
route     web#4 (pylb.yaml:9:9)
limit     10 in 1s by header `x-api-key`, 9 left
pool      canary (pylb.yaml:19:3), drawn by cookie `sid`
backend   127.0.0.1:9002, by two_choices
asks      GET /x?version=2, Host inner.example
request   set x-env: prod
response  remove server
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pylb.yaml").write_text(FILE)


def explain(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(cli.main, ["explain", *arguments], env=environ, prog_name="pylb")


def test_a_request_is_followed_from_its_listener_to_what_the_backend_is_asked_for() -> None:
    url = "http://a.shop.example:8080/api/x?version=2"
    found = explain("GET", url, "-H", "x-api-key: k", "-H", "Cookie: sid=7", "--client", "192.0.2.1")
    assert found.output == WHOLE
    assert found.exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["get", "/ping"], "answer    200: The route answers itself."),
        (
            ["GET", "http://shop.example:8080/old/x?y"],
            "answer    308 to https://shop.example/old/x?y: See Location.",
        ),
        (["POST", "/x", "-H", "X-Debug: 1"], "route     debug (pylb.yaml:8:9)"),
        (["POST", "/x"], "not       debug (pylb.yaml:8:9): header `x-debug` is missing"),
        (["GET", "http://shop.example/"], "backend   127.0.0.1:9001, by round_robin, to stay"),
        (["GET", "http://other.example/"], "answer    404: No route matches this request."),
        (["GET", "http://a.b.c..d/"], "refused   400: Host must be a name or address"),
        (["GET", "/%zz"], "refused   400: A percent sign in a path needs two hexadecimal digits."),
        (
            [
                "GET",
                "http://a.shop.example/?version=3",
                "--client",
                "10.0.0.1",
                "-H",
                "X-Forwarded-For: 192.0.2.9",
            ],
            "route     web#4 (pylb.yaml:9:9)",
        ),
    ],
)
def test_every_outcome_has_its_line(arguments: list[str], line: str) -> None:
    found = explain(*arguments)
    assert line in found.output
    assert found.exit_code == 0


def test_programs_get_the_whole_trace() -> None:
    found = json.loads(explain("GET", "http://shop.example/", "--json").output)
    assert found["route"] == {"index": 4, "name": "web#5"}
    assert found["backend"]["name"] == "127.0.0.1:9001"
    assert found["sent"][0] == "GET / HTTP/1.1"


def test_the_file_may_be_named() -> None:
    Path("other.yaml").write_text(FILE.replace("  web:\n    bind", "  edge:\n    bind"))
    assert explain("other.yaml", "GET", "/ping").output.startswith("listener  edge (other.yaml:2:3)")
    assert explain("GET", "/ping", PYLB_CONFIG="other.yaml").output.startswith("listener  edge")


@pytest.mark.parametrize(
    ("arguments", "said", "exit_code"),
    [
        (["GET"], "Expected METHOD and URL", 2),
        (["GET", "/x", "--listener", "wbe"], 'there is no listener "wbe"; there is web', 1),
        (["GET", "/x", "--client", "me"], '"me" is not an IP address', 1),
        (["GET", "/x", "-H", "x"], '"x" is not a header', 1),
        (["none.yaml", "GET", "/x"], "none.yaml: No such file or directory", 1),
    ],
)
def test_what_cannot_be_asked_is_said(arguments: list[str], said: str, exit_code: int) -> None:
    found = explain(*arguments)
    assert said in found.output
    assert found.exit_code == exit_code


def test_a_file_with_mistakes_is_not_explained() -> None:
    Path("pylb.yaml").write_text(FILE.replace("pool: canary", "pool: cnry").replace("[23]", "[23"))
    found = explain("GET", "/x")
    assert found.exit_code == 3
    assert 'there is no pool "cnry"' in found.output
    assert "is no regular expression" in found.output


def test_a_cookie_of_the_pylb_that_runs_here_is_understood(tmp_path: Path) -> None:
    Path("pylb.yaml").write_text(
        FILE.replace("[127.0.0.1:9001]", "[127.0.0.1:9001, 127.0.0.1:9003]") + "state_dir: state\n"
    )
    keys = KeyRing({}).kept(str(tmp_path / "state")).keys
    (entry,) = ids("web", ["127.0.0.1:9001", "127.0.0.1:9003"], keys)
    for at, name in enumerate(["127.0.0.1:9001", "127.0.0.1:9003"]):
        token = bytes([entry["number"]]) + (30_000_000).to_bytes(4, "big") + bytes.fromhex(entry["ids"][at])
        cookie = base64.urlsafe_b64encode(token).decode().rstrip("=")
        found = explain("GET", "http://shop.example/", "-H", f"Cookie: pylb={cookie}")
        assert f"backend   {name}, where the client was before" in found.output


def test_nothing_is_written_to_answer_a_question(tmp_path: Path) -> None:
    Path("pylb.yaml").write_text(FILE + "state_dir: state\n")
    assert explain("GET", "http://shop.example/").exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pylb.yaml"]


def test_a_request_over_tls_is_followed_to_the_listener_that_decrypts_it() -> None:
    Path("tls.yaml").write_text(
        "listeners:\n"
        '  clear: {bind: ":80", redirect_https: true}\n'
        '  web: {bind: ":8443", tls: {certificates: internal}, routes: [{pool: p}]}\n'
        '  edge: {bind: ":443", protocol: tls, routes: [{match: {sni: "*.example"}, terminate: web}]}\n'
        "pools: {p: {backends: [127.0.0.1:1]}}\n"
    )
    told = explain("tls.yaml", "GET", "https://shop.example/x").output
    assert told.startswith("listener  edge (tls.yaml:4:3)\nlistener  web (tls.yaml:3:3), over TLS\n")
    trace = json.loads(explain("tls.yaml", "GET", "https://shop.example/x", "--json").output)
    assert (trace["secure"], trace["through"], trace["backend"]["name"]) == (True, "edge", "127.0.0.1:1")
    sent = explain("tls.yaml", "GET", "http://shop.example/x").output
    assert "308 to https://shop.example/x" in sent
