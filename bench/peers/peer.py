"""What the harness knows of a proxy: how to find it, and how to start it with one common setting."""

import importlib.util
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.cells import Cell, Service
from bench.certificate import Certificate


@dataclass(frozen=True)
class Setting:
    """What every proxy is asked to do: listen on 127.0.0.1:`port`, balance over the backends' ports there.

    With the service https it serves HTTP there and, with the certificate, over TLS 1.3 on `tls_port`.
    `long_streams` says that what it relays is long.
    """

    port: int
    backends: tuple[int, ...]
    folder: Path
    access_log: bool = False
    service: Service = "http"
    long_streams: bool = False
    tls_port: int = 0
    certificate: Certificate | None = None

    @property
    def log(self) -> Path:
        return self.folder / "access.log"

    def write(self, name: str, text: str) -> str:
        """Puts a file into the proxy's folder and returns its path."""
        path = self.folder / name
        path.write_text(text)
        return str(path)


@dataclass(frozen=True)
class Start:
    """A command that runs in the foreground, and where its access log will be."""

    command: list[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


@dataclass(frozen=True)
class Peer:
    """A proxy. `reference` ones make the bar; one that does not parse cannot set headers or log.

    `only_in` names the cells for one that is of interest in a few only. `lacks` says why one cannot take part
    in a cell whose service it has: a module that is not installed, or its own ways.
    """

    name: str
    package: str
    find: Callable[[], str | None]
    configure: Callable[[str, Setting], Start]
    version_option: str = ""
    reference: bool = False
    parses: bool = True
    only_in: tuple[str, ...] = ()
    services: tuple[Service, ...] = ("http",)
    lacks: Callable[[Cell], str | None] = lambda cell: None

    def prepare(self, setting: Setting) -> Start:
        """Writes the proxy's configuration and says how to start it."""
        found = self.find()
        assert found is not None, f"{self.name} was not found; the run should have left it out"
        return self.configure(found, setting)

    def takes_part(self, cell: Cell) -> bool:
        """Whether it has anything to show in that cell."""
        return (
            cell.service in self.services
            and (self.parses or not cell.access_log)
            and (not self.only_in or cell.name in self.only_in)
        )

    def version(self) -> str:
        """The first thing like a version in what the program says of itself."""
        found = self.find()
        if found is None or not self.version_option:
            return ""
        told = subprocess.run([found, *self.version_option.split()], capture_output=True, text=True)
        numbers = re.search(r"\d+\.\d+(\.\d+)?", (told.stdout + told.stderr).replace(found, ""))
        return numbers.group() if numbers else ""


def in_wheel(package: str, path: str) -> str | None:
    """A program that an installed Python package carries."""
    spec = importlib.util.find_spec(package)
    for place in spec.submodule_search_locations or () if spec else ():
        if (program := Path(place) / path).is_file():
            return str(program)
    return None
