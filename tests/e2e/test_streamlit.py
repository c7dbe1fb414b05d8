"""A Streamlit app with a file upload over three processes: page, WebSocket and upload must meet in one.

The client speaks Streamlit's own protocol as its page does: it takes the XSRF token from the page's cookie,
opens the socket with it, asks over the socket where to upload, puts the file there by a plain request, and
sees over the socket what the app says of it.
"""

from collections.abc import Callable
from typing import Any

import pytest

from .balancer import Balancer, Config, site
from .programs import SOURCES
from .tools import module

PRESET: Config = {"sticky": {"preset": "streamlit"}}
XSRF = "_streamlit_xsrf"
FILE = bytes(2_000_000)
COMMAND = (
    *("streamlit", "run", str(SOURCES / "upload.py")),
    *("--server.address=127.0.0.1", "--server.port={port}", "--server.headless=true"),
    *("--server.fileWatcherType=none", "--browser.gatherUsageStats=false", "--logger.level=error"),
)


@pytest.fixture
def upload(serve, programs):
    """Starts the app behind pylb."""
    module("streamlit", "apps")

    def start(pool: Config) -> Balancer:
        three = programs(3, *COMMAND, ready="/_stcore/health")
        return serve(site([one.address for one in three], pool=pool))

    return start


class Page:
    """What a browser does with the app. A context manager."""

    def __init__(self, balancer: Balancer) -> None:
        host, port = balancer.address()
        self.place = f"{host}:{port}"
        self.http: Any = module("httpx", "apps").Client(base_url=f"http://{self.place}")
        self.back: Any = module("streamlit.proto.BackMsg_pb2", "apps").BackMsg
        self.forward: Any = module("streamlit.proto.ForwardMsg_pb2", "apps").ForwardMsg

    def __enter__(self) -> "Page":
        for path in ("/", "/_stcore/health", "/_stcore/host-config"):
            assert self.http.get(path).status_code == 200
        self.token = self.http.cookies[XSRF].strip('"')
        client: Any = module("websockets.sync.client")
        cookies = "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())
        self.socket = client.connect(
            f"ws://{self.place}/_stcore/stream",
            subprotocols=["streamlit", self.token],
            additional_headers={"Cookie": cookies},
            origin=f"http://{self.place}",
            proxy=None,
        ).__enter__()
        return self

    def __exit__(self, *how: object) -> None:
        self.socket.close()
        self.http.close()

    def until(self, what: Callable[[Any], Any]) -> Any:
        """The first true thing that `what` finds in the messages of the app."""
        while True:
            if found := what(self.forward.FromString(self.socket.recv(timeout=10))):
                return found

    def element(self, kind: str, part: str) -> Any:
        """A part of the next element of a kind."""

        def look(message: Any) -> Any:
            new = message.delta.new_element if message.WhichOneof("type") == "delta" else None
            return new and new.WhichOneof("type") == kind and getattr(getattr(new, kind), part)

        return self.until(look)

    def open(self) -> tuple[str, str]:
        """Runs the app: the session and the id of its upload."""
        start = self.back()
        start.rerun_script.query_string = ""
        self.socket.send(start.SerializeToString())
        session = self.until(
            lambda message: (
                message.WhichOneof("type") == "new_session" and message.new_session.initialize.session_id
            )
        )
        return session, self.element("file_uploader", "id")

    def put(self, session: str) -> tuple[int, Any]:
        """Uploads the file: the status, and where it went."""
        ask = self.back()
        ask.file_urls_request.request_id = "1"
        ask.file_urls_request.file_names.append("file.bin")
        ask.file_urls_request.session_id = session
        self.socket.send(ask.SerializeToString())
        where = self.until(
            lambda message: message.WhichOneof("type") == "file_urls_response" and message.file_urls_response
        ).file_urls[0]
        answer = self.http.put(
            where.upload_url, files={"file": ("file.bin", FILE)}, headers={"X-Xsrftoken": self.token}
        )
        return answer.status_code, where

    def show(self, widget: str, where: Any) -> str:
        """Tells the app about the upload: what it says then."""
        again = self.back()
        state = again.rerun_script.widget_states.widgets.add()
        state.id = widget
        info = state.file_uploader_state_value.uploaded_file_info.add()
        info.name, info.size, info.file_id = "file.bin", len(FILE), where.file_id
        info.file_urls.CopyFrom(where)
        self.socket.send(again.SerializeToString())
        return str(self.element("text", "body"))


@pytest.mark.soak
def test_a_file_arrives_where_the_session_is(upload):
    balancer = upload(PRESET)
    processes = set()
    for _ in range(6):
        with Page(balancer) as page:
            session, widget = page.open()
            assert page.element("text", "body") == "nothing yet"
            status, where = page.put(session)
            assert status == 204
            size, process = page.show(widget, where).split()
            assert int(size) == len(FILE)
            processes.add(process)
    assert len(processes) == 3, "all sessions are in the same process"


@pytest.mark.soak
def test_without_the_preset_uploads_miss_their_session(upload):
    balancer = upload({})
    statuses = set()
    for _ in range(6):
        with Page(balancer) as page:
            session, _ = page.open()
            statuses.add(page.put(session)[0])
    assert statuses - {204}, "every upload found its session by chance"
