"""Where a configuration comes from, remembered so that it can be loaded again: a file, the command line, the
demo, a program."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, Protocol

from pylb.config.loaded import Config, from_mapping, load, validate
from pylb.config.tree import Tree
from pylb.errors import Path, Place

DEMO_BIND = "127.0.0.1:8080"

_FLAGS: dict[Path, Place] = {
    ("listeners", "web", "bind"): Place("--listen"),
    ("pools", "web", "backends"): Place("--to"),
    ("pools", "web", "balance"): Place("--balance"),
    ("pools", "web", "health"): Place("--health"),
}


class Source(Protocol):
    """Anything that a configuration can be loaded from, again and again."""

    def load(self) -> Config:
        """Raises ConfigInvalid, or OSError."""
        ...

    def describe(self) -> str:
        """What it is called in messages."""
        ...


Configuration = Config | Source | Mapping[str, Any] | str | os.PathLike[str]
"""A path to a file, or a mapping with the keys of one, or either already loaded."""


@dataclass(frozen=True)
class File:
    """A YAML file; `environ` is what `${VAR}` reads."""

    path: FilePath
    environ: Mapping[str, str]

    def load(self) -> Config:
        return load(self.path, environ=self.environ)

    def describe(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class Flags:
    """`pylb serve --listen ... --to ...`."""

    listen: tuple[str, ...]
    to: tuple[str, ...]
    balance: str | None = None
    health: str | None = None

    def load(self) -> Config:
        return from_flags(self.listen, self.to, self.balance, self.health)

    def describe(self) -> str:
        return "the command line"


@dataclass(frozen=True)
class Demo:
    """The built-in demo, over origins that the caller has started at `addresses`."""

    addresses: tuple[str, ...] = ()

    def load(self) -> Config:
        return demo(self.addresses)

    def describe(self) -> str:
        return "the built-in demo"


def from_flags(
    listen: Sequence[str], to: Sequence[str], balance: str | None = None, health: str | None = None
) -> Config:
    """One listener and one pool, both called web; mistakes name the option."""
    pool = {
        "backends": list(to),
        **({"balance": balance} if balance is not None else {}),
        **({"health": {"http": health}} if health is not None else {}),
    }
    data = {"listeners": {"web": {"bind": list(listen), "routes": [{"pool": "web"}]}}, "pools": {"web": pool}}
    return validate(Tree(data, _FLAGS), FilePath.cwd())


def demo(addresses: Sequence[str]) -> Config:
    """Round robin, so that `curl` in a loop shows every origin in turn."""
    return from_flags([DEMO_BIND], addresses, "round_robin")


@dataclass(frozen=True)
class Given:
    """The source of a configuration that a program made: loading it again gives the same."""

    config: Config

    def load(self) -> Config:
        return self.config

    def describe(self) -> str:
        return "the configuration"


@dataclass(frozen=True)
class Data:
    """A mapping that a program made; paths in it are relative to its working directory."""

    data: Mapping[str, Any]

    def load(self) -> Config:
        return from_mapping(self.data, directory=FilePath.cwd())

    def describe(self) -> str:
        return "the configuration"


def as_source(config: Configuration) -> Source:
    """Where a configuration comes from; raises TypeError for what is none."""
    if isinstance(config, Config):
        return Given(config)
    if isinstance(config, Mapping):
        return Data(config)
    if isinstance(config, str | os.PathLike):
        return File(FilePath(config), os.environ)
    if not hasattr(config, "load"):
        raise TypeError(f"expected a path, a mapping or a configuration, found {type(config).__name__}")
    return config
