"""A Gradio app with a file and with state, over three processes: the cookie of the preset holds it together.

gradio_client keeps the cookies of the first answer, like a browser.
"""

from pathlib import Path
from typing import Any

import pytest

from .balancer import Balancer, Config, site
from .tools import module, why_not

PRESET: Config = {"sticky": {"preset": "gradio"}}


@pytest.fixture
def table(serve, programs):
    """Starts the app behind pylb."""
    module("gradio", "apps")

    def start(pool: Config) -> Balancer:
        quiet = {"GRADIO_ANALYTICS_ENABLED": "False"}
        three = programs(3, "table.py", "{port}", environ=quiet)
        return serve(site([one.address for one in three], pool=pool))

    return start


def weigh(balancer: Balancer, file: Path, times: int) -> list[tuple[int, int, int]]:
    """One session: size, count and process, time by time."""
    gradio: Any = module("gradio_client", "apps")
    host, port = balancer.address()
    client = gradio.Client(f"http://{host}:{port}", verbose=False, analytics_enabled=False)
    told = []
    for _ in range(times):
        size, seen, process = client.predict(gradio.handle_file(str(file)), api_name="/weigh").split()
        told.append((int(size), int(seen), int(process)))
    client.close()
    return told


@pytest.mark.soak
def test_sessions_keep_their_files_and_their_state(table, tmp_path):
    balancer = table(PRESET)
    file = tmp_path / "file.txt"
    file.write_bytes(bytes(300_000))
    told = [weigh(balancer, file, 5) for _ in range(6)]
    for times in told:
        assert [(size, seen) for size, seen, _ in times] == [(300_000, number + 1) for number in range(5)]
        assert len({process for _, _, process in times}) == 1
    assert len({times[0][2] for times in told}) == 3, "all sessions are in the same process"


@pytest.mark.soak
def test_without_the_preset_it_falls_apart(table, tmp_path):
    balancer = table({})
    file = tmp_path / "file.txt"
    file.write_bytes(b"small")
    assert why_not(lambda: weigh(balancer, file, 5))
