"""The last good configuration stays in force, whatever is wrong with the next one."""

import json
from pathlib import Path
from typing import Any

import pytest
import trio
from pylb.config import File, parse
from pylb.config.outcome import Published, Refused
from pylb.config.publish import Publisher
from pylb.config.watch import fingerprint
from pylb.core import BindFailed, PlanInvalid

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

    def apply(self, draft: bytes, /) -> int:
        if self.refuse is not None:
            raise self.refuse
        self.drafts.append(json.loads(draft))
        return len(self.drafts)


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
