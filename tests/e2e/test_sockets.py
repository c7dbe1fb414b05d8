"""Where pylb listens and whom it reaches: IPv4, IPv6, unix sockets, inherited descriptors, several."""

import os
import socket
import stat
from pathlib import Path

import pytest

from .balancer import reachable, site, tcp
from .ports import free_port
from .talk import Talk


def test_listeners_of_every_kind_in_one_process(serve, origin, tmp_path):
    one = origin()
    routes = [{"pool": "app"}]
    port, six = free_port(), free_port()
    config = site([one.address])
    config["listeners"] = {
        "any": {"bind": f":{port}", "routes": routes},
        "six": {"bind": f"[::1]:{six}", "routes": routes},
        "unix": {"bind": f"unix:{tmp_path}/web.sock", "routes": routes},
        "two": {"bind": [tcp(), tcp()], "routes": routes},
    }
    balancer = serve(config)
    places = [("127.0.0.1", port), ("::1", port), ("::1", six), tmp_path / "web.sock"]
    places += [reachable(bind) for bind in config["listeners"]["two"]["bind"]]
    for number, place in enumerate(places):
        with Talk(place) as talk:
            assert talk.get(f"/{number}").status == 200
    assert [ask.target for ask in one.ledger] == [f"/{number}" for number in range(6)]
    balancer.access_log(6)
    requests = {name: entry["requests"] for name, entry in balancer.status()["listeners"].items()}
    assert requests == {"any": 2, "six": 1, "unix": 1, "two": 2}


def test_ipv6_only_does_not_take_ipv4(serve, origin):
    one = origin()
    port = free_port()
    serve(site([one.address], listener={"bind": f"[::]:{port}"}))
    with Talk(("::1", port)) as talk:
        assert talk.get().status == 200
    with pytest.raises(ConnectionRefusedError):
        Talk(("127.0.0.1", port))


def test_backends_of_every_kind(serve, origin, tmp_path):
    backends = [
        origin(name="four"),
        origin(name="six", host="::1"),
        origin(name="unix", path=tmp_path / "app.sock"),
    ]
    named = origin(name="named")
    addresses = [*(one.address for one in backends), f"localhost:{named.port}"]
    balancer = serve(site(addresses))
    with balancer.talk() as talk:
        bodies = {talk.get().body for _ in range(8)}
    assert bodies == {b"four", b"six", b"unix", b"named"}


def test_a_dead_socket_file_is_replaced_and_removed_at_the_end(serve, origin, tmp_path):
    path = tmp_path / "web.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    one = origin()
    balancer = serve(site([one.address], listener={"bind": f"unix:{path}"}))
    with Talk(path) as talk:
        assert talk.get().status == 200
    assert balancer.stop() == 0
    assert not path.exists()


def test_an_inherited_descriptor(serve, origin):
    one = origin()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        number = listening.fileno()
        serve(site([one.address], listener={"bind": f"fd:{number}"}), pass_fds=[number])
        with Talk(listening.getsockname()) as talk:
            assert talk.get().status == 200


def test_the_admin_socket_is_private(serve, origin):
    balancer = serve(site([origin().address]))
    assert stat.S_IMODE(os.stat(balancer.admin).st_mode) == 0o600
    assert isinstance(balancer.admin, Path)
