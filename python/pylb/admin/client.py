"""What the commands `status` and `reload` ask a running pylb.

Plain blocking sockets: a command asks one thing and ends. Which pylb is meant follows from the address: the
one given, else the one live socket at the default place. With several, the user has to say; with none, the
error says how to start one or name another place.
"""

import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h11

from pylb.admin import address as places
from pylb.admin.claim import is_alive
from pylb.errors import AdminUnreachable, PylbError

PATIENCE = 10.0
"""Seconds to wait for an answer that needs no work."""


def status(address: str | None = None, *, environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """A snapshot of listeners, pools and backends: `Core.status` plus `check` (the last health check) of each
    backend, `pid`, `version` and `config`. `address` is `unix:PATH` or None for the default place."""
    return _ask(locate(address, environ), "GET", "/status", PATIENCE)


def reload(address: str | None = None, *, environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Makes it read its configuration again, and waits for the outcome: `ok`, `text` (lines for the user) and
    `exit_code`; `generation` if it is in force, else `mistakes`, and nothing has changed."""
    return _ask(locate(address, environ), "POST", "/reload", None)


def locate(address: str | None, environ: Mapping[str, str] = os.environ) -> Path:
    """The socket to talk to; raises AdminUnreachable if there is none or more than one."""
    if address is not None:
        return places.parse(address)
    main = places.default(environ)
    live = [path for path in places.candidates(main) if _is_ours(path) and is_alive(path)]
    if len(live) == 1:
        return live[0]
    if live:
        known = " or ".join(f"--admin {places.show(path)}" for path in live)
        raise AdminUnreachable(f"{len(live)} pylb are running; say which one with {known}")
    raise AdminUnreachable(
        f"no pylb is running at {places.show(main)}; start one with `pylb serve`, "
        "or say where it is with --admin unix:PATH"
    )


def _is_ours(path: Path) -> bool:
    try:
        return places.is_private(path.parent.lstat())
    except OSError:
        return False


def _ask(path: Path, method: str, target: str, patience: float | None) -> dict[str, Any]:
    try:
        code, body = _exchange(path, method, target, patience)
        answer = json.loads(body)
    except TimeoutError:
        raise AdminUnreachable(f"pylb at {places.show(path)} did not answer within {PATIENCE:g} s") from None
    except (OSError, h11.RemoteProtocolError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise AdminUnreachable(f"no pylb answers at {places.show(path)}: {reason}") from None
    if code != 200 or not isinstance(answer, dict):
        raise PylbError(str(answer.get("error", f"pylb answered {code}")))
    return answer


def _exchange(path: Path, method: str, target: str, patience: float | None) -> tuple[int, bytes]:
    talk = h11.Connection(h11.CLIENT)
    request = h11.Request(
        method=method,
        target=target,
        headers=[("Host", "pylb"), ("Content-Length", "0"), ("Connection", "close")],
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(patience)
        connection.connect(str(path))
        connection.sendall((talk.send(request) or b"") + (talk.send(h11.EndOfMessage()) or b""))
        code, body = 0, b""
        for event in _events(connection, talk):
            if isinstance(event, h11.Response):
                code = event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
    return code, body


def _events(connection: socket.socket, talk: h11.Connection) -> Iterator[h11.Event]:
    """What the server sends, to the end of its answer."""
    while True:
        event = talk.next_event()
        if event is h11.NEED_DATA:
            talk.receive_data(connection.recv(65536))
            continue
        assert isinstance(event, h11.Event)
        yield event
        if isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            return
