"""Cookies that nobody was given here: never honoured, never an address, never an error."""

import base64
import random
import struct
from collections import Counter

import pytest

from .sessions import OTHER_KEY, new_sessions, sticky, visit, with_backends


def strangers(genuine: str, foreign: list[str], removed: list[str]) -> list[str]:
    """Values that nobody has ever been given here, seeded."""
    chance = random.Random(7)
    number, minute, _ = struct.unpack(">BIQ", base64.urlsafe_b64decode(genuine + "=="))

    def token(number: int, minute: int, key: int) -> str:
        raw = struct.pack(">BIQ", number, minute, key)
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    made = [token(number, minute, chance.getrandbits(64)) for _ in range(1000)]
    made += [token(chance.randrange(256), chance.getrandbits(32), chance.getrandbits(64)) for _ in range(500)]
    made += [token(number, minute, small) for small in range(50)]
    made += [
        "127.0.0.1:22",
        "localhost:22",
        "",
        "0",
        "a" * 4096,
        genuine + "A",
        genuine[:-1],
        genuine.swapcase(),
    ]
    made += ["%00", "../../etc/passwd", '"' + genuine, "=" * 18, "\xff" * 18, genuine[:9] + " " + genuine[9:]]
    made += [
        "".join(chr(chance.randrange(0x21, 0x7F)) for _ in range(chance.randrange(1, 64))) for _ in range(500)
    ]
    return made + foreign + removed


def test_no_stranger_is_honoured(serve, origins):
    """Whatever the value, the client is new: turns go on as if it had said nothing, and it gets a cookie."""
    backends = origins(5)
    config = {**sticky(backends), "workers": 1}
    balancer = serve(config)
    foreign = serve(sticky(backends, cookie="pylb", keys=[OTHER_KEY]))
    value = len("pylb=")
    with balancer.talk() as talk, foreign.talk() as there:
        abroad = {cookie[value:] for cookie, _ in new_sessions(there, 100)}
        removed = {cookie[value:] for cookie, name in new_sessions(talk, 20) if name == "e"}
        balancer.load(with_backends(config, backends[:4]))
        genuine = (visit(talk)[1] or "")[value:]
        turns = []
        for stranger in strangers(genuine, sorted(abroad), sorted(removed)):
            answer = talk.get("/", f"Cookie: pylb={stranger}")
            assert answer.status == 200, stranger
            assert answer.get("set-cookie"), stranger
            turns.append(answer.body.decode())
    rounds = list(zip(*[iter(turns)] * 4, strict=False))
    assert all(len(set(each)) == 4 for each in rounds), "strict turns: nobody had any influence"


@pytest.mark.soak
def test_ten_thousand_strangers(serve, origins):
    """Under load from many connections: each gets an answer and a cookie of its own, and evenly by turns."""
    backends = origins(5)
    balancer = serve(sticky(backends))
    with balancer.talk() as talk:
        genuine = (visit(talk)[1] or "").removeprefix("pylb=")
        seen: Counter[str] = Counter()
        for stranger in strangers(genuine, [], []) * 5:
            answer = talk.get("/", f"Cookie: pylb={stranger}")
            assert (answer.status, bool(answer.get("set-cookie"))) == (200, True), stranger
            seen[answer.body.decode()] += 1
    assert max(seen.values()) - min(seen.values()) <= 1
