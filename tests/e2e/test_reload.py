"""A change is one swap: what is valid is in force with nobody noticing, what is not changes nothing."""

import json
import signal
import threading

import pytest

from .balancer import pylb, reachable, site, tcp
from .load import Load
from .origin import Ask
from .patience import until
from .talk import Talk


def test_hup_under_load_loses_nothing(serve, origins):
    """Clients that never retry see neither an error nor a closed connection."""
    three = origins(3)
    config = site([one.address for one in three], pool={"balance": "two_choices"})
    balancer = serve(config)
    with Load(balancer.address(), connections=8) as load:
        for _ in range(20):
            balancer.hang_up()
            load.wait_for_more(50)
    assert load.all_ok(), load
    assert load.quiet_closes == 0
    assert sum(one.count() for one in three) == load.total


def test_backends_come_and_go_under_load(serve, origins):
    four = origins(4)
    config = site([])
    balancer = None
    for round_ in range(8):
        members = [one.address for number, one in enumerate(four) if number != round_ % 4]
        config["pools"]["app"]["backends"] = members
        if balancer is None:
            balancer = serve(config)
            load = Load(balancer.address(), connections=8).start()
        else:
            balancer.load(config)
        load.wait_for_more(100)
    load.stop()
    assert load.all_ok(), load
    assert load.quiet_closes == 0


def test_a_removed_backend_finishes_what_it_has_begun(serve, origin):
    go = threading.Event()

    def slow(ask: Ask) -> None:
        ask.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf ")
        assert go.wait(10)
        ask.send("whole")

    old, new = origin(slow, name="old"), origin(name="new")
    config = site([old.address])
    balancer = serve(config)
    with balancer.talk() as talk, balancer.talk() as other:
        talk.request("GET").head()
        assert talk.exactly(5) == b"half "
        config["pools"]["app"]["backends"] = [new.address]
        balancer.load(config)
        assert other.get().body == b"new"
        go.set()
        assert talk.exactly(5) == b"whole"
        assert talk.get().body == b"new"
    assert [one["name"] for one in balancer.status()["pools"]["app"]["backends"]] == [new.address]
    until("connections to the old one are closed", lambda: old.open_connections() == 0)


def test_listeners_come_and_go(serve, origin):
    one = origin()
    config = site([one.address])
    first = config["listeners"]["web"]["bind"]
    balancer = serve(config)
    with balancer.talk() as talk:
        assert talk.get().status == 200
        second = tcp()
        config["listeners"]["web"]["bind"] = [first, second]
        balancer.load(config)
        with Talk(reachable(second)) as new:
            assert new.get().status == 200
        config["listeners"]["web"]["bind"] = second
        balancer.load(config)
        with pytest.raises(ConnectionRefusedError):
            Talk(reachable(first))
        with Talk(reachable(second)) as new:
            assert new.get().status == 200
        config["listeners"]["web"]["bind"] = [first, second]
        balancer.load(config)
        with Talk(reachable(first)) as new:
            assert new.get().status == 200


def test_a_retired_listener_finishes_what_it_has_begun(serve, origin):
    go = threading.Event()
    one = origin(lambda ask: (go.wait(10), ask.answer(200, "late")))
    config = site([one.address])
    balancer = serve(config)
    with balancer.talk() as talk:
        talk.request("GET")
        one.wait_for(1)
        config["listeners"]["web"]["bind"] = tcp()
        balancer.load(config)
        go.set()
        answer = talk.response()
        assert (answer.body, answer.get("connection")) == (b"late", "close")
        assert talk.closed()


def test_two_listeners_swap_their_ports(serve, origin):
    one, two = origin(name="one"), origin(name="two")
    config = site([one.address])
    config["pools"]["two"] = {"backends": [two.address]}
    config["listeners"]["other"] = {"bind": tcp(), "routes": [{"pool": "two"}]}
    balancer = serve(config)
    places = [balancer.address("web"), balancer.address("other")]
    for expected in ([b"one", b"two"], [b"two", b"one"], [b"one", b"two"]):
        for place, body in zip(places, expected, strict=True):
            with Talk(place) as talk:
                assert talk.get().body == body
        web, other = config["listeners"].values()
        web["bind"], other["bind"] = other["bind"], web["bind"]
        balancer.load(config)


def test_the_metrics_listener_moves(serve, origin):
    config = site([origin().address], metrics={"bind": tcp()})
    balancer = serve(config)
    old = reachable(config["metrics"]["bind"])
    config["metrics"] = {"bind": tcp()}
    balancer.load(config)
    assert balancer.ask_side("/healthz").status == 200

    def refused() -> bool:
        try:
            Talk(old).close()
        except ConnectionRefusedError:
            return True
        return False

    until("the old one is closed", refused)


BROKEN = """\
listeners:
  web:
    bind: 127.0.0.1:1
    routes:
      - {{pool: ap}}
pools:
  app:
    balanse: random
    backends: [{address}]
"""


def test_an_invalid_file_changes_nothing_and_says_where(serve, origin):
    one = origin()
    balancer = serve(site([one.address]))
    with balancer.talk() as talk:
        assert talk.get().status == 200
        balancer.file.write_text(BROKEN.format(address=one.address))
        balancer.signal(signal.SIGHUP)
        balancer.said(r"pylb\.yaml:5:\d+: .*ap")
        balancer.said(r"pylb\.yaml:8:\d+: .*balanse.*")
        assert "balance" in balancer.said("balanse")
        assert talk.get().status == 200
        assert balancer.status()["generation"] == 1
        outcome = balancer.reload()
        assert not outcome["ok"]
        assert {mistake["line"] for mistake in outcome["mistakes"]} == {5, 8}
        told = balancer.command("reload")
        assert told.returncode == 3
        assert "pylb.yaml:5:" in told.stderr
        assert "pylb.yaml:8:" in told.stderr
        assert talk.get().status == 200


def test_a_missing_file_changes_nothing(serve, origin):
    balancer = serve(site([origin().address]))
    balancer.file.unlink()
    balancer.signal(signal.SIGHUP)
    balancer.said("cannot read .*pylb.yaml")
    told = balancer.command("reload")
    assert told.returncode == 1
    assert "pylb.yaml" in told.stderr
    with balancer.talk() as talk:
        assert talk.get().status == 200


def test_a_port_in_use_changes_nothing(serve, origin):
    one, other = origin(name="one"), origin(name="other")
    config = site([one.address])
    balancer = serve(config)
    balancer.write(
        site([other.address], listener={"bind": [config["listeners"]["web"]["bind"], other.address]})
    )
    outcome = balancer.reload()
    assert not outcome["ok"]
    assert outcome["exit_code"] == 1
    assert other.address in outcome["text"]
    assert "pylb.yaml:" in outcome["text"]
    with balancer.talk() as talk:
        assert talk.get().body == b"one"


def test_what_needs_a_restart_says_so(serve, origin):
    config = site([origin().address])
    balancer = serve(config)
    balancer.write({**config, "workers": 1})
    outcome = balancer.reload()
    assert not outcome["ok"]
    assert "restart" in outcome["text"]


def test_reload_waits_and_reports(serve, origin):
    one, two = origin(name="one"), origin(name="two")
    config = site([one.address])
    balancer = serve(config)
    config["pools"]["app"]["backends"] = [two.address]
    balancer.write(config)
    told = balancer.command("reload")
    assert told.returncode == 0, told.stderr
    assert "generation 2" in told.stdout
    with balancer.talk() as talk:
        assert talk.get().body == b"two"


def test_status_as_text_and_as_json(serve, origin):
    one, two = origin(), origin()
    backends = [{"address": one.address, "weight": 3}, {"address": two.address, "backup": True}]
    balancer = serve(site(backends))
    with balancer.talk() as talk:
        for _ in range(5):
            talk.get()
        balancer.access_log(5)
        shown = balancer.command("status")
    assert shown.returncode == 0, shown.stderr
    for part in ("pool app (round_robin)", one.address, f"{two.address} (backup)", "listener web"):
        assert part in shown.stdout
    found = json.loads(balancer.command("status", "--json").stdout)
    first, second = found["pools"]["app"]["backends"]
    assert first["requests"] == 5
    assert first["weight"] == 3
    assert second["requests"] == 0
    assert second["backup"]
    assert found["listeners"]["web"]["requests"] == 5


def test_without_a_running_pylb_the_commands_say_so(tmp_path):
    told = pylb("status", environ={"PYLB_ADMIN": f"unix:{tmp_path}/none.sock"})
    assert told.returncode == 1
    assert str(tmp_path) in told.stderr
    assert "Traceback" not in told.stderr


def test_watch_reloads_when_the_file_is_saved(serve, origin):
    one, two = origin(name="one"), origin(name="two")
    config = site([one.address])
    balancer = serve(config, arguments=["--watch"])
    config["pools"]["app"]["backends"] = [two.address]
    balancer.write(config)
    with balancer.talk() as talk:
        until("the new backend answers", lambda: talk.get().body == b"two")
