"""Takes the admin socket's name, from a dead predecessor if need be.

A socket file outlives its process. Whether somebody still listens only a connection can tell: refused means
dead, and the file is replaced. If a live pylb answers, the new one takes a name with its process id beside
it. The directory is locked meanwhile, so two that start at once do not both find the name free.
"""

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pylb.admin import address
from pylb.errors import PylbError

_MODE = 0o600


@dataclass(frozen=True)
class Claim:
    """A listening socket, where it is, and whether that is beside the place of another live pylb."""

    socket: socket.socket
    path: Path
    beside: bool

    def release(self) -> None:
        """Closes the socket and removes its file, unless another process has replaced it."""
        self.socket.close()
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()


def claim(path: Path, *, process: int | None = None) -> Claim:
    """Listens at `path`, mode 0600, or beside it; raises PylbError with one clear line."""
    try:
        with _locked(path.parent):
            for stale in address.candidates(path):
                if not is_alive(stale):
                    stale.unlink()
            taken = path.is_socket()
            place = address.beside(path, os.getpid() if process is None else process) if taken else path
            return Claim(_listen(place), place, taken)
    except OSError as error:
        reason = error.strerror or error
        raise PylbError(f"cannot open the admin socket {address.show(path)}: {reason}") from None


def is_alive(path: Path) -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as attempt:
        attempt.setblocking(False)
        try:
            attempt.connect(str(path))
        except BlockingIOError:
            return True  # its queue is full: busy, not dead
        except (ConnectionRefusedError, FileNotFoundError):
            return False
    return True


def _listen(path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Linux gives the file the mode of the socket, so there is no moment in which it is open to others.
        os.fchmod(listening.fileno(), _MODE)
        listening.bind(str(path))
        listening.listen(16)
    except BaseException:
        listening.close()
        raise
    listening.setblocking(False)
    return listening


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
