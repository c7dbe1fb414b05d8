"""Rates: so many in a second, a minute or an hour."""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import PlainValidator, WithJsonSchema

from pylb.config.wording import Kind, shown, wrong

MOST = 1_000_000
"""The largest number in a rate."""

_SECONDS = {"s": 1, "m": 60, "h": 3600}
_WORDS = {"sec": "s", "second": "s", "min": "m", "minute": "m", "hour": "h", "hr": "h", "d": "h", "day": "h"}
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:/\s*([A-Za-z]*))?")


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` per `seconds`."""

    count: int
    seconds: int

    @property
    def per_second(self) -> float:
        return self.count / self.seconds


def rate(value: object) -> Rate:
    """`100/s`, `30/m` or `5/h`."""
    if isinstance(value, Rate):
        return value
    usable = isinstance(value, str | int | float) and not isinstance(value, bool)
    found = _RATE.fullmatch(str(value).strip()) if usable else None
    if found is None:
        raise wrong(f"expected a rate, found {shown(value)}", "write for example 100/s (also /m and /h)")
    number, unit = found[1], found[2] or ""
    if unit not in _SECONDS:
        near = _WORDS.get(unit.lower().rstrip("s"), unit.lower() if unit.lower() in _SECONDS else "s")
        problem = "has an unknown unit" if unit else "does not say per what time"
        raise wrong(f"{shown(value)} {problem}", f"rates are per s, m or h: write {number}/{near}")
    if "." in number:
        raise wrong(f"{shown(value)} is not a whole number", f"write {_whole(float(number), unit)}")
    if not 0 < int(number) <= MOST:
        raise wrong(f"{shown(value)} is out of range", f"write from 1/{unit} to {MOST}/{unit}")
    return Rate(int(number), _SECONDS[unit])


def _whole(number: float, unit: str) -> str:
    """About the same rate in a unit in which it is a whole number."""
    for longer, seconds in _SECONDS.items():
        count = number * seconds / _SECONDS[unit]
        if seconds >= _SECONDS[unit] and count >= 1 and count == int(count):
            return f"{int(count)}/{longer}"
    return f"{max(1, round(number))}/{unit}"


RateText = Annotated[
    Rate,
    PlainValidator(rate),
    WithJsonSchema({"type": "string", "pattern": r"^\d+\s*/\s*[smh]$", "examples": ["100/s"]}),
    Kind("rate", "100/s"),
]
