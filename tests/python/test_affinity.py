"""Keys of sticky cookies: what they compute, which are refused, and how a ring is kept."""

import base64
import hmac
import os
import secrets
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pylb import affinity
from pylb.affinity import KeyRing, ids, number, ring
from pylb.errors import PylbError

BACKENDS = ["10.0.0.1:9001", "[::1]:9001", "unix:/run/app.sock"]
ONE, TWO = b"a" * 32, b"b" * 32


def test_an_id_is_the_head_of_an_hmac_over_pool_and_backend() -> None:
    (entry,) = ids("web", BACKENDS, [ONE])
    assert entry["number"] == number(ONE) == affinity.sha256(ONE).digest()[0]
    expected = [hmac.digest(ONE, b"web\0" + name.encode(), "sha256")[:8].hex() for name in BACKENDS]
    assert entry["ids"] == expected


def test_every_key_has_an_entry_in_the_order_of_the_ring() -> None:
    assert [entry["number"] for entry in ids("web", BACKENDS, [TWO, ONE])] == [number(TWO), number(ONE)]


def test_an_id_depends_on_pool_backend_and_key_and_on_nothing_else() -> None:
    both = [entry for pool in ("web", "api") for entry in ids(pool, BACKENDS, [ONE, TWO])]
    found = {id for entry in both for id in entry["ids"]}
    assert len(found) == 2 * 2 * 3
    (alone,) = ids("web", BACKENDS[1:2], [ONE])
    assert alone["ids"][0] == ids("web", BACKENDS, [ONE])[0]["ids"][1]


@given(st.binary(min_size=32, max_size=32))
def test_random_keys_are_accepted_in_every_usual_writing(raw: bytes) -> None:
    assume(len({raw[at : at + 2] for at in range(31)}) > 27)  # else chance played a trick
    urlsafe = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    for text in (raw.hex(), base64.b64encode(raw).decode(), urlsafe):
        assert affinity.key(f" {text}\n") == text.encode()


@pytest.mark.parametrize(
    "text", ["", "secret", "a" * 64, "password" * 8, "0123456789abcdef" * 4, secrets.token_hex(16), "key1"]
)
def test_keys_that_can_be_guessed_are_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="can be guessed; make one with `openssl") as refused:
        affinity.key(text)
    assert not text or text not in str(refused.value)


def two_of_a_number() -> tuple[str, str]:
    seen: dict[int, str] = {}
    while True:
        text = secrets.token_urlsafe(32)
        other = seen.setdefault(number(text.encode()), text)
        if other != text:
            return other, text


def test_a_ring_is_of_keys_that_a_cookie_can_tell_apart() -> None:
    one, two = two_of_a_number()
    with pytest.raises(ValueError, match="could not tell keys 1 and 2 apart"):
        ring([one, two])
    with pytest.raises(ValueError, match="keys 1 and 2 are the same"):
        ring([one, one])
    with pytest.raises(ValueError, match="there is no key"):
        ring([])
    assert ring([one]) == (one.encode(),)


def test_the_first_start_makes_a_ring_that_later_ones_read(tmp_path: Path) -> None:
    kept = KeyRing({}).kept(str(tmp_path / "state"))
    file = tmp_path / "state" / affinity.NAME
    assert kept.warning is None
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert os.listdir(file.parent) == [affinity.NAME]
    assert KeyRing({}).kept(str(tmp_path / "state")) == kept
    assert len(kept.keys) == 1


def unlike(key: bytes) -> str:
    """A key with another number."""
    return next(new for new in iter(affinity._fresh, "") if number(new.encode()) != number(key))


def test_rotation_is_a_line_on_top(tmp_path: Path) -> None:
    ring = KeyRing({"XDG_STATE_HOME": str(tmp_path)})
    (old,) = ring.kept(None).keys
    file = tmp_path / "pylb" / affinity.NAME
    new = unlike(old)
    file.write_text(f"{new}\n{file.read_text()}")
    assert ring.kept(None).keys == (new.encode(), old)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o606, 0o620])
def test_a_ring_that_others_can_touch_is_refused(tmp_path: Path, mode: int) -> None:
    KeyRing({}).kept(str(tmp_path))
    (tmp_path / affinity.NAME).chmod(mode)
    with pytest.raises(PylbError, match=rf"can be read by others \(mode {mode:04o}\); chmod 600"):
        KeyRing({}).kept(str(tmp_path))


def test_a_spoilt_ring_says_which_file_and_not_what_is_in_it(tmp_path: Path) -> None:
    KeyRing({}).kept(str(tmp_path))
    file = tmp_path / affinity.NAME
    file.write_text("hunter2\n")
    with pytest.raises(PylbError, match="can be guessed") as refused:
        KeyRing({}).kept(str(tmp_path))
    assert str(file) in str(refused.value)
    assert "hunter2" not in str(refused.value)
    file.write_text("# nothing\n\n")
    with pytest.raises(PylbError, match="there is no key"):
        KeyRing({}).kept(str(tmp_path))


def test_a_named_directory_that_cannot_hold_it_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PylbError, match=r"cannot keep .* Not a directory; make it writable, or give `keys:`"):
        KeyRing({}).kept(str(tmp_path / "file" / "state"))


def test_nowhere_to_write_by_default_is_one_ring_for_this_process_and_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ring = KeyRing({"XDG_STATE_HOME": str(tmp_path / "file")})
    kept = ring.kept(None)
    assert kept.warning is not None
    assert "clients lose their backend at a restart" in kept.warning
    assert ring.kept(None) == kept
    assert KeyRing({"XDG_STATE_HOME": str(tmp_path / "file")}).kept(None).keys != kept.keys


def keys_of(folder: str) -> tuple[bytes, ...]:
    return KeyRing({}).kept(folder).keys


def test_many_that_start_at_once_agree(tmp_path: Path) -> None:
    with get_context("fork").Pool(4) as pool:
        found = pool.map(keys_of, [str(tmp_path)] * 16)
    assert len(set(found)) == 1
    assert os.listdir(tmp_path) == [affinity.NAME]
