"""Who gets the admin socket, and where a command looks for it."""

import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pylb.admin import address
from pylb.admin.claim import Claim, claim, is_alive
from pylb.admin.client import locate
from pylb.errors import AdminUnreachable, PylbError


@pytest.fixture
def place() -> Iterator[Path]:
    """Short enough for a socket, unlike tmp_path."""
    with tempfile.TemporaryDirectory(prefix="pylb") as folder:
        yield Path(folder, "pylb", "admin.sock")


@pytest.fixture
def claims() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def taken(claims: ExitStack, path: Path, process: int = 41) -> Claim:
    address.private_directory(path.parent)
    got = claim(path, process=process)
    claims.callback(got.release)
    return got


def dead(path: Path) -> None:
    """What a killed process leaves behind."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))


def environ(place: Path) -> dict[str, str]:
    return {"XDG_RUNTIME_DIR": str(place.parent.parent)}


def test_only_its_user_may_open_it(claims: ExitStack, place: Path) -> None:
    got = taken(claims, place)
    assert got.path == place
    assert not got.beside
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700


def test_it_is_gone_afterwards(place: Path) -> None:
    address.private_directory(place.parent)
    claim(place).release()
    assert not place.exists()


def test_a_dead_socket_is_replaced(claims: ExitStack, place: Path) -> None:
    dead(place)
    got = taken(claims, place)
    assert (got.path, got.beside) == (place, False)
    assert is_alive(place)


def test_a_live_one_is_left_alone_and_the_next_goes_beside(claims: ExitStack, place: Path) -> None:
    taken(claims, place)
    second = taken(claims, place, 42)
    assert (second.path, second.beside) == (place.with_name("admin-42.sock"), True)
    assert is_alive(place)


def test_dead_ones_beside_are_swept_up(claims: ExitStack, place: Path) -> None:
    left = place.with_name("admin-7.sock")
    dead(left)
    taken(claims, place)
    assert not left.exists()


def test_a_file_that_is_no_socket_is_not_touched(place: Path) -> None:
    address.private_directory(place.parent)
    place.write_text("precious")
    with pytest.raises(PylbError, match="cannot open the admin socket"):
        claim(place)
    assert place.read_text() == "precious"


def test_a_busy_one_is_not_dead(place: Path, claims: ExitStack) -> None:
    taken(claims, place).socket.listen(0)
    for _ in range(4):
        waiting = claims.enter_context(socket.socket(socket.AF_UNIX))
        waiting.setblocking(False)
        waiting.connect_ex(str(place))
    assert is_alive(place)


def test_default_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    assert address.default({"XDG_RUNTIME_DIR": "/run/user/7"}, user=7) == Path("/run/user/7/pylb/admin.sock")
    assert address.default({}, user=0) == Path("/run/pylb/admin.sock")
    assert address.default({}, user=7) == Path("/tmp/pylb-7/admin.sock")


@pytest.mark.parametrize("trap", ["writable", "link"])
def test_a_directory_that_others_prepared_is_refused(place: Path, trap: str) -> None:
    if trap == "writable":
        place.parent.mkdir()
        place.parent.chmod(0o777)
    else:
        place.parent.symlink_to(place.parent.parent)
    with pytest.raises(PylbError, match=r"set admin\.bind"):
        address.private_directory(place.parent)


def test_a_command_finds_the_one_that_runs(claims: ExitStack, place: Path) -> None:
    taken(claims, place)
    assert locate(None, environ(place)) == place


def test_a_command_finds_the_one_beside_when_the_first_has_ended(claims: ExitStack, place: Path) -> None:
    first = taken(claims, place)
    second = taken(claims, place, 42)
    first.release()
    assert locate(None, environ(place)) == second.path


def test_several_have_to_be_told_apart(claims: ExitStack, place: Path) -> None:
    taken(claims, place)
    second = taken(claims, place, 42)
    with pytest.raises(AdminUnreachable) as failure:
        locate(None, environ(place))
    assert f"--admin unix:{place} or --admin unix:{second.path}" in str(failure.value)
    assert locate(f"unix:{second.path}") == second.path


def test_none_is_said_clearly(place: Path) -> None:
    with pytest.raises(AdminUnreachable, match="no pylb is running at unix:"):
        locate(None, environ(place))
    dead(place)
    with pytest.raises(AdminUnreachable, match="start one with `pylb serve`"):
        locate(None, environ(place))
    assert os.path.exists(place)
