"""Single values a user writes: durations, sizes, shares, counts, switches.

Each parser takes what YAML gave (text, or a number or boolean where the user wrote one) and returns the
value in the program's unit, or raises an error that says what was expected and what to type instead.
Text that holds digits counts as a number where one is expected, because `${VAR}` always gives text.
`Kind` rides along in each annotated type, so that schema and documentation can name it.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from pylb.config.wording import Kind, shown, wrong

MAX_SECONDS = 4_000_000
"""Durations reach the core as 32-bit milliseconds: 49 days at most; this is a round number below."""

_DURATION = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZE = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z%]*)")


def duration(value: object) -> float:
    """`250ms 2s 5m 1h`, above zero -> seconds."""
    seconds = pause(value)
    if seconds == 0:
        raise wrong("0 would end everything at once", "write a duration above 0, such as 10s")
    return seconds


def pause(value: object) -> float:
    """As `duration`, and zero is allowed -> seconds."""
    number, unit = _parts(value, "a duration", "10s (units: ms, s, m, h)")
    if not unit and number == 0:
        return 0.0
    if not unit:
        raise wrong(f"{shown(value)} has no unit", f"write {_plain(number)}s or {_plain(number)}ms")
    if unit not in _DURATION:
        raise wrong(
            f"{shown(value)} has an unknown unit", "units are ms, s, m and h: write 250ms, 2s, 5m or 1h"
        )
    seconds = number * _DURATION[unit]
    if seconds > MAX_SECONDS:
        raise wrong(f"{shown(value)} is too long", "write at most 1000h")
    if 0 < seconds < 0.001:
        raise wrong(f"{shown(value)} is too short", "write at least 1ms")
    return seconds


def size(value: object) -> int:
    """`512B 64KiB 10MiB 1GiB`, above zero -> bytes."""
    number, unit = _parts(value, "a size", "64KiB (units: B, KiB, MiB, GiB)")
    if not unit:
        larger = number / 1024 if number >= 1024 and number % 1024 == 0 else number
        raise wrong(f"{shown(value)} has no unit", f"write {_plain(number)}B or {_plain(larger)}KiB")
    if unit not in _SIZE:
        near = {"k": "KiB", "m": "MiB", "g": "GiB"}.get(unit[0].lower(), "KiB")
        raise wrong(
            f"{shown(value)} has an unknown unit",
            f"units are B, KiB, MiB and GiB (1 KiB is 1024 bytes): write {_plain(number)}{near}",
        )
    amount = round(number * _SIZE[unit])
    if not 0 < amount < 2**63:
        raise wrong(f"{shown(value)} is out of range", "write a size above 0, such as 64KiB")
    return amount


def share(value: object) -> int:
    """`50%`, from 0 % to 100 % -> 50."""
    number, unit = _parts(value, "a share", "50%")
    if unit != "%":
        raise wrong(f"{shown(value)} is not a share", f"write {_plain(number)}%")
    if number > 100 or number != int(number):
        raise wrong(f"{shown(value)} is out of range", "write a whole number from 0% to 100%")
    return int(number)


def switch(value: object) -> bool:
    """`true` or `false`; `yes`, `no`, `on` and `off` are text in YAML 1.2."""
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    guess = "true" if value in ("yes", "on", 1, "1") else "false" if value in ("no", "off", 0, "0") else ""
    raise wrong(f"{shown(value)} is neither true nor false", f"write {guess or 'true or false'}")


def whole(value: object) -> int:
    """A whole number above zero."""
    number = _integer(value)
    if not 0 < number < 2**31:
        raise wrong(f"{number} is out of range", "write a whole number above 0")
    return number


def amount(value: object) -> int:
    """A whole number, or zero."""
    number = _integer(value)
    if not 0 <= number < 2**31:
        raise wrong(f"{number} is out of range", "write 0 or a whole number above it")
    return number


def _integer(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong(f"expected a whole number, found {shown(value)}", "write digits only, such as 3")
    return value


def auto(value: object) -> int | None:
    """`auto` -> None, else a whole number."""
    if value == "auto":
        return None
    if isinstance(value, str) and not value.isdigit():
        raise wrong(
            f"expected auto or a whole number, found {shown(value)}", "write auto, or a number such as 4"
        )
    return whole(value)


def off_or_size(value: object) -> int | None:
    """`off` -> None, else a size."""
    if value == "off":
        return None
    if not isinstance(value, str | int) or isinstance(value, bool) or not str(value)[:1].isdigit():
        raise wrong(f"expected off or a size, found {shown(value)}", "write off, or a size such as 10MiB")
    return size(value)


def off_or_duration(value: object) -> float | None:
    """`off` -> None, else a duration."""
    if value == "off":
        return None
    if not isinstance(value, str | int) or isinstance(value, bool) or not str(value)[:1].isdigit():
        raise wrong(
            f"expected off or a duration, found {shown(value)}", "write off, or a duration such as 30s"
        )
    seconds = pause(value)
    if seconds == 0:
        raise wrong("0 is not a time", "write off, or a duration such as 30s")
    return seconds


def learned_or_duration(value: object) -> float | None:
    """`learned` -> None, else a duration."""
    if value == "learned":
        return None
    if isinstance(value, str) and not value[:1].isdigit():
        raise wrong(
            f"expected learned or a duration, found {shown(value)}", "write learned, or a duration such as 4s"
        )
    return duration(value)


def milliseconds(times: Mapping[str, float | None]) -> dict[str, int | None]:
    """Seconds as a draft has them; None stays."""
    return {name: None if seconds is None else round(seconds * 1000) for name, seconds in times.items()}


def _parts(value: object, what: str, example: str) -> tuple[float, str]:
    """Number and unit of text such as `10s`."""
    text = "" if isinstance(value, bool) or not isinstance(value, str | int | float) else str(value)
    found = _NUMBER.fullmatch(text.strip())
    if found is None:
        raise wrong(f"expected {what}, found {shown(value)}", f"write for example {example}")
    return float(found[1]), found[2]


def _plain(number: float) -> str:
    return f"{number:g}" if number < 1e6 else str(int(number))


def _text(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


_DURATION_TEXT = r"^\d+(\.\d+)?\s*(ms|s|m|h)$"
_SIZE_TEXT = r"^\d+(\.\d+)?\s*(B|KiB|MiB|GiB)$"
_NUMBER_SCHEMA: dict[str, Any] = {"type": "integer", "minimum": 1}

Duration = Annotated[float, BeforeValidator(duration), _text(_DURATION_TEXT, "10s"), Kind("duration", "10s")]
Pause = Annotated[float, BeforeValidator(pause), _text(_DURATION_TEXT, "30s"), Kind("duration", "30s")]
Size = Annotated[int, BeforeValidator(size), _text(_SIZE_TEXT, "64KiB"), Kind("size", "64KiB")]
Share = Annotated[int, BeforeValidator(share), _text(r"^\d+\s*%$", "50%"), Kind("share", "50%")]
Switch = Annotated[bool, BeforeValidator(switch), Kind("true or false", "true")]
Whole = Annotated[int, BeforeValidator(whole), WithJsonSchema(_NUMBER_SCHEMA), Kind("number", "3")]
Amount = Annotated[
    int, BeforeValidator(amount), WithJsonSchema({"type": "integer", "minimum": 0}), Kind("number", "100")
]
Auto = Annotated[
    int | None,
    BeforeValidator(auto),
    WithJsonSchema({"anyOf": [{"const": "auto"}, _NUMBER_SCHEMA]}),
    Kind("`auto` or number", "auto"),
]
OffOrSize = Annotated[
    int | None,
    BeforeValidator(off_or_size),
    _text(r"^off$|" + _SIZE_TEXT, "10MiB"),
    Kind("`off` or size", "10MiB"),
]
OffOrDuration = Annotated[
    float | None,
    BeforeValidator(off_or_duration),
    _text(r"^off$|" + _DURATION_TEXT, "30s"),
    Kind("`off` or duration", "30s"),
]
LearnedOrDuration = Annotated[
    float | None,
    BeforeValidator(learned_or_duration),
    _text(r"^learned$|" + _DURATION_TEXT, "4s"),
    Kind("`learned` or duration", "learned"),
]
