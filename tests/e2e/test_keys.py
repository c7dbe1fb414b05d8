"""The keys of sticky cookies on disk: made at the first start, read by later ones, refused where others can
read them."""

import secrets

import pytest

from .balancer import site
from .patience import until

RING = "pylb/affinity.keys"
STICKY = {"sticky": {"cookie": "pylb"}}


def cookie_of(balancer):
    """A new client's cookie, and who answered."""
    with balancer.talk() as talk:
        answer = talk.get()
    return answer.get("set-cookie").partition(";")[0], answer.body


def homes(balancer, cookies):
    with balancer.talk() as talk:
        return [talk.get("/", f"Cookie: {cookie}").body for cookie in cookies]


def test_cookies_outlive_a_restart(serve, origins, tmp_path):
    config = site([one.address for one in origins(5)], pool=STICKY, state_dir=str(tmp_path / "state"))
    first = serve(config)
    known = [cookie_of(first) for _ in range(20)]
    file = tmp_path / "state" / "affinity.keys"
    assert file.stat().st_mode & 0o777 == 0o600
    assert first.stop() == 0
    again = serve(config)
    assert homes(again, [cookie for cookie, _ in known]) == [body for _, body in known]
    key = file.read_text().splitlines()[-1]
    for balancer in (first, again):
        assert key not in balancer.stderr + balancer.stdout


def test_a_line_on_top_is_the_new_key_and_the_old_one_still_counts(serve, origins):
    config = site([one.address for one in origins(5)], pool=STICKY)
    balancer = serve(config)
    old = [cookie_of(balancer) for _ in range(10)]
    file = balancer.folder / RING
    while True:  # another one, that a cookie can tell from the first
        kept = file.read_text()
        file.write_text(f"{secrets.token_urlsafe(32)}\n{kept}")
        if balancer.reload()["ok"]:
            break
        file.write_text(kept)
    new = [cookie_of(balancer) for _ in range(10)]
    known = old + new
    assert homes(balancer, [cookie for cookie, _ in known]) == [body for _, body in known]
    lines = file.read_text().splitlines()
    file.write_text(f"{lines[0]}\n")
    assert balancer.reload()["ok"]
    assert homes(balancer, [cookie for cookie, _ in new]) == [body for _, body in new]
    with balancer.talk() as talk:
        assert all(talk.get("/", f"Cookie: {cookie}").get("set-cookie") for cookie, _ in old)


def refused(serve, prepare, **more):
    """One that must not start: its one line of messages, and its folder."""
    balancer = serve(site(["127.0.0.1:1"], pool=STICKY, **more), ready=False, prepare=prepare)
    assert balancer.wait(60) == 1
    assert balancer.stderr.count("\n") == 1, balancer.stderr
    return balancer.stderr, balancer.folder


@pytest.mark.parametrize(
    ("mode", "text", "why"),
    [
        (0o644, secrets.token_urlsafe(32), "can be read by others (mode 0644); chmod 600 it"),
        (0o600, "hunter2", "a key of 7 characters can be guessed"),
    ],
    ids=["readable", "short"],
)
def test_a_ring_that_is_not_safe_stops_the_start(serve, mode, text, why):
    def prepare(folder):
        (folder / "pylb").mkdir()
        (folder / RING).write_text(f"{text}\n")
        (folder / RING).chmod(mode)

    said, folder = refused(serve, prepare)
    assert f"{folder / RING}" in said
    assert why in said
    assert text not in said


def test_a_named_directory_that_cannot_be_made_stops_the_start(serve, tmp_path):
    (tmp_path / "file").write_text("")
    said, _ = refused(serve, lambda folder: None, state_dir=str(tmp_path / "file"))
    assert f"cannot keep the keys of sticky cookies in {tmp_path}/file: " in said


def test_no_directory_by_default_is_a_warning_and_cookies_of_one_life(serve, origins):
    config = site([one.address for one in origins(3)], pool=STICKY)
    balancer = serve(config, prepare=lambda folder: (folder / "pylb").write_text(""))
    balancer.said("WARNING cannot keep the keys of sticky cookies in .*: set `state_dir` or `keys:`")
    known = [cookie_of(balancer) for _ in range(10)]
    assert balancer.reload()["ok"]
    assert homes(balancer, [cookie for cookie, _ in known]) == [body for _, body in known]


def test_without_sticky_cookies_nothing_is_kept(serve, origins):
    balancer = serve(site([one.address for one in origins(1)]))
    assert not (balancer.folder / RING).exists()


def test_drain_waits_for_sessions_that_may_come_back(serve, origins):
    """Between two of its requests a session looks like nothing, so empty means that its time is over."""
    one, two = origins(2)
    pool = {**STICKY, "drain": {"timeout": "3s"}, "balance": "failover"}
    balancer = serve(site([one.address, two.address], pool=pool))
    cookie, body = cookie_of(balancer)
    assert body == b"a"
    command = balancer.start_command("drain", "app", one.address, "--wait")
    try:
        until("it drains", lambda: balancer.backend("app", one.address)["state"] == "draining")
        assert cookie_of(balancer)[1] == b"b"
        assert homes(balancer, [cookie]) == [b"a"]
        assert command.poll() is None
        assert command.wait(30) == 0
        assert homes(balancer, [cookie]) == [b"b"]
    finally:
        command.kill()
        command.wait()
