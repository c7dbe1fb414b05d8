"""What the end-to-end tests have in common: things that are started on demand and ended whatever happens."""

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from e2e.apps import App
from e2e.balancer import Balancer, Config
from e2e.daemons import Daemon
from e2e.datagrams import Reflector
from e2e.origin import Line, Origin, Script, plain
from e2e.programs import Program, Programs
from e2e.streams import Peer, mirror
from e2e.tools import module

# A shell that runs the tests in the background makes them ignore interrupts, and with them what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

Serve = Callable[..., Balancer]
Origins = Callable[..., list[Origin]]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts pylb with a configuration and returns it once it listens; the rest is as for `Balancer`."""
    with ExitStack() as stack:
        folders = iter(range(100))

        def start(config: Config | str, *, ready: bool = True, **how: Any) -> Balancer:
            folder = tmp_path / f"pylb-{next(folders)}"
            folder.mkdir()
            balancer = Balancer(folder, config, **how)
            stack.callback(balancer.end)
            return balancer.wait_until_ready() if ready else balancer

        yield start


@pytest.fixture
def origin() -> Iterator[Callable[..., Origin]]:
    """Starts a backend that follows a script."""
    with ExitStack() as stack:

        def start(script: Script = plain, **how: Any) -> Origin:
            return stack.enter_context(Origin(script, **how))

        yield start


@pytest.fixture
def origins(origin: Callable[..., Origin]) -> Origins:
    """Starts several backends, named a, b, c, ..."""

    def start(count: int, script: Script = plain) -> list[Origin]:
        return [origin(script, name=chr(ord("a") + number)) for number in range(count)]

    return start


@pytest.fixture
def apps(tmp_path: Path) -> Iterator[Callable[[str, int], list[App]]]:
    """Starts real servers of a kind, and kills what is left of them."""
    with ExitStack() as stack:

        def start(kind: str, count: int) -> list[App]:
            started = [App(kind, tmp_path) for _ in range(count)]
            for app in started:
                stack.callback(app.kill)
            return [app.wait_until_ready() for app in started]

        yield start


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    """Starts several of a program of `tests/apps`, and kills what is left of them."""
    with ExitStack() as stack:

        def start(count: int, *arguments: str, **how: Any) -> list[Program]:
            started = [Program(tmp_path, *arguments, **how) for _ in range(count)]
            for program in started:
                stack.callback(program.kill)
            return [program.wait_until_ready() for program in started]

        yield start


@pytest.fixture
def authority(tmp_path: Path) -> Any:
    """A certificate authority."""
    module("cryptography")
    from e2e.authority import Authority

    return Authority(tmp_path)


@pytest.fixture
def stranger(tmp_path: Path, authority: Any) -> Any:
    """Another one, that nobody was told to trust."""
    return type(authority)(tmp_path, "stranger")


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    """Starts a backend without a protocol."""
    with ExitStack() as stack:

        def start(script: Callable[[Line], None] = mirror, **how: Any) -> Peer:
            return stack.enter_context(Peer(script, **how))

        yield start


@pytest.fixture
def reflector() -> Iterator[Callable[..., Reflector]]:
    """Starts a backend for datagrams, that says who asked."""
    with ExitStack() as stack:

        def start(name: str = "") -> Reflector:
            return stack.enter_context(Reflector(name))

        yield start


@pytest.fixture
def daemon() -> Iterator[Callable[..., Daemon]]:
    """Starts a server of somebody else's, and kills what is left of it."""
    with ExitStack() as stack:

        def start(kind: Callable[..., Daemon], *arguments: Any, **how: Any) -> Daemon:
            started = kind(*arguments, **how)
            stack.callback(started.kill)
            return started.wait_until_ready()

        yield start
