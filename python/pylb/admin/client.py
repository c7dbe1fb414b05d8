"""What commands ask a running pylb.

Plain blocking sockets: a command asks one thing and ends. Which pylb is meant follows from the address: the
one given, else the one live socket at the default place. With several, the user has to say; with none, the
error says how to start one or name another place. A TCP address wants a token, which comes from the
environment only, because everybody can read the arguments of a process.
"""

import json
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import h11

from pylb.admin import address as places
from pylb.admin.address import Place, Tcp
from pylb.admin.claim import is_alive
from pylb.errors import AdminUnreachable, PylbError

TOKEN = "PYLB_ADMIN_TOKEN"
"""The environment variable that holds the token of a TCP address."""

PATIENCE = 10.0
"""Seconds to wait for an answer that needs no work."""


@dataclass(frozen=True, slots=True)
class Client:
    """Asks one running pylb. Raises AdminUnreachable if none answers, PylbError with the reason it gives if
    it refuses."""

    place: Place
    token: str | None = None

    def status(self) -> dict[str, Any]:
        """A snapshot of listeners, pools and backends: `Core.status`, what snapshot.py adds to each backend,
        `names_failing`, `pid`, `version` and `config`."""
        return self._ask("GET", "/v1/status")

    def reload(self) -> dict[str, Any]:
        """Makes it read its configuration again, and waits for the outcome: `ok`, `text` (lines for the user)
        and `exit_code`; `generation` if it is in force, else `mistakes`, and nothing has changed."""
        return self._ask("POST", "/v1/reload", patience=None)

    def backend(self, pool: str, backend: str) -> dict[str, Any]:
        """One backend of the status."""
        return self._ask("GET", _path(pool, backend))

    def drain(self, pool: str, backend: str) -> dict[str, Any]:
        """Gives a backend no new requests; returns its status, like the rest below."""
        return self._ask("POST", f"{_path(pool, backend)}/drain")

    def undrain(self, pool: str, backend: str) -> dict[str, Any]:
        """Takes that back."""
        return self._ask("POST", f"{_path(pool, backend)}/undrain")

    def weigh(self, pool: str, backend: str, weight: int | None) -> dict[str, Any]:
        """Gives a backend another weight; None: that of the configuration again."""
        path = f"{_path(pool, backend)}/weight"
        return self._ask("DELETE", path) if weight is None else self._ask("PUT", path, {"weight": weight})

    def _ask(
        self, method: str, target: str, body: object = None, *, patience: float | None = PATIENCE
    ) -> dict[str, Any]:
        shown = places.show(self.place)
        content = b"" if body is None else json.dumps(body).encode()
        try:
            code, text = _exchange(self, method, target, content, patience)
            answer = json.loads(text)
        except TimeoutError:
            raise AdminUnreachable(f"pylb at {shown} did not answer within {patience:g} s") from None
        except (OSError, h11.RemoteProtocolError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise AdminUnreachable(f"no pylb answers at {shown}: {reason}") from None
        if code == 401:
            raise AdminUnreachable(f"pylb at {shown} wants its token: set {TOKEN}")
        if code != 200 or not isinstance(answer, dict):
            raise PylbError(str(answer.get("error", f"pylb answered {code}")))
        return answer


def client(address: str | None = None, *, environ: Mapping[str, str] = os.environ) -> Client:
    """Of the pylb at an address, as a user writes it, or of the one at the default place."""
    return Client(locate(address, environ), environ.get(TOKEN))


def locate(address: str | None, environ: Mapping[str, str] = os.environ) -> Place:
    """Where to ask; raises AdminUnreachable if there is none or more than one."""
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


def _path(pool: str, backend: str) -> str:
    return f"/v1/pools/{quote(pool, safe='')}/backends/{quote(backend, safe='')}"


def _exchange(
    client: Client, method: str, target: str, content: bytes, patience: float | None
) -> tuple[int, bytes]:
    talk = h11.Connection(h11.CLIENT)
    headers = [("Host", "pylb"), ("Content-Length", str(len(content))), ("Connection", "close")]
    headers += [("Authorization", f"Bearer {client.token}")] if client.token else []
    request = h11.Request(method=method, target=target, headers=headers)
    sent = [talk.send(request), talk.send(h11.Data(data=content)), talk.send(h11.EndOfMessage())]
    with _connected(client.place, patience) as connection:
        connection.sendall(b"".join(part or b"" for part in sent))
        code, body = 0, b""
        for event in _events(connection, talk):
            if isinstance(event, h11.Response):
                code = event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
    return code, body


def _connected(place: Place, patience: float | None) -> socket.socket:
    if isinstance(place, Tcp):
        connection = socket.create_connection((place.host or "127.0.0.1", place.port), PATIENCE)
        connection.settimeout(patience)
        return connection
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(patience)
        connection.connect(str(place))
    except BaseException:
        connection.close()
        raise
    return connection


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
