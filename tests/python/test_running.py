"""Embedding: a load balancer inside a trio program, with the real core."""

import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pylb
import pytest
import trio
from pylb.core import Fact

pytestmark = pytest.mark.trio

Origins = Callable[[int], list[str]]


@pytest.fixture
def origins() -> Iterator[Origins]:
    """Starts servers in processes of their own; they end when their pipes close."""
    with ExitStack() as stack:

        def start(count: int) -> list[str]:
            commands = [
                [sys.executable, "-m", "pylb.origin", str(number), "0"] for number in range(1, count + 1)
            ]
            pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            started = [stack.enter_context(subprocess.Popen(command, **pipes)) for command in commands]
            ports = []
            for process in started:
                assert process.stdout is not None
                ports.append(int(process.stdout.readline()))
            return [f"127.0.0.1:{port}" for port in ports]

        yield start


@pytest.fixture
def bind() -> str:
    """An address that was free a moment ago."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def site(bind: str, backends: list[str], **pool: Any) -> dict[str, Any]:
    return {
        "listeners": {"web": {"bind": bind, "routes": [{"pool": "web"}]}},
        "pools": {"web": {"backends": backends, "balance": "round_robin", **pool}},
        "log": {"access": "off"},
    }


def fetch(bind: str, path: str = "/") -> tuple[int, str]:
    connection = http.client.HTTPConnection(bind, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


async def get(bind: str, path: str = "/") -> tuple[int, str]:
    return await trio.to_thread.run_sync(fetch, bind, path)


async def fact_named(name: str, facts: "trio.MemoryReceiveChannel[Fact]") -> Fact:
    with trio.fail_after(20):
        async for fact in facts:
            if fact["fact"] == name:
                return fact
    raise AssertionError(f"no {name} came")


async def test_it_serves_while_the_block_runs(bind: str, origins: Origins) -> None:
    async with pylb.running(site(bind, origins(2))) as lb:
        answers = [await get(bind) for _ in range(4)]
        assert sorted(answers) == [(200, f"Hello from origin {number}\n") for number in (1, 1, 2, 2)]
        status = lb.status()
        assert status["pools"]["web"]["policy"] == "round_robin"
        assert [backend["check"] for backend in status["pools"]["web"]["backends"]] == [None, None]
    with pytest.raises(ConnectionRefusedError):
        await get(bind)


async def test_a_file(bind: str, origins: Origins, tmp_path: Path) -> None:
    file = tmp_path / "pylb.yaml"
    file.write_text(
        f"listeners: {{web: {{bind: {bind}, routes: [{{pool: web}}]}}}}\n"
        f'pools: {{web: {{backends: ["{origins(1)[0]}"]}}}}\nlog: {{access: off}}\n'
    )
    async with pylb.running(file) as lb:
        assert (await get(bind))[0] == 200
        assert lb.status()["config"] == str(file)
        file.write_text("nonsense: 1\n")
        outcome = await lb.reload()
        assert "nonsense" in outcome.describe()
        assert (await get(bind))[0] == 200


async def test_a_change_is_in_force_when_apply_returns(bind: str, origins: Origins) -> None:
    one, two = origins(2)
    async with pylb.running(site(bind, [one])) as lb:
        assert await lb.apply(site(bind, [two])) == 2
        assert [await get(bind) for _ in range(3)] == [(200, "Hello from origin 2\n")] * 3


async def test_what_is_wrong_is_raised_as_itself_and_changes_nothing(bind: str, origins: Origins) -> None:
    one = origins(1)[0]
    async with pylb.running(site(bind, [one])) as lb:
        with pytest.raises(pylb.ConfigInvalid, match="balance"):
            await lb.apply(site(bind, [one], balance="fair"))
        assert lb.status()["generation"] == 1
        assert (await get(bind))[0] == 200


async def test_a_mistake_at_the_start(bind: str) -> None:
    with pytest.raises(pylb.ConfigInvalid) as refusal:
        async with pylb.running({"listeners": {}, "pool": {}}):
            raise AssertionError("it must not start")
    assert len(refusal.value.errors) == 2


@pytest.mark.parametrize("nothing", [5, None, ["pylb.yaml"]])
async def test_what_is_no_configuration_at_all(nothing: Any) -> None:
    with pytest.raises(TypeError, match="expected a path, a mapping or a configuration, found "):
        async with pylb.running(nothing):
            raise AssertionError("it must not start")


async def test_mistakes_of_every_kind_are_raised_at_once(bind: str) -> None:
    wrong = site(bind, ["127.0.0.1:1"], idle_connections=99_999_999, balance="fair")
    with pytest.raises(pylb.ConfigInvalid) as refusal:
        async with pylb.running(wrong):
            raise AssertionError("it must not start")
    assert [error.path[-1] for error in refusal.value.errors] == ["balance", "idle_connections"]


async def test_a_file_that_is_not_there() -> None:
    with pytest.raises(pylb.PylbError, match=r"cannot read /no/such\.yaml: No such file"):
        async with pylb.running("/no/such.yaml"):
            raise AssertionError("it must not start")


async def test_an_address_in_use_is_one_line() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        bind = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(pylb.PylbError) as refusal:
            async with pylb.running(site(bind, ["127.0.0.1:1"])):
                raise AssertionError("it must not start")
    assert f"cannot listen on {bind}: " in str(refusal.value)
    assert "in use" in str(refusal.value)
    assert "\n" not in str(refusal.value)


async def test_an_exception_in_the_block_comes_out_as_itself(bind: str) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with pylb.running(site(bind, ["127.0.0.1:1"])):
            raise KeyError("mine")
    with pytest.raises(ConnectionRefusedError):
        await get(bind)


async def test_cancelling_ends_it_at_once(bind: str, origins: Origins) -> None:
    with trio.move_on_after(0.2) as scope:
        async with pylb.running(site(bind, origins(1))):
            await trio.sleep_forever()
    assert scope.cancelled_caught
    with pytest.raises(ConnectionRefusedError):
        await get(bind)


async def test_checks_take_a_backend_out_and_say_why(bind: str, origins: Origins) -> None:
    check = {"http": "/", "interval": "100ms", "rise": 1, "fall": 1}
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        dead = f"127.0.0.1:{nobody.getsockname()[1]}"
        async with pylb.running(site(bind, [*origins(1), dead], health=check)) as lb:
            facts = lb.facts()
            assert (await fact_named("backend_down", facts))["backend"] == dead
            assert {(await get(bind))[1] for _ in range(6)} == {"Hello from origin 1\n"}
            down = lb.status()["pools"]["web"]["backends"][1]
            assert (down["state"], down["why"]) == ("down", "connection refused")
            assert down["check"]["good"] is False


async def test_facts_of_the_core_come_too(bind: str) -> None:
    pool = {"passive": {"failures": 1, "eject": "1s"}}
    async with pylb.running(site(bind, ["127.0.0.1:1", "127.0.0.1:2"], **pool)) as lb:
        facts = lb.facts()
        assert (await get(bind))[0] == 502
        ejected = await fact_named("backend_ejected", facts)
    assert ejected["pool"] == "web"
    assert ejected["seconds"] > 0


async def test_facts_end_with_it(bind: str) -> None:
    async with pylb.running(site(bind, ["127.0.0.1:1"])) as lb:
        facts = lb.facts()
    names = [fact["fact"] async for fact in facts]
    assert names[-2:] == ["stopping", "stopped"]


async def test_a_blocked_program_does_not_block_traffic(bind: str, origins: Origins) -> None:
    """Requests come from a thread, while the only trio thread sits in time.sleep."""
    seconds = 1.0
    answered: list[int] = []
    done = trio.Event()

    def requests() -> None:
        ends = time.monotonic() + seconds / 2
        while time.monotonic() < ends:
            answered.append(fetch(bind)[0])

    async def client() -> None:
        await trio.to_thread.run_sync(requests)
        done.set()

    async with pylb.running(site(bind, origins(1))), trio.open_nursery() as nursery:
        nursery.start_soon(client)
        await trio.testing.wait_all_tasks_blocked()
        time.sleep(seconds)
        assert len(answered) > 10
        assert set(answered) == {200}
        await done.wait()


async def test_a_program_drains_and_weighs_like_an_operator(bind: str, origins: Origins) -> None:
    backends = origins(2)
    async with pylb.running(site(bind, backends)) as lb:
        facts = lb.facts()
        await lb.set_draining("web", backends[0], True)
        assert (await fact_named("backend_override", facts))["draining"] is True
        assert {await get(bind) for _ in range(4)} == {(200, "Hello from origin 2\n")}
        await lb.set_draining("web", backends[0], False)
        await lb.set_weight("web", backends[0], 3)
        answers = [await get(bind) for _ in range(8)]
        assert answers.count((200, "Hello from origin 1\n")) == 6
        await lb.apply(site(bind, backends, idle_connections=7))
        assert lb.status()["pools"]["web"]["backends"][0]["override"] == {"draining": False, "weight": 3}
        with pytest.raises(pylb.PylbError, match='no pool called "wbe"; did you mean web'):
            await lb.set_weight("wbe", backends[0], 3)
