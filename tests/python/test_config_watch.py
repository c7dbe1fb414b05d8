"""Watching files, on a clock that jumps: no test waits for real time."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing
from pylb.config.watch import changes, fingerprint


class Watch:
    """Runs `changes` over a growing list of files and counts what it tells."""

    def __init__(self, *files: Path) -> None:
        self.files = list(files)
        self.told = 0
        self.load()

    def load(self) -> None:
        self.loaded = fingerprint(self.files)

    async def run(self) -> None:
        async for _ in changes(lambda: self.files, lambda: self.loaded, every=0.5):
            self.told += 1
            self.load()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pylb.yaml"
    path.write_text("one")
    return path


async def watching(watch: Watch, *steps: Callable[[], object]) -> list[int]:
    """How often changes were told: before the steps, and two seconds after each."""
    told = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.run)
        await trio.sleep(2.1)
        told.append(watch.told)
        for step in steps:
            step()
            await trio.sleep(2)
            told.append(watch.told)
        nursery.cancel_scope.cancel()
    return told


def replace(path: Path, text: str) -> None:
    """As an editor saves: a new file, renamed over the old one."""
    new = path.with_suffix(".new")
    new.write_text(text)
    os.rename(new, path)


@pytest.mark.trio
async def test_nothing_is_told_while_nothing_changes(
    file: Path, autojump_clock: trio.testing.MockClock
) -> None:
    assert await watching(Watch(file), lambda: None) == [0, 0]


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_text("longer text"),
        lambda path: replace(path, "two"),
        lambda path: path.unlink(),
        lambda path: os.utime(path, ns=(1, 1)),
    ],
    ids=["written", "replaced", "removed", "touched"],
)
@pytest.mark.trio
async def test_each_change_is_told_once(
    file: Path, change: Callable[[Path], object], autojump_clock: trio.testing.MockClock
) -> None:
    assert await watching(Watch(file), lambda: change(file), lambda: None) == [0, 1, 1]


@pytest.mark.trio
async def test_a_file_that_appears_is_told(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    late = tmp_path / "late.yaml"
    assert await watching(Watch(late), lambda: late.write_text("x")) == [0, 1]


@pytest.mark.trio
async def test_another_file_to_watch_is_a_change(file: Path, autojump_clock: trio.testing.MockClock) -> None:
    watch = Watch(file)
    other = file.with_name("other.yaml")
    other.write_text("x")
    assert await watching(watch, lambda: watch.files.append(other)) == [0, 1]


@pytest.mark.trio
async def test_a_file_that_is_still_being_written_is_waited_for(
    file: Path, autojump_clock: trio.testing.MockClock
) -> None:
    watch = Watch(file)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.run)
        await trio.sleep(1.1)
        for size in range(10, 20):
            file.write_text("x" * size)
            await trio.sleep(0.5)
        assert watch.told == 0
        await trio.sleep(1)
        assert watch.told == 1
        nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_what_was_loaded_for_another_reason_is_no_change(
    file: Path, autojump_clock: trio.testing.MockClock
) -> None:
    watch = Watch(file)

    def edit_and_load() -> None:
        file.write_text("longer text")
        watch.load()

    assert await watching(watch, edit_and_load, lambda: file.write_text("two")) == [0, 0, 1]


def test_a_fingerprint_tells_a_missing_file_from_an_empty_one(file: Path) -> None:
    file.write_text("")
    here = fingerprint([file])
    file.unlink()
    assert here != fingerprint([file])
