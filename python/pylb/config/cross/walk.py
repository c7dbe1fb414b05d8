"""Ways through plain values of any shape. What is not as expected is passed over: the model says so."""

from collections.abc import Iterator
from typing import Any

from pylb.config.protocols import spoken
from pylb.errors import Path


def mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def entries(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def listeners(data: dict[str, Any], *protocols: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every listener that speaks one of these, with its path."""
    for name, listener in mapping(data.get("listeners")).items():
        if isinstance(listener, dict) and spoken(listener) in protocols:
            yield ("listeners", name), listener


def routes(data: dict[str, Any], protocol: str = "http") -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every route of such a listener that has keys, with its path."""
    for path, listener in listeners(data, protocol):
        for at, route in enumerate(entries(listener.get("routes"))):
            if isinstance(route, dict):
                yield (*path, "routes", at), route
