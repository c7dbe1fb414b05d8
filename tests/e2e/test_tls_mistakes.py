"""Keys, certificates and authorities that cannot be used: refused by check, at the start and at a reload,
with the file and the reason, and nothing is changed."""

import json
import os
import re
from datetime import timedelta
from typing import Any

from .balancer import pylb, site

HOUR = timedelta(hours=1)
MORTAL = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
"""What takes the right to read everything away from root."""


def secure(one, cert, key, *, ca=None, pool_ca=None):
    """A site over TLS whose files may be wrong."""
    tls: dict[str, Any] = {"certificates": [{"cert": str(cert), "key": str(key)}]}
    if ca is not None:
        tls["client_auth"] = {"mode": "require", "ca": str(ca)}
    pool = {} if pool_ca is None else {"tls": {"ca": str(pool_ca)}}
    return site([one], listener={"tls": tls}, pool=pool)


def wrong(one, authority, folder):
    """What can be wrong: the configuration, the file that is to blame, and words of the reason."""
    good = authority.issue("shop.example")

    def file(name: str, text: str):
        written = folder / f"{name}.pem"
        written.write_text(text)
        return written

    nothing = folder / "nothing.pem"
    garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    expired, other = authority.issue("shop.example", ends=-HOUR), authority.issue("shop.example")
    certificates = {
        nothing: "No such file",
        folder: "directory|folder",
        file("garbage", garbage): "certificate",
        file("text", "to be done\n"): "PEM",
        file("empty", ""): "empty",
        good.key: "key",
    }
    keys = {
        nothing: "No such file",
        file("no-key", garbage.replace("CERTIFICATE", "PRIVATE KEY")): "key",
        good.cert: "key",
        other.key: "match|belong",
    }
    authorities = {
        nothing: "No such file",
        file("no-authority", garbage): "certificate|authorit",
        file("empty-authority", ""): "empty",
    }
    pools = {nothing: "No such file", file("no-pool-authority", "to be done\n"): "PEM"}
    return [
        *((secure(one, cert, good.key), cert, words) for cert, words in certificates.items()),
        *((secure(one, good.cert, key), key, words) for key, words in keys.items()),
        (secure(one, expired.cert, expired.key), expired.cert, "expired"),
        *((secure(one, good.cert, good.key, ca=ca), ca, words) for ca, words in authorities.items()),
        *((secure(one, good.cert, good.key, pool_ca=ca), ca, words) for ca, words in pools.items()),
    ]


def explained(text: str, file, words: str) -> None:
    """One mistake, with its place, the file and the reason; nothing of the contents."""
    found = [line for line in text.splitlines() if re.search(r"pylb\.yaml:\d+:\d+: ", line)]
    assert len(found) == 1, text
    assert file.name in text, text
    assert re.search(words, text), text
    assert "Traceback" not in text
    assert "AAAA" not in text
    assert "to be done" not in text


def check(folder, config):
    """`pylb check` of a configuration."""
    from yaml import safe_dump

    (folder / "pylb.yaml").write_text(safe_dump(config))
    return pylb("check", "pylb.yaml", cwd=folder)


def test_check_says_which_file_and_why(authority, tmp_path):
    """All of it at once: a listener and a pool for each that is wrong."""
    cases = wrong("127.0.0.1:9", authority, tmp_path)
    whole = site([])
    whole["listeners"], whole["pools"] = {}, {}
    for number, (config, _, _) in enumerate(cases):
        whole["pools"][f"app-{number}"] = config["pools"]["app"]
        whole["listeners"][f"web-{number}"] = {
            **config["listeners"]["web"],
            "routes": [{"pool": f"app-{number}"}],
        }
    told = check(tmp_path, whole)
    assert told.returncode == 3
    text = told.stdout + told.stderr
    lines = [line for line in text.splitlines() if re.search(r"pylb\.yaml:\d+:\d+: error", line)]
    for _, file, words in cases:
        assert any(file.name in line and re.search(words, line) for line in lines), (file, words, text)
    assert len(lines) == len(cases), text
    assert "AAAA" not in text
    assert "to be done" not in text


def test_the_start_says_the_same(serve, authority, tmp_path):
    config, file, words = wrong("127.0.0.1:9", authority, tmp_path)[0]
    refused = serve(config, ready=False)
    assert refused.wait() == 3
    explained(refused.stderr, file, words)


def test_a_reload_says_the_same_and_changes_nothing(serve, origin, authority, tmp_path):
    one = origin(name="one")
    good = authority.issue("shop.example")
    config = secure(one.address, good.cert, good.key)
    balancer = serve(config)
    with balancer.talk(tls=authority.client(), name="shop.example") as kept:
        assert kept.get().status == 200
        for bad, file, words in wrong(one.address, authority, tmp_path):
            bad["listeners"]["web"]["bind"] = config["listeners"]["web"]["bind"]
            balancer.file.write_text(json.dumps(bad))
            outcome = balancer.reload()
            assert not outcome["ok"], file
            explained(outcome["text"], file, words)
            assert kept.get().status == 200
        with balancer.talk(tls=authority.client(), name="shop.example") as new:
            assert new.get().status == 200
        assert balancer.status()["generation"] == 1


def test_a_key_that_may_not_be_read(serve, origin, authority):
    """At a reload, and at the start, of a pylb that may read only what is its own."""
    good, closed = authority.issue("shop.example"), authority.issue("shop.example")
    closed.key.chmod(0)
    one = origin(name="one").address
    config, bad = secure(one, good.cert, good.key), secure(one, closed.cert, closed.key)
    wrapper = MORTAL if os.getuid() == 0 else ()
    balancer = serve(config, wrapper=wrapper)
    balancer.file.write_text(json.dumps(bad))
    outcome = balancer.reload()
    assert not outcome["ok"]
    explained(outcome["text"], closed.key, "[Pp]ermission")
    refused = serve(bad, ready=False, wrapper=wrapper)
    assert refused.wait() == 3
    explained(refused.stderr, closed.key, "[Pp]ermission")


def test_a_certificate_that_expires_soon_is_a_warning(authority, tmp_path):
    """Not yet valid is none of these: clocks differ, and it will be."""
    soon = authority.issue("a.example", ends=2 * HOUR)
    told = check(tmp_path, site(["127.0.0.1:9"], listener={"tls": {"certificates": [soon.files]}}))
    assert told.returncode == 0, told.stdout + told.stderr
