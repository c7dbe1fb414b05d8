"""Opens what operators come in by, and closes it again.

There is always a unix socket, so that commands on the machine need no address: at the place the command line
or the file names, else at the default one. If nobody named a place, having none (a container that cannot be
written to) is only worth a warning. A TCP address of the file comes in addition.
"""

import contextlib
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pylb.admin import address
from pylb.admin.address import Tcp
from pylb.admin.claim import claim
from pylb.errors import PylbError


@dataclass(frozen=True)
class Opened:
    """Listening sockets: those that only this user can reach, and those that anybody can."""

    private: tuple[socket.socket, ...]
    public: tuple[socket.socket, ...]
    warnings: tuple[str, ...]


@contextlib.contextmanager
def opened(given: str | None, bind: str | None, environ: Mapping[str, str]) -> Iterator[Opened]:
    """`given` on the command line, `bind` in the file. Raises PylbError for a named place that cannot be
    had."""
    place = None if bind is None else address.parse(bind)
    named = address.parse(given) if given is not None else place if isinstance(place, Path) else None
    if isinstance(named, Tcp):
        raise PylbError(
            f"--admin {given}: a TCP address needs a token; write both under `admin:` in the file"
        )
    with contextlib.ExitStack() as stack:
        public = (stack.enter_context(_listening(place)),) if isinstance(place, Tcp) else ()
        try:
            claimed = claim(named or address.prepared(environ))
        except PylbError as error:
            if named is not None:
                raise
            why = f"{error}; commands such as `pylb status` cannot reach this process"
            yield Opened((), public, (why,))
            return
        stack.callback(claimed.release)
        beside = f"another pylb is running: reach this one with --admin {address.show(claimed.path)}"
        yield Opened((claimed.socket,), public, (beside,) if claimed.beside else ())


def _listening(place: Tcp) -> socket.socket:
    everywhere = not place.host and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if everywhere or ":" in place.host else socket.AF_INET
    try:
        listening = socket.create_server(
            (place.host, place.port), family=family, backlog=64, dualstack_ipv6=everywhere
        )
    except OSError as error:
        raise PylbError(f"admin: cannot listen on {address.show(place)}: {error.strerror}") from None
    listening.setblocking(False)
    return listening
