"""Backends behind a name: every address is one, a changed set comes into force, a failure changes nothing.

pylb runs in a mount namespace of its own, in which `/etc/hosts` is a file of the test, so that the system's
own resolver does the work.
"""

import re
import shutil
import subprocess
from collections import Counter

import pytest

from .balancer import site
from .load import Load
from .origin import Origin
from .patience import until
from .ports import free_port
from .talk import Talk

UNSHARE = ("unshare", "--map-root-user", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"')
REFRESH = "200ms"


@pytest.fixture
def hosts(tmp_path):
    """A file that pylb takes for /etc/hosts."""
    file = tmp_path / "hosts"
    file.write_text("127.0.0.1 localhost\n")
    if shutil.which("unshare") is None or subprocess.run([*UNSHARE, file, "true"], check=False).returncode:
        pytest.skip("needs mount namespaces")
    return file


@pytest.fixture
def three():
    """Origins at the same port of 127.0.0.1, 127.0.0.2 and 127.0.0.3."""
    port = free_port()
    started = [Origin(name=f"127.0.0.{last}", host=f"127.0.0.{last}", port=port) for last in (1, 2, 3)]
    yield port
    for origin in started:
        origin.stop()


def named(hosts, *addresses):
    """Writes what app.test stands for: in place, because the namespace holds on to the file, and in one write
    of the same size, because somebody reads it all the time."""
    lines = [f"{address} {name}\n" for name, address in [("localhost", "127.0.0.1"), *addresses]]
    with hosts.open("r+b", buffering=0) as file:
        file.write("".join(lines).ljust(512, "\n").encode())


def app(*last):
    return [("app.test", f"127.0.0.{number}") for number in last]


def names(balancer):
    return [backend["name"] for backend in balancer.status()["pools"]["app"]["backends"]]


def served(balancer, requests=30):
    with balancer.talk() as talk:
        return Counter(talk.get().body.decode() for _ in range(requests))


def start(serve, hosts, port, **more):
    backends = [{"dns": f"app.test:{port}", "refresh": REFRESH}]
    return serve(site(backends, **more), wrapper=[*UNSHARE, str(hosts)])


def test_every_address_is_a_backend_and_a_changed_set_loses_no_request(serve, hosts, three):
    named(hosts, *app(1, 2))
    balancer = start(serve, hosts, three)
    assert served(balancer) == {"127.0.0.1": 15, "127.0.0.2": 15}
    assert names(balancer) == [f"127.0.0.1:{three}", f"127.0.0.2:{three}"]
    with Load(balancer.address(), connections=8) as load:
        load.wait_for_more(100)
        named(hosts, *app(2, 3))
        until(
            "the new set is in force", lambda: names(balancer) == [f"127.0.0.2:{three}", f"127.0.0.3:{three}"]
        )
        load.wait_for_more(100)
    assert set(load.outcomes) == {"ok"}, load
    assert served(balancer) == {"127.0.0.2": 15, "127.0.0.3": 15}
    balancer.said("app.test has other addresses: added 127.0.0.3; removed 127.0.0.1")
    assert re.search(rf"127.0.0.2:{three} \(app.test:{three}\) +up", balancer.command("status").stdout)


def test_the_last_good_set_is_kept_and_the_failure_is_said_once(serve, hosts, three):
    named(hosts, *app(1, 2))
    balancer = start(serve, hosts, three)
    named(hosts)
    balancer.said(r"WARNING app.test: it has no address \(.*\); its last addresses are kept")
    until("it is in the status", lambda: "app.test" in balancer.status()["names_failing"])
    assert served(balancer) == {"127.0.0.1": 15, "127.0.0.2": 15}
    assert balancer.reload()["ok"]
    assert served(balancer) == {"127.0.0.1": 15, "127.0.0.2": 15}
    named(hosts, *app(3))
    balancer.said("app.test: it has addresses again")
    until("the new set is in force", lambda: names(balancer) == [f"127.0.0.3:{three}"])
    assert balancer.stderr.count("it has no address") == 1
    assert "no address" not in balancer.command("status").stdout


def test_counters_health_and_overrides_follow_the_address(serve, hosts, three):
    named(hosts, *app(1, 2))
    balancer = start(serve, hosts, three, pool={"health": {"http": "/"}})
    first, second = (f"127.0.0.{last}:{three}" for last in (1, 2))
    balancer.command("weight", "app", second, "3")
    until("both are up", lambda: balancer.backend("app", second)["state"] == "up")
    served(balancer)
    before = balancer.backend("app", second)["requests"]
    assert before >= 15
    named(hosts, *app(2))
    until("the first is gone", lambda: names(balancer) == [second])
    named(hosts, *app(2, 1))
    until("the first is back", lambda: names(balancer) == [first, second])
    found = balancer.backend("app", second)
    assert (found["weight"], found["state"]) == (3, "up")
    assert found["requests"] >= before


def test_a_name_without_an_address_at_the_start_is_a_mistake_with_its_place(serve, hosts):
    with pytest.raises(
        AssertionError, match=r'pylb\.yaml:\d+:\d+: "app\.test" has no address: .*; correct the name'
    ):
        start(serve, hosts, 80)


def test_localhost_is_both_of_its_addresses(serve):
    port = free_port()
    with Origin(name="four", host="127.0.0.1", port=port):
        balancer = serve(site([{"dns": f"localhost:{port}", "refresh": REFRESH}]))
        assert set(names(balancer)) <= {f"127.0.0.1:{port}", f"[::1]:{port}"}
        assert names(balancer)[0] == f"127.0.0.1:{port}"
        with Talk(balancer.address()) as talk:
            assert talk.get().body == b"four"
