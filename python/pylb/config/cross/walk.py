"""Ways through plain values of any shape. What is not as expected is passed over: the model says so."""

from collections.abc import Iterator
from typing import Any

from pylb.errors import Path


def mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def entries(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def routes(data: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every route that has keys, with its path."""
    for name, listener in mapping(data.get("listeners")).items():
        for at, route in enumerate(entries(mapping(listener).get("routes"))):
            if isinstance(route, dict):
                yield ("listeners", name, "routes", at), route
