"""The file's draft, the members that were found, and operators' words, merged."""

import copy
from typing import Any

import pytest
from pylb import affinity
from pylb.config.desired import Override, World, desired, hosts, names, origin, uses_ring

KEY = b"k" * 32


def static(address: str, **more: Any) -> dict[str, Any]:
    return {"name": address, "address": address, "weight": 1, "backup": False, "draining": False, **more}


def named(name: str, refresh: int = 30_000, **more: Any) -> dict[str, Any]:
    return {"dns": name, "refresh": refresh, "weight": 1, "backup": False, "draining": False, **more}


def plain(*backends: dict[str, Any], sticky: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"listeners": {}, "pools": {"web": {"backends": list(backends), "sticky": sticky}}}


def backends(draft: dict[str, Any], world: World) -> list[str]:
    return [entry["name"] for entry in desired(draft, world)["pools"]["web"]["backends"]]


def test_a_name_becomes_a_backend_per_address_at_its_place_with_its_keys() -> None:
    draft = plain(static("10.0.0.9:1"), named("web.internal:80", weight=3, backup=True), static("10.0.0.8:1"))
    before = copy.deepcopy(draft)
    world = World({"web.internal": ["2001:db8::1", "10.0.0.2", "10.0.0.1"]})
    made = desired(draft, world)["pools"]["web"]["backends"]
    assert [entry["name"] for entry in made] == [
        "10.0.0.9:1",
        "10.0.0.1:80",
        "10.0.0.2:80",
        "[2001:db8::1]:80",
        "10.0.0.8:1",
    ]
    assert made[1] == static("10.0.0.1:80", weight=3, backup=True)
    assert draft == before


def test_the_order_of_an_answer_does_not_matter() -> None:
    draft = plain(named("web.internal:80"))
    one, other = (
        World({"web.internal": found}) for found in (["10.0.0.2", "10.0.0.1"], ["10.0.0.1", "10.0.0.2"])
    )
    assert backends(draft, one) == backends(draft, other)


def test_what_is_there_already_counts_once_and_as_it_is_written() -> None:
    draft = plain(named("a.test:80"), named("b.test:80"), static("10.0.0.1:80", weight=7))
    world = World({"a.test": ["10.0.0.1", "10.0.0.2"], "b.test": ["10.0.0.2", "10.0.0.3"]})
    made = desired(draft, world)["pools"]["web"]["backends"]
    assert [(entry["name"], entry["weight"]) for entry in made] == [
        ("10.0.0.2:80", 1),
        ("10.0.0.3:80", 1),
        ("10.0.0.1:80", 7),
    ]


def test_a_member_is_written_where_its_name_is() -> None:
    draft = plain(static("10.0.0.9:1"), named("web.internal:80"), static("10.0.0.8:1"))
    found = {"web.internal": ["10.0.0.1", "10.0.0.2"]}
    path = ("pools", "web", "backends")
    assert [origin(draft, found, (*path, at, "weight"))[3] for at in range(4)] == [0, 1, 1, 2]
    assert origin(draft, found, ("listeners", "web", "bind", 0)) == ("listeners", "web", "bind", 0)
    assert origin(draft, found, path) == path
    assert hosts(draft, found) == {
        ("web", "10.0.0.1:80"): "web.internal:80",
        ("web", "10.0.0.2:80"): "web.internal:80",
    }


def test_names_are_looked_up_as_often_as_the_most_impatient_wants() -> None:
    draft = plain(
        named("a.test:80", 30_000), named("a.test:81", 500), named("b.test:80", 2000), static("c.test:1")
    )
    assert names(draft) == {"a.test": 0.5, "b.test": 2.0}


def test_an_override_has_the_last_word_also_about_members() -> None:
    draft = plain(static("10.0.0.9:1", weight=2), named("web.internal:80"))
    overrides = {
        ("web", "10.0.0.9:1"): Override(draining=True),
        ("web", "10.0.0.1:80"): Override(weight=5),
        ("web", "10.0.0.77:80"): Override(draining=True),
        ("api", "10.0.0.9:1"): Override(weight=9),
    }
    world = World({"web.internal": ["10.0.0.1", "10.0.0.2"]}, overrides=overrides)
    made = desired(draft, world)["pools"]["web"]["backends"]
    assert [(entry["weight"], entry["draining"]) for entry in made] == [(2, True), (5, False), (1, False)]


COOKIE = {"kind": "cookie", "name": "pylb"}


def test_sticky_cookies_get_ids_of_the_backends_as_they_are_named() -> None:
    draft = plain(static("10.0.0.9:1"), named("web.internal:80"), sticky=COOKIE)
    found = {"web.internal": ["10.0.0.1"]}
    own = desired(draft, World(found, keys={"web": [KEY]}, ring=[b"x"]))["pools"]["web"]["sticky"]
    assert own == {**COOKIE, "ids": affinity.ids("web", ["10.0.0.9:1", "10.0.0.1:80"], [KEY])}
    shared = desired(draft, World(found, ring=[KEY]))["pools"]["web"]["sticky"]
    assert shared == own


@pytest.mark.parametrize(
    ("sticky", "keys", "needed"),
    [(None, {}, False), ({"kind": "learn"}, {}, False), (COOKIE, {}, True), (COOKIE, {"web": [KEY]}, False)],
)
def test_a_ring_is_needed_where_a_cookie_names_no_keys(sticky: Any, keys: Any, needed: bool) -> None:
    draft = plain(static("10.0.0.9:1"), sticky=sticky)
    assert uses_ring(draft, keys) is needed
    assert "ids" not in (draft["pools"]["web"]["sticky"] or {})
