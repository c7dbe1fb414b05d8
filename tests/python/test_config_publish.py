"""The last good configuration stays in force, whatever is wrong with the next one."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
from pylb import affinity
from pylb.affinity import KeyRing
from pylb.config import File, parse
from pylb.config.desired import Override
from pylb.config.outcome import Published, Refused
from pylb.config.publish import Publisher
from pylb.config.watch import fingerprint
from pylb.core import BindFailed, PlanInvalid
from pylb.errors import Path as KeyPath
from pylb.errors import PylbError, UnknownBackend

GOOD = """\
listeners:
  web: {bind: 127.0.0.1:8080, routes: [{pool: web}]}
pools:
  web: {backends: [127.0.0.1:9001]}
"""


class Engine:
    """Takes drafts; `refuse` is what it raises for the next one."""

    def __init__(self) -> None:
        self.drafts: list[dict[str, Any]] = []
        self.refuse: Exception | None = None
        self.warnings: list[tuple[KeyPath, str]] = []

    def apply(self, draft: bytes, files: dict[str, bytes], /) -> int:
        if self.refuse is not None:
            raise self.refuse
        self.drafts.append(json.loads(draft))
        return len(self.drafts)

    def useless(self) -> list[tuple[KeyPath, str]]:
        return self.warnings

    def note_renewal(self, renewed: int, refused: int, broken: list[str], /) -> None:
        pass


def plan_invalid(*errors: tuple[tuple[str | int, ...], str]) -> PlanInvalid:
    error = PlanInvalid("the plan")
    error.errors = list(errors)
    return error


def bind_failed(listener: str, bind: str) -> BindFailed:
    error = BindFailed(98, "Address already in use")
    error.listener, error.bind = listener, bind
    return error


class Setup:
    def __init__(self, folder: Path) -> None:
        self.file = folder / "pylb.yaml"
        self.file.write_text(GOOD)
        self.engine = Engine()
        self.told: list[Published | Refused] = []
        self.publisher = Publisher(self.engine, File(self.file, {}), tell=self.told.append)


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path)


@pytest.mark.trio
async def test_a_valid_file_comes_into_force(setup: Setup) -> None:
    outcome = await setup.publisher.publish()
    assert isinstance(outcome, Published)
    assert outcome.generation == 1
    assert setup.publisher.config is outcome.config
    assert outcome.describe() == f"{setup.file} is in force (generation 1)"
    assert setup.told == [outcome]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("listeners: {", "this is not YAML"),
        (GOOD.replace("pool: web", "pool: wbe"), 'there is no pool "wbe"'),
        (GOOD.replace("127.0.0.1:9001", "no.such.name.invalid:1"), "has no address"),
        (GOOD + "workers: 3\n", "`workers` cannot change while pylb runs"),
        (GOOD + "state_dir: /elsewhere\n", "`state_dir` cannot change while pylb runs"),
        (GOOD + 'admin: {bind: "unix:/elsewhere"}\n', "`bind` cannot change while pylb runs"),
    ],
)
@pytest.mark.trio
async def test_an_invalid_file_changes_nothing_and_says_where(setup: Setup, text: str, says: str) -> None:
    first = await setup.publisher.publish()
    setup.file.write_text(text)
    outcome = await setup.publisher.publish()
    assert isinstance(outcome, Refused)
    assert outcome.exit_code == 3
    (mistake,) = outcome.mistakes
    assert says in mistake.message
    assert mistake.file == str(setup.file)
    assert mistake.line >= 1
    assert str(mistake) in outcome.describe()
    assert isinstance(first, Published)
    assert setup.publisher.config is first.config
    assert len(setup.engine.drafts) == 1


@pytest.mark.trio
async def test_everybody_who_finds_mistakes_is_heard(setup: Setup) -> None:
    text = GOOD.replace("pool: web", 'pool: web, match: {path: "/a%2"}')
    text = text.replace("127.0.0.1:9001", '"no.such.name.invalid:1"')
    for expected in (["path", 0], ["path", 0, "grace"]):
        setup.file.write_text(text)
        outcome = await setup.publisher.publish()
        assert isinstance(outcome, Refused)
        assert [mistake.path[-1] for mistake in outcome.mistakes] == expected
        text += "stop: {grace: soon}\n"


@pytest.mark.trio
async def test_a_file_saved_while_it_is_loaded_counts_as_changed(setup: Setup) -> None:
    await setup.publisher.publish()
    seen = setup.publisher.loaded()
    assert seen == fingerprint(setup.publisher.watched())

    def save_again(outcome: Published | Refused) -> None:
        setup.file.write_text(GOOD + "# saved again\n")

    publisher = Publisher(setup.engine, File(setup.file, {}), tell=save_again)
    publisher.config = setup.publisher.config
    await publisher.publish()
    assert publisher.loaded() == seen != fingerprint(publisher.watched())


@pytest.mark.trio
async def test_a_missing_file_changes_nothing(setup: Setup) -> None:
    await setup.publisher.publish()
    setup.file.unlink()
    outcome = await setup.publisher.publish()
    assert isinstance(outcome, Refused)
    assert outcome.exit_code == 1
    assert outcome.describe() == f"cannot read {setup.file}: No such file or directory"
    assert setup.publisher.config is not None


@pytest.mark.trio
async def test_what_the_core_refuses_is_told_at_its_place(setup: Setup) -> None:
    setup.engine.refuse = plan_invalid((("pools", "web", "backends", 0, "address"), "the core says no"))
    outcome = await setup.publisher.publish()
    assert isinstance(outcome, Refused)
    (mistake,) = outcome.mistakes
    assert str(mistake) == f"{setup.file}:4:20: `address`: the core says no"
    assert setup.publisher.config is None


@pytest.mark.trio
async def test_a_port_in_use_is_one_line_and_exit_1(setup: Setup) -> None:
    setup.engine.refuse = bind_failed("web", "127.0.0.1:8080")
    outcome = await setup.publisher.publish()
    assert isinstance(outcome, Refused)
    assert outcome.exit_code == 1
    expected = f"{setup.file}:2:15: listener web: cannot listen on 127.0.0.1:8080: Address already in use"
    assert outcome.describe() == expected


@pytest.mark.trio
async def test_a_config_of_a_program_is_published_too(setup: Setup) -> None:
    await setup.publisher.publish()
    config = parse(GOOD.replace("9001", "9002"), file=setup.file, environ={})
    assert isinstance(await setup.publisher.apply(config), Published)
    assert setup.engine.drafts[-1]["pools"]["web"]["backends"][0]["name"] == "127.0.0.1:9002"


@pytest.mark.trio
async def test_a_second_publication_waits_and_reads_the_file_as_it_is_by_then(setup: Setup) -> None:
    written = iter(["9002", "9003"])

    def tell(outcome: Published | Refused) -> None:
        assert isinstance(outcome, Published)
        if port := next(written, None):
            setup.file.write_text(GOOD.replace("9001", port))

    publisher = Publisher(setup.engine, File(setup.file, {}), tell=tell)
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(publisher.publish)
    names = [draft["pools"]["web"]["backends"][0]["name"] for draft in setup.engine.drafts]
    assert names == ["127.0.0.1:9001", "127.0.0.1:9002", "127.0.0.1:9003"]


@pytest.mark.trio
async def test_watched_are_included_files_new_ones_and_those_of_a_refused_attempt(
    setup: Setup, tmp_path: Path
) -> None:
    (tmp_path / "extra").mkdir()
    setup.file.write_text(GOOD + "include: extra/*.yaml\n")
    await setup.publisher.publish()
    assert setup.publisher.watched() == [setup.file]
    new = tmp_path / "extra" / "a.yaml"
    new.write_text("pools: {other: {backends: [127.0.0.1:9002]}}\n")
    assert setup.publisher.watched() == [setup.file, new]
    broken = tmp_path / "broken.yaml"
    broken.write_text("pools: {")
    setup.file.write_text(GOOD + "include: broken.yaml\n")
    assert isinstance(await setup.publisher.publish(), Refused)
    assert broken in setup.publisher.watched()


@pytest.mark.trio
async def test_error_pages_are_watched_and_read_again(setup: Setup, tmp_path: Path) -> None:
    page = tmp_path / "busy.html"
    page.write_text("one")
    setup.file.write_text(GOOD.replace("9001]", "9001], errors: {503: busy.html}"))
    await setup.publisher.publish()
    assert setup.publisher.watched() == [setup.file, page]
    page.write_text("another")
    await setup.publisher.publish()
    sent = [draft["pools"]["web"]["errors"]["503"]["body"] for draft in setup.engine.drafts]
    assert sent == ["one", "another"]
    page.unlink()
    refused = await setup.publisher.publish()
    assert isinstance(refused, Refused)
    assert "cannot read" in refused.describe()


# ---- what operators and the resolver say


KEY = ("web", "127.0.0.1:9001")
TWO = GOOD.replace("[127.0.0.1:9001]", "[127.0.0.1:9001, {dns: app.test:80, refresh: 1s}]")


def drained(said: Override) -> Override:
    return replace(said, draining=True)


class Named(Setup):
    """A file with a name in it; `found` is what the resolver says."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.file.write_text(TWO)
        self.found: list[str] | OSError = ["10.0.0.2", "10.0.0.1"]
        self.publisher = Publisher(
            self.engine, File(self.file, {}), tell=self.told.append, resolve=self.resolve
        )

    def resolve(self, host: str) -> list[str]:
        if isinstance(self.found, OSError):
            raise self.found
        return self.found

    @property
    def backends(self) -> list[tuple[str, int, bool]]:
        entries = self.engine.drafts[-1]["pools"]["web"]["backends"]
        return [(entry["name"], entry["weight"], entry["draining"]) for entry in entries]


@pytest.fixture
def named(tmp_path: Path) -> Named:
    return Named(tmp_path)


@pytest.mark.trio
async def test_an_override_comes_into_force_at_once_and_holds_over_reloads(named: Named) -> None:
    await named.publisher.publish()
    assert await named.publisher.override(KEY, drained) == Override(draining=True)
    assert named.told[-1].fact() == {
        "fact": "backend_override",
        "pool": "web",
        "backend": "127.0.0.1:9001",
        "draining": True,
        "weight": None,
        "generation": 2,
    }
    heavier = await named.publisher.override(("web", "10.0.0.1:80"), lambda said: replace(said, weight=4))
    assert heavier == Override(weight=4)
    expected = [("127.0.0.1:9001", 1, True), ("10.0.0.1:80", 4, False), ("10.0.0.2:80", 1, False)]
    assert named.backends == expected
    assert isinstance(await named.publisher.publish(), Published)
    assert named.backends == expected
    await named.publisher.override(KEY, lambda said: replace(said, draining=False))
    assert named.publisher.overrides == {("web", "10.0.0.1:80"): Override(weight=4)}
    assert named.backends[0] == ("127.0.0.1:9001", 1, False)


@pytest.mark.parametrize(
    ("key", "says"),
    [
        (("wbe", "127.0.0.1:9001"), 'no pool called "wbe"; did you mean web?'),
        (
            ("web", "127.0.0.1:9002"),
            'no backend in web called "127.0.0.1:9002"; did you mean 127.0.0.1:9001?',
        ),
        (
            ("web", "app.test:80"),
            'no backend in web called "app.test:80"; there is 10.0.0.1:80, 10.0.0.2:80, ',
        ),
    ],
)
@pytest.mark.trio
async def test_an_override_of_nobody_changes_nothing(named: Named, key: Any, says: str) -> None:
    await named.publisher.publish()
    with pytest.raises(UnknownBackend) as refused:
        await named.publisher.override(key, drained)
    assert says in str(refused.value)
    assert len(named.engine.drafts) == len(named.told) == 1


@pytest.mark.trio
async def test_what_the_core_refuses_is_an_error_and_no_override(named: Named) -> None:
    await named.publisher.publish()
    named.engine.refuse = plan_invalid((("pools", "web", "backends", 0, "weight"), "that is too much"))
    with pytest.raises(PylbError, match="that is too much"):
        await named.publisher.override(KEY, lambda said: replace(said, weight=10**9))
    assert named.publisher.overrides == {}


@pytest.mark.trio
async def test_operators_need_neither_the_file_nor_the_resolver(named: Named) -> None:
    await named.publisher.publish()
    named.file.unlink()
    named.found = OSError(-3, "Temporary failure in name resolution")
    await named.publisher.override(KEY, drained)
    assert [name for name, _, _ in named.backends] == ["127.0.0.1:9001", "10.0.0.1:80", "10.0.0.2:80"]


@pytest.mark.trio
async def test_a_name_is_followed_and_the_same_set_is_no_change(named: Named) -> None:
    await named.publisher.publish()
    assert named.publisher.names == {"app.test": 1.0}
    await named.publisher.discovered("app.test", ["10.0.0.1", "10.0.0.2"])
    await named.publisher.discovered("other.test", ["10.0.0.9"])
    assert len(named.engine.drafts) == 1
    await named.publisher.discovered("app.test", ["10.0.0.3", "10.0.0.1"])
    assert [name for name, _, _ in named.backends] == ["127.0.0.1:9001", "10.0.0.1:80", "10.0.0.3:80"]
    assert named.told[-1].fact() == {
        "fact": "name_changed",
        "name": "app.test",
        "added": ["10.0.0.3"],
        "removed": ["10.0.0.2"],
        "generation": 2,
    }
    assert named.publisher.hosts == {
        ("web", "10.0.0.1:80"): "app.test:80",
        ("web", "10.0.0.3:80"): "app.test:80",
    }


@pytest.mark.trio
async def test_a_reload_keeps_the_last_good_set_of_a_name_that_is_known(named: Named) -> None:
    await named.publisher.publish()
    named.found = OSError(-3, "Temporary failure in name resolution")
    named.file.write_text(TWO + "stop: {grace: 1s}\n")
    assert isinstance(await named.publisher.publish(), Published)
    assert [name for name, _, _ in named.backends] == ["127.0.0.1:9001", "10.0.0.1:80", "10.0.0.2:80"]


@pytest.mark.trio
async def test_a_new_name_without_an_address_is_a_mistake_at_its_place(named: Named) -> None:
    named.found = OSError(-2, "Name or service not known")
    outcome = await named.publisher.publish()
    assert isinstance(outcome, Refused)
    (mistake,) = outcome.mistakes
    assert str(mistake) == (
        f'{named.file}:4:42: "app.test" has no address: Name or service not known; '
        "correct the name, or write an IP address"
    )


@pytest.mark.trio
async def test_what_the_core_refuses_in_a_member_is_told_where_its_name_is(named: Named) -> None:
    named.engine.refuse = plan_invalid((("pools", "web", "backends", 2, "weight"), "the core says no"))
    outcome = await named.publisher.publish()
    assert isinstance(outcome, Refused)
    assert outcome.mistakes[0].path == ("pools", "web", "backends", 1, "weight")


STICKY = GOOD.replace("[127.0.0.1:9001]", "[127.0.0.1:9001], sticky: {cookie: pylb}")


@pytest.mark.trio
async def test_sticky_cookies_get_ids_from_the_ring_in_the_state_directory(
    setup: Setup, tmp_path: Path
) -> None:
    setup.file.write_text(f"{STICKY}state_dir: {tmp_path}/state\n")
    assert isinstance(await setup.publisher.publish(), Published)
    (ids,) = setup.engine.drafts[-1]["pools"]["web"]["sticky"]["ids"]
    (key,) = KeyRing({}).kept(f"{tmp_path}/state").keys
    assert ids == affinity.ids("web", ["127.0.0.1:9001"], [key])[0]
    assert key.decode() not in json.dumps(setup.engine.drafts)


@pytest.mark.trio
async def test_a_state_directory_that_cannot_hold_keys_is_refused(setup: Setup, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    setup.file.write_text(f"{STICKY}state_dir: {tmp_path}/file\n")
    outcome = await setup.publisher.publish()
    assert isinstance(outcome, Refused)
    assert outcome.exit_code == 1
    assert "cannot keep the keys of sticky cookies in" in outcome.reason


@pytest.mark.trio
async def test_no_place_for_keys_by_default_is_a_warning(setup: Setup, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    setup.file.write_text(STICKY)
    ring = KeyRing({"XDG_STATE_HOME": str(tmp_path / "file")})
    publisher = Publisher(setup.engine, File(setup.file, {}), ring=ring)
    outcome = await publisher.publish()
    assert isinstance(outcome, Published)
    assert "clients lose their backend at a restart" in outcome.fact()["warnings"][0]
    await publisher.publish()
    first, second = (draft["pools"]["web"]["sticky"]["ids"] for draft in setup.engine.drafts)
    assert first == second


@pytest.mark.trio
async def test_what_the_core_calls_useless_is_a_warning_at_its_place(setup: Setup) -> None:
    setup.engine.warnings = [(("listeners", "web", "routes", 0), "this route never matches")]
    outcome = await setup.publisher.publish()
    assert isinstance(outcome, Published)
    assert outcome.warnings == (f"{setup.file}:2:40: this route never matches",)
