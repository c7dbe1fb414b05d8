"""Loading as a whole: whatever a file holds, it becomes a configuration, or mistakes at places that exist."""

import json
import socket
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pylb.config import (
    Config,
    ConfigInvalid,
    Demo,
    File,
    Flags,
    Mistake,
    demo,
    from_flags,
    from_mapping,
    parse,
    resolve,
    verdict,
)
from pylb.config.explain import leaves
from pylb.config.model import Settings
from pylb.config.pools import Pool
from pylb.config.repair import NOBODY
from pylb.config.routes import ACTIONS, Match, Route
from pylb.config.section import Section
from pylb.config.sticky import FORMS

SMALL = """\
listeners:
  web: {bind: 127.0.0.1:8080, routes: [{pool: web}]}
pools:
  web: {backends: [127.0.0.1:9001]}
"""
MAIN = Path("pylb.yaml")


def sections() -> list[type[Section]]:
    """Every section class below the top."""
    return [
        kind
        for kind in Section.__subclasses__()
        + [s for k in Section.__subclasses__() for s in k.__subclasses__()]
    ]


KEYS = sorted({key for section in sections() for key in (*section.model_fields, *section.later)})
WORDS = ["web", "off", "10s", "64KiB", "127.0.0.1:80", "/x/", "50%", "two_choices", "true", "stdout", ""]
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-1, 10), st.sampled_from(WORDS), st.text(max_size=5))
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from([*KEYS, "web"]), inner, max_size=4)
    ),
    max_leaves=25,
)
FILES = st.fixed_dictionaries({}, optional={key: TREES for key in Settings.model_fields if key != "include"})


@settings(deadline=None, max_examples=300)
@given(data=FILES)
def test_any_tree_of_known_keys_loads_or_is_refused_with_places(data: dict[str, object]) -> None:
    text = yaml.safe_dump(data)
    for mistake in mistakes_of(text):
        assert 1 <= mistake.line <= text.count("\n") + 1, mistake
        assert mistake.column >= 1, mistake
        assert mistake.message, mistake
        assert mistake.hint, mistake


@settings(deadline=None, max_examples=300)
@given(data=FILES)
def test_whatever_is_wrong_the_core_looks_at_the_rest(data: dict[str, object]) -> None:
    text = yaml.safe_dump(data)
    found, _ = verdict.check(lambda: parse(text, file=MAIN, environ={}), resolve=lambda host: ["192.0.2.1"])
    assert set(mistakes_of(text)) <= set(found)
    assert not any(NOBODY in str(mistake) for mistake in found), found


def mistakes_of(text: str) -> list[Mistake]:
    try:
        parse(text, file=MAIN, environ={})
    except ConfigInvalid as error:
        return error.errors
    return []


def some_of(section: type[Section]) -> st.SearchStrategy[dict[str, object]]:
    """A section with some of its keys, whatever they hold."""
    return st.fixed_dictionaries({}, optional={key: TREES for key in section.model_fields})


@settings(deadline=None, max_examples=150)
@given(
    route=some_of(Route),
    match=some_of(Match),
    pool=some_of(Pool),
    sticky=st.sampled_from(FORMS).flatmap(
        lambda form: st.dictionaries(st.sampled_from([form, "ttl", "keys", "on_lost"]), TREES)
    ),
)
def test_routes_and_pools_of_any_shape_load_or_are_refused_with_places(
    route: dict[str, object], match: dict[str, object], pool: dict[str, object], sticky: dict[str, object]
) -> None:
    listener = {
        "bind": "127.0.0.1:80",
        "routes": [{"match": match, **route}, {"pool": "web", "match": match}],
    }
    pools = {
        "web": {"backends": ["127.0.0.1:80"], **pool},
        "other": {"backends": ["a.test:1"], "sticky": sticky},
    }
    text = yaml.safe_dump({"listeners": {"web": listener}, "pools": pools})
    found, _ = verdict.check(lambda: parse(text, file=MAIN, environ={}), resolve=lambda host: ["192.0.2.1"])
    for mistake in found:
        assert 1 <= mistake.line <= text.count("\n") + 1, mistake
        assert NOBODY not in str(mistake), found
        assert "expected shape" not in mistake.message, mistake
    assert all(mistake.hint for mistake in mistakes_of(text))


@settings(deadline=None)
@given(text=st.text())
def test_any_text_loads_or_is_refused(text: str) -> None:
    with pytest.raises(ConfigInvalid):
        parse(text, file=MAIN, environ={})


@settings(deadline=None)
@given(text=st.text(alphabet="{}[]:,- \n&*!|>'\"#a1$", max_size=60))
def test_text_of_yaml_signs_loads_or_is_refused(text: str) -> None:
    with pytest.raises(ConfigInvalid):
        parse(text, file=MAIN, environ={})


def test_a_key_is_never_both_built_and_not_built() -> None:
    for section in sections():
        assert not set(section.model_fields) & set(section.later), section
        for stands_for in filter(None, section.later.values()):
            assert section.model_fields[stands_for].is_required() or stands_for in ACTIONS, section


def test_every_field_is_described_for_users() -> None:
    for section in sections():
        assert section.__doc__, section
        for name, field in section.model_fields.items():
            inner = [
                leaf
                for leaf in leaves(field.annotation)
                if isinstance(leaf, type) and issubclass(leaf, Section)
            ]
            assert field.description or inner, (section, name)


def test_a_program_gives_the_same_keys_and_hears_the_path_of_a_mistake() -> None:
    data = {
        "listeners": {"web": {"bind": "127.0.0.1:8080", "routes": ({"pool": "web"},)}},
        "pools": {"web": {"backends": ["127.0.0.1:9001"]}},
    }
    assert from_mapping(data, directory=Path("/")).draft() == parse(SMALL, file=MAIN, environ={}).draft()
    with pytest.raises(ConfigInvalid) as caught:
        from_mapping({**data, "stop": {"grace": "soon"}}, directory=Path("/"))
    assert str(caught.value).startswith("stop.grace: `grace`: expected a duration")


def test_flags_are_a_configuration_and_mistakes_name_the_option() -> None:
    config = from_flags([":8080"], ["127.0.0.1:9001", "127.0.0.1:9002"], "round_robin", "/healthz")
    draft = json.loads(config.draft())
    assert draft["listeners"]["web"]["bind"] == [":8080"]
    assert draft["pools"]["web"]["balance"]["policy"] == "round_robin"
    assert draft["pools"]["web"]["checked"] is True
    with pytest.raises(ConfigInvalid) as caught:
        from_flags(["8080"], ["127.0.0.1"], "fastest", "healthz")
    assert {mistake.file for mistake in caught.value.errors} == {"--listen", "--to", "--balance", "--health"}
    assert len(caught.value.errors) == 4


def test_the_demo_balances_in_turn_over_its_origins() -> None:
    draft = json.loads(demo(["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]).draft())
    assert draft["listeners"]["web"]["bind"] == ["127.0.0.1:8080"]
    assert draft["pools"]["web"]["balance"]["policy"] == "round_robin"
    assert len(draft["pools"]["web"]["backends"]) == 3


def test_sources_load_again_what_is_there_by_then(tmp_path: Path) -> None:
    file = tmp_path / "pylb.yaml"
    file.write_text(SMALL)
    source = File(file, {})
    assert source.load().file == file
    file.write_text(SMALL.replace("9001", "9002"))
    assert source.load().model.pools["web"].backends[0].address == "127.0.0.1:9002"
    assert Flags((":1",), ("127.0.0.1:2",)).load().file is None
    assert Demo(("127.0.0.1:2",)).load().file is None


def test_a_missing_file_is_the_systems_error_not_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        File(tmp_path / "none.yaml", {}).load()


def test_bytes_that_are_not_utf8_are_found_in_their_line(tmp_path: Path) -> None:
    file = tmp_path / "pylb.yaml"
    file.write_bytes(b"listeners:\n  caf\xe9: {}\n")
    with pytest.raises(ConfigInvalid) as caught:
        File(file, {}).load()
    (mistake,) = caught.value.errors
    assert (mistake.line, mistake.column) == (2, 6)


def test_places_of_the_draft_are_places_of_the_file() -> None:
    config = parse(SMALL, file=MAIN, environ={})
    assert str(config.locate(("listeners", "web", "bind", 0))) == "pylb.yaml:2:15"
    assert str(config.locate(("pools", "web", "backends", 0, "weight"))) == "pylb.yaml:4:20"
    assert str(config.locate(("max_clients",))) == "pylb.yaml:1:1"
    (mistake,) = config.explain([(("pools", "web", "balance"), "what the core says")])
    assert str(mistake) == "pylb.yaml:4:3: `balance`: what the core says"


def test_max_clients_follow_the_descriptor_limit_unless_written() -> None:
    config = parse(SMALL, file=MAIN, environ={})
    assert json.loads(config.draft(descriptors=1064))["max_clients"] == 500
    assert json.loads(config.draft(descriptors=10))["max_clients"] == 1
    written = parse(SMALL + "max_clients: 7\n", file=MAIN, environ={})
    assert json.loads(written.draft(descriptors=1064))["max_clients"] == 7


def test_a_name_is_resolved_once_however_many_backends_have_it() -> None:
    backends = ", ".join(f"app.test:{port}" for port in range(1, 50))
    asked: list[str] = []

    def resolve(host: str) -> list[str]:
        asked.append(host)
        return ["2001:db8::1", "2001:db8::2"]

    draft = json.loads(configuration(f"[{backends}]").draft(resolve=resolve))
    assert asked == ["app.test"]
    assert draft["pools"]["web"]["backends"][0]["address"] == "[2001:db8::1]:1"


def test_ipv4_is_preferred_because_servers_on_localhost_mostly_have_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [(socket.AF_INET6, ("::1", 0, 0, 0)), (socket.AF_INET, ("127.0.0.1", 0))]
    entries = [(family, socket.SOCK_STREAM, 6, "", address) for family, address in found]
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, type: entries)
    assert resolve("localhost") == ["127.0.0.1", "::1"]
    entries.pop()
    assert resolve("localhost") == ["::1"]


def configuration(backends: str) -> Config:
    return parse(SMALL.replace("[127.0.0.1:9001]", backends), file=MAIN, environ={})


HOSTS = st.sampled_from([None, "a.test", "b.a.test", "c.b.a.test", "*.a.test", "*.b.a.test", "*.test"])
PATHS = st.sampled_from([None, "/", "/a", "/a/", "/a/b", "/a/b/", "/ab"])
MATCHES = st.builds(lambda host, path: Match(host=host, path=path), HOSTS, PATHS)


def takes(match: Match, host: str, path: str) -> bool:
    """What a match means, said as plainly as can be."""
    labels = host.split(".")
    above = [f"*.{'.'.join(labels[at:])}" for at in range(1, len(labels))]
    segments = path.split("/")
    prefixes = ["/".join(segments[:at]) + "/" for at in range(1, len(segments) + 1)]
    return match.host in (None, host, *above) and match.path in (None, path, *prefixes)


def routed(match: Match) -> dict[str, object]:
    return {"pool": "web", "match": match.model_dump(include={"host", "path"}, exclude_none=True)}


@settings(deadline=None)
@given(first=MATCHES, second=MATCHES)
def test_a_route_is_called_unreachable_only_if_it_is(first: Match, second: Match) -> None:
    hosts = ["a.test", "b.a.test", "c.b.a.test", "x.a.test", "x.b.a.test", "x.test", "other.example"]
    paths = ["/", "/a", "/a/", "/a/b", "/a/b/", "/a/b/c", "/a/c", "/ab", "/b", "*"]
    left = [(h, p) for h in hosts for p in paths if takes(second, h, p) and not takes(first, h, p)]
    listener = {"bind": "127.0.0.1:80", "routes": [routed(first), routed(second)]}
    data = {"listeners": {"web": listener}, "pools": {"web": {"backends": ["127.0.0.1:81"]}}}
    errors, warnings = verdict.check(lambda: from_mapping(data, directory=Path("/")))
    assert not errors
    assert [warning.path for warning in warnings] == ([] if left else [("listeners", "web", "routes", 1)])
