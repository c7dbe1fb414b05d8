"""Where a running pylb is asked: the admin socket, or a TCP address that only a token opens.

Without `admin.bind` it is `pylb/admin.sock` in the user's runtime directory; root has `/run`; whoever has
neither gets a directory under the temporary directory. Anybody may create names there, so that directory is
used only if it belongs to this user and nobody else may enter it. A second pylb of the same user finds the
name taken and adds its process id, which is why a command may find several and then has to ask which one is
meant.
"""

import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pylb.errors import AdminUnreachable, PylbError

NAME = "admin.sock"
SCHEME = "unix:"


@dataclass(frozen=True, slots=True)
class Tcp:
    """A TCP address; an IPv6 one without brackets, and "" for all there are."""

    host: str
    port: int


Place = Path | Tcp


def default(environ: Mapping[str, str], *, user: int | None = None) -> Path:
    """The admin socket of a pylb that names none."""
    user = os.getuid() if user is None else user
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime, "pylb", NAME)
    if user == 0:
        return Path("/run/pylb", NAME)
    return Path(tempfile.gettempdir(), f"pylb-{user}", NAME)


def prepared(environ: Mapping[str, str]) -> Path:
    """The default place, its directory created; raises PylbError."""
    path = default(environ)
    private_directory(path.parent)
    return path


def parse(address: str) -> Place:
    """`unix:/run/pylb/admin.sock`, or only the path; `127.0.0.1:9902` with or without `http://`, `:9902`."""
    if address.startswith((SCHEME, "/", ".")):
        if path := address.removeprefix(SCHEME):
            return Path(path).absolute()
    else:
        host, _, port = address.removeprefix("http://").rstrip("/").rpartition(":")
        if port.isdigit() and int(port) < 1 << 16:
            return Tcp(host.strip("[]"), int(port))
    raise AdminUnreachable(
        f'"{address}" is not an admin address; write for example unix:/run/pylb/{NAME} or 127.0.0.1:9902'
    )


def show(place: Place) -> str:
    if isinstance(place, Path):
        return f"{SCHEME}{place}"
    return f"[{place.host}]:{place.port}" if ":" in place.host else f"{place.host}:{place.port}"


def private_directory(path: Path) -> None:
    """Creates the directory with mode 0700 unless it exists; refuses one that others could have prepared."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise PylbError(
            f"cannot create {path} for the admin socket: {error.strerror}; set admin.bind"
        ) from None
    if not is_private(found):
        raise PylbError(
            f"{path} is not a directory that only this user can enter; remove it, or set admin.bind"
        )


def is_private(found: os.stat_result) -> bool:
    """A directory of this user, not a link to one, that nobody else may write to."""
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def candidates(main: Path) -> list[Path]:
    """The sockets that may belong to a running pylb: the main name, then those with a process id."""
    beside = sorted(main.parent.glob(f"{main.stem}-*{main.suffix}"))
    return [path for path in (main, *beside) if _is_socket(path)]


def beside(main: Path, process: int) -> Path:
    """The name for a second pylb: `admin-PID.sock`."""
    return main.with_name(f"{main.stem}-{process}{main.suffix}")


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.lstat().st_mode)
    except OSError:
        return False
