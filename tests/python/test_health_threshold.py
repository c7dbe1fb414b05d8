"""Rise and fall: stories of answers, and the belief after each."""

import pytest
from pylb.health.threshold import Standing, after


def story(answers: str, *, rise: int = 2, fall: int = 3, start: bool | None = None) -> str:
    """`+` and `-` in, the belief after each out: `?` unknown, `U` up, `D` down."""
    standing = Standing(start)
    beliefs = ""
    for answer in answers:
        standing = after(standing, answer == "+", rise=rise, fall=fall)
        beliefs += {None: "?", True: "U", False: "D"}[standing.up]
    return beliefs


@pytest.mark.parametrize(
    ("start", "answers", "beliefs"),
    [
        (None, "+", "U"),
        (None, "---", "??D"),
        (None, "--+", "??U"),
        (True, "--+--", "UUUUU"),
        (True, "---", "UUD"),
        (True, "-+-+-+", "UUUUUU"),
        (False, "++", "DU"),
        (False, "+-+-++", "DDDDDU"),
        (False, "----", "DDDD"),
    ],
)
def test_beliefs_turn_after_a_streak(start: bool | None, answers: str, beliefs: str) -> None:
    assert story(answers, start=start) == beliefs


def test_thresholds_of_one_turn_at_once() -> None:
    assert story("-+-+", rise=1, fall=1) == "DUDU"


@pytest.mark.parametrize(
    ("standing", "changing"),
    [(Standing(), True), (Standing(True), False), (Standing(True, 1), True), (Standing(False), False)],
)
def test_the_next_answer_is_urgent_while_it_may_turn_the_belief(standing: Standing, changing: bool) -> None:
    assert standing.is_changing is changing
