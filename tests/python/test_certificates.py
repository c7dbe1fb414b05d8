"""Certificates while pylb runs, with the real core: read, renewed, kept when their files are of no use."""

import os
import socket
import stat
import urllib.request
from pathlib import Path
from typing import Any

import pylb
import pytest
import trio
from pylb.config.renewal import Attempt, Broken, attempt, units
from pylb.config.tls_files import Named
from pylb.core import Core, Fact
from pylb.overview import overview


@pytest.fixture
def bind() -> str:
    return free_address()


def free_address() -> str:
    """One that was free a moment ago."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def metrics(bind: str) -> list[str]:
    with urllib.request.urlopen(f"http://{bind}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
    return text.splitlines()


def put(folder: Path, name: str, host: str) -> None:
    """A new pair of files, certificate first, as careless tools write them."""
    made = Core.mint([host])
    for suffix, text in (("pem", made["certificate"]), ("key", made["key"])):
        new = folder / f"{name}.new"
        new.write_text(text)
        new.replace(folder / f"{name}.{suffix}")


def site(bind: str, folder: Path, *names: str, **more: Any) -> dict[str, Any]:
    pairs = [{"cert": str(folder / f"{name}.pem"), "key": str(folder / f"{name}.key")} for name in names]
    tls = {"certificates": pairs or "internal"}
    return {
        "listeners": {"web": {"bind": bind, "tls": tls, "routes": [{"respond": {"status": 204}}]}},
        "log": {"access": "off"},
        **more,
    }


async def told(facts: "trio.MemoryReceiveChannel[Fact]", *names: str) -> list[Fact]:
    """The next facts of these names, one of each."""
    found: list[Fact] = []
    with trio.fail_after(20):
        async for fact in facts:
            if fact["fact"] in names:
                found.append(fact)
            if len(found) == len(names):
                break
    return found


def names_in_force(lb: pylb.LoadBalancer) -> list[list[str]]:
    return [one["names"] for one in lb.status()["listeners"]["web"]["certificates"]]


@pytest.mark.trio
async def test_changed_files_come_in_force_by_themselves(bind: str, tmp_path: Path) -> None:
    put(tmp_path, "shop", "old.example")
    async with pylb.running(site(bind, tmp_path, "shop")) as lb:
        facts = lb.facts()
        assert names_in_force(lb) == [["old.example"]]
        put(tmp_path, "shop", "new.example")
        started = trio.current_time()
        (fact,) = await told(facts, "certificate_renewed")
        assert trio.current_time() - started < 2
        assert fact["file"] == str(tmp_path / "shop.pem")
        assert names_in_force(lb) == [["new.example"]]


@pytest.mark.trio
async def test_a_broken_file_keeps_the_last_good_one_and_holds_up_no_other(bind: str, tmp_path: Path) -> None:
    for name in ("shop", "api", "gone"):
        put(tmp_path, name, f"{name}.example")
    counted = free_address()
    config = site(bind, tmp_path, "shop", "api", "gone", metrics={"bind": counted})
    async with pylb.running(config) as lb:
        facts = lb.facts()
        (tmp_path / "shop.pem").write_text("no certificate")
        put(tmp_path, "api", "new.example")
        (tmp_path / "gone.key").unlink()
        await told(facts, "certificate_renewed", "certificate_refused", "certificate_refused")
        assert names_in_force(lb) == [["shop.example"], ["new.example"], ["gone.example"]]
        shop, api, gone = lb.status()["listeners"]["web"]["certificates"]
        assert "shop.pem is not PEM" in shop["broken"]
        assert api["broken"] is None
        assert "No such file" in gone["broken"]
        assert "; the last good one is in force: " in overview(lb.status())
        lines = await trio.to_thread.run_sync(metrics, counted)
        for name, broken in (("shop", 1), ("api", 0), ("gone", 1)):
            labels = f'listener="web",certificate="{tmp_path}/{name}.pem"'
            assert f"pylb_certificate_broken{{{labels}}} {broken}" in lines
        assert 'pylb_certificate_renewals_total{result="renewed"} 1' in lines
        assert 'pylb_certificate_renewals_total{result="refused"} 2' in lines
        put(tmp_path, "shop", "again.example")
        await told(facts, "certificate_renewed")
        assert names_in_force(lb)[0] == ["again.example"]
        assert lb.status()["listeners"]["web"]["certificates"][0]["broken"] is None


@pytest.mark.trio
async def test_a_pair_that_does_not_match_is_refused_at_the_start_and_at_a_reload(
    bind: str, tmp_path: Path
) -> None:
    put(tmp_path, "one", "one.example")
    put(tmp_path, "two", "two.example")
    mixed = site(bind, tmp_path, "one")
    mixed["listeners"]["web"]["tls"]["certificates"][0]["key"] = str(tmp_path / "two.key")
    reason = f"`{tmp_path}/two.key` does not belong to the certificate in `{tmp_path}/one.pem`"
    with pytest.raises(pylb.ConfigInvalid, match="does not belong") as error:
        async with pylb.running(mixed):
            pass
    assert reason in str(error.value)
    async with pylb.running(site(bind, tmp_path, "one")) as lb:
        with pytest.raises(pylb.ConfigInvalid, match="does not belong"):
            await lb.apply(mixed)
        assert lb.status()["generation"] == 1


@pytest.mark.trio
async def test_certificates_of_a_refused_configuration_are_watched_until_one_is_in_force(
    bind: str, tmp_path: Path
) -> None:
    put(tmp_path, "one", "one.example")
    two = tmp_path / "two.pem"
    two.write_text("no certificate")
    async with pylb.running(site(bind, tmp_path, "one")) as lb:
        with pytest.raises(pylb.ConfigInvalid):
            await lb.apply(site(bind, tmp_path, "one", "two"))
        assert two in lb.watched()
        await lb.apply(site(bind, tmp_path, "one"))
        assert two not in lb.watched()


@pytest.mark.trio
async def test_trouble_with_our_own_certificates_holds_up_no_other(bind: str, tmp_path: Path) -> None:
    put(tmp_path, "shop", "old.example")
    config = site(bind, tmp_path, "shop", state_dir=str(tmp_path / "state"))
    config["listeners"]["own"] = {
        "bind": f"unix:{tmp_path}/own",
        "tls": {"certificates": "internal"},
        "routes": [{"respond": {"status": 204}}],
    }
    async with pylb.running(config) as lb:
        facts = lb.facts()
        (key,) = (tmp_path / "state").rglob("authority.key")
        key.chmod(0o644)
        put(tmp_path, "shop", "new.example")
        _, failed = await told(facts, "certificate_renewed", "renewal_failed")
        assert "can be read by others" in failed["why"]
        assert names_in_force(lb) == [["new.example"]]


@pytest.mark.trio
async def test_internal_certificates_are_made_once_and_kept(bind: str, tmp_path: Path) -> None:
    config = site(bind, tmp_path, state_dir=str(tmp_path / "state"))
    config["listeners"]["web"]["routes"][0]["match"] = {"host": "shop.example"}
    async with pylb.running(config) as lb:
        (names,) = names_in_force(lb)
        assert {"localhost", "shop.example"} <= set(names)
    files = {file: file.read_bytes() for file in (tmp_path / "state").rglob("*") if file.is_file()}
    assert sorted(file.name for file in files) == ["authority.key", "authority.pem", "web.key", "web.pem"]
    assert {stat.S_IMODE(os.stat(file).st_mode) for file in files} == {0o600}
    async with pylb.running(config):
        pass
    assert {file: file.read_bytes() for file in files} == files
    config["listeners"]["web"]["routes"][0]["match"] = {"host": "other.example"}
    async with pylb.running(config) as lb:
        assert "other.example" in names_in_force(lb)[0]
    changed = {file.name for file, raw in files.items() if file.read_bytes() != raw}
    assert changed == {"web.pem", "web.key"}


@pytest.mark.trio
async def test_a_key_of_ours_that_others_can_read_is_refused(bind: str, tmp_path: Path) -> None:
    config = site(bind, tmp_path, state_dir=str(tmp_path / "state"))
    async with pylb.running(config):
        pass
    (key,) = (tmp_path / "state").rglob("authority.key")
    key.chmod(0o644)
    with pytest.raises(pylb.PylbError, match="can be read by others"):
        async with pylb.running(config):
            pass


def pair(name: str, at: int = 0) -> list[Named]:
    path = ("listeners", "web", "tls", "certificates", at)
    return [
        Named((*path, "cert"), f"{name}.pem", "certificate"),
        Named((*path, "key"), f"{name}.key", "key"),
    ]


def test_a_unit_is_what_only_makes_sense_together() -> None:
    ca = Named(("pools", "web", "tls", "ca"), "ca.pem", "authority")
    system = Named(("pools", "two", "tls"), "system", "authority")
    shared = [*pair("b", 1)[:1], Named((*pair("b", 1)[1].path,), "a.key", "key")]
    assert units([*pair("a"), ca, system]) == [{"a.pem", "a.key"}, {"ca.pem"}]
    assert units([*pair("a"), *shared]) == [{"a.pem", "a.key", "b.pem"}]


def test_complaints_of_the_core_leave_the_rest() -> None:
    named = [*pair("a"), *pair("b", 1)]
    one, other = units(named)
    trial = Attempt(named, {}, {one: dict.fromkeys(one, b"1"), other: dict.fromkeys(other, b"2")}, {})
    path = ("listeners", "web", "tls", "certificates", 1, "key")
    left = trial.without([(path, "it does not fit")])
    assert set(left.new) == {one}
    assert left.broken == {other: Broken("it does not fit", trial.new[other])}
    assert left.files == dict.fromkeys(one, b"1")
    assert set(trial.without([(("listeners",), "all of it")]).broken) == {one, other}
    assert set(trial.without([(("log",), "something else")]).broken) == {one, other}


def test_what_cannot_be_read_is_broken_and_what_is_the_same_is_not_new(tmp_path: Path) -> None:
    put(tmp_path, "a", "a.example")
    names = [Named(one.path, str(tmp_path / one.file), one.kind) for one in [*pair("a"), *pair("b", 1)]]
    trial = attempt(names, {})
    assert set(trial.new) == {frozenset(one.file for one in names[:2])}
    assert trial.label(next(iter(trial.broken))) == str(tmp_path / "b.pem")
    assert not attempt(names, trial.files).new
