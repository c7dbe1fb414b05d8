"""What every section of the model has in common, and how its fields are declared.

A section is a class whose fields are the keys a user may write; the docstring under a field is written for
users, because help, JSON Schema and docs/configuration.md are generated from it. A key whose name is settled
but that is not built yet is listed in `later`: it is refused with "not supported yet", never ignored and
never called unknown. Its value names the required key it would stand in for, so that one mistake stays one
error.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from pylb.config import shorthand
from pylb.config.address import Bind, DatagramBind, Network
from pylb.config.wording import Kind

Some = BeforeValidator(shorthand.some)
"""Refuses a list or mapping without entries."""
Binds = Annotated[
    tuple[Bind, ...],
    BeforeValidator(shorthand.one_or_more, json_schema_input_type=Bind | tuple[Bind, ...]),
    Kind("address, or list", "0.0.0.0:8080"),
]
DatagramBinds = Annotated[
    tuple[DatagramBind, ...],
    BeforeValidator(shorthand.one_or_more, json_schema_input_type=DatagramBind | tuple[DatagramBind, ...]),
    Kind("address, or list", "0.0.0.0:5353"),
]
Networks = Annotated[
    tuple[Network, ...],
    BeforeValidator(shorthand.one_or_more, json_schema_input_type=Network | tuple[Network, ...]),
    Kind("network, or list", "[10.0.0.0/8]"),
]


def default(written: Any) -> Any:
    """A default in the form a user would write."""
    return Field(default=written)


def refuse(*names: str, **instead: str) -> Mapping[str, str]:
    """Keys that are not built yet; `instead` says which required key each would replace."""
    return MappingProxyType({**dict.fromkeys(names, ""), **instead})


def point(*names: str, to: str) -> Mapping[str, str]:
    """Keys that belong in another place, all with the same hint."""
    return MappingProxyType(dict.fromkeys(names, to))


def gather(*parts: Mapping[str, str], **more: str) -> Mapping[str, str]:
    """All of them in one."""
    return MappingProxyType({key: text for part in (*parts, more) for key, text in part.items()})


class Section(BaseModel):
    """Keys that belong together."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        validate_default=True,
        hide_input_in_errors=True,
    )
    later: ClassVar[Mapping[str, str]] = refuse()
    """Keys that are not built yet, and what each stands in for ("" for nothing)."""
    elsewhere: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Keys that belong in another place, and what to do instead."""
    instead: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Keys of `elsewhere` that were written for a required one, which is not called missing then."""
