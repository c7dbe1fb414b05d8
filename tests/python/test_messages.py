"""Messages of pylb itself: where they go, from which level on, and how often."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from pylb.config.model import Log
from pylb.core import Fact, Feed
from pylb.messages import Messages, configure, logger, reconfigure
from trio.testing import MockClock


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_lines_go_to_a_file_that_can_be_renamed(tmp_path: Path) -> None:
    file = tmp_path / "pylb.log"
    log = Log(to=str(file))
    configure(log)
    logger.info("one")
    file.rename(tmp_path / "old.log")
    configure(log)
    logger.info("two")
    assert file.read_text().endswith("Z INFO two\n")
    assert (tmp_path / "old.log").read_text().endswith("Z INFO one\n")


def test_the_level_is_the_least_important_that_is_written(tmp_path: Path) -> None:
    file = tmp_path / "pylb.log"
    configure(Log(to=str(file), level="warning"))
    logger.info("one")
    logger.warning("two")
    assert [text.split(" ", 1)[1] for text in file.read_text().splitlines()] == ["WARNING two"]


def test_a_file_that_cannot_be_opened_leaves_everything_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "pylb.log"
    configure(Log(to=str(file)))
    unwritable = Log(to=str(tmp_path / "no" / "such.log"))
    with pytest.raises(FileNotFoundError):
        configure(unwritable)
    reconfigure(unwritable)
    assert "cannot write messages to" in file.read_text()


@pytest.mark.trio
async def test_a_storm_is_one_line_a_second_with_a_count(
    mock_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pylb")
    for storm in (5, 1):
        feed, heard = Feed(), list[Fact]()
        if storm == 5:
            messages = Messages(heard.append)
        for _ in range(storm):
            feed.tell({"fact": "client_evicted"})
        facts = feed.subscribe()
        feed.close()
        await messages.write(facts)
        mock_clock.jump(1.5)
    texts = [record.getMessage() for record in caplog.records]
    assert texts[0].endswith("connection was closed")
    assert texts[1:] == [texts[0] + " (4 more before)"]


def test_trio_reports_no_traceback_for_each_missing_descriptor(tmp_path: Path) -> None:
    file = tmp_path / "pylb.log"
    configure(Log(to=str(file)))
    logging.getLogger("trio.serve_listeners").error("accept returned EMFILE")
    assert file.read_text() == ""
