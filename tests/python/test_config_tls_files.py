"""Which files TLS is configured with, what is in them, and what is said of those of no use."""

import os
import ssl
from pathlib import Path

import pytest
from pylb.config import Config, parse
from pylb.config.tls_files import SYSTEM, internal, internal_files, internal_folder, named, read

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"

MANY = """\
listeners:
  web:
    bind: 127.0.0.1:8443
    tls:
      certificates:
        - {cert: a.pem, key: a.key}
        - {cert: both.pem, key: both.pem, client_auth: {ca: clients.pem}}
        - {cert: a.pem, key: a.key, client_auth: {mode: none, ca: nobody.pem}}
      client_auth: {ca: clients.pem}
    routes: [{pool: web}]
  db: {bind: 127.0.0.1:5432, protocol: tcp, tls: {certificates: [{cert: db.pem, key: db.key}]}, pool: db}
  plain: {bind: 127.0.0.1:53, protocol: udp, pool: plain}
pools:
  web: {backends: [127.0.0.1:1], tls: {ca: ca.pem, cert: c.pem, key: c.key}}
  db: {backends: [127.0.0.1:1], tls: true}
  unverified: {backends: [127.0.0.1:1], tls: {verify: false}}
  plain: {backends: [127.0.0.1:1]}
"""

INTERNAL = """\
listeners:
  web:
    bind: ["192.0.2.7:443", ":8443", "unix:x.sock"]
    tls: {certificates: internal}
    routes: [{match: {host: Shop.example}, pool: p}, {match: {host: "[2001:db8::1]"}, pool: p}, {pool: p}]
  edge:
    bind: ":444"
    protocol: tls
    routes: [{match: {sni: "*.shop.example"}, terminate: web}, {match: {sni: db.example}, terminate: db}]
  db: {bind: "127.0.0.1:5432", protocol: tcp, tls: {certificates: internal}, pool: p}
  files: {bind: ":445", protocol: tcp, tls: {certificates: [{cert: a.pem, key: a.key}]}, pool: p}
pools: {p: {backends: [127.0.0.1:1]}}
"""


def config(text: str, folder: Path) -> Config:
    return parse(text, file=folder / "pylb.yaml", environ={})


def test_every_place_that_names_a_file(tmp_path: Path) -> None:
    places = named(config(MANY, tmp_path).model)
    found = [(".".join(map(str, place.path)), place.file.removeprefix(f"{tmp_path}/")) for place in places]
    assert found == [
        ("listeners.web.tls.certificates.0.cert", "a.pem"),
        ("listeners.web.tls.certificates.0.key", "a.key"),
        ("listeners.web.tls.certificates.1.cert", "both.pem"),
        ("listeners.web.tls.certificates.1.key", "both.pem"),
        ("listeners.web.tls.certificates.1.client_auth.ca", "clients.pem"),
        ("listeners.web.tls.certificates.2.cert", "a.pem"),
        ("listeners.web.tls.certificates.2.key", "a.key"),
        ("listeners.web.tls.client_auth.ca", "clients.pem"),
        ("listeners.db.tls.certificates.0.cert", "db.pem"),
        ("listeners.db.tls.certificates.0.key", "db.key"),
        ("pools.web.tls.ca", "ca.pem"),
        ("pools.web.tls.cert", "c.pem"),
        ("pools.web.tls.key", "c.key"),
        ("pools.db.tls", SYSTEM),
    ]


def test_files_to_watch_are_each_there_once_and_are_none_of_the_configuration(tmp_path: Path) -> None:
    loaded = config(MANY, tmp_path)
    names = [file.name for file in loaded.certificates]
    assert names == [
        "a.pem",
        "a.key",
        "both.pem",
        "clients.pem",
        "db.pem",
        "db.key",
        "ca.pem",
        "c.pem",
        "c.key",
    ]
    assert not set(loaded.certificates) & set(loaded.files)


def test_contents_have_the_names_of_the_draft(tmp_path: Path) -> None:
    for name in ("a.pem", "clients.pem", "db.pem", "ca.pem", "c.pem"):
        (tmp_path / name).write_text(CERTIFICATE)
    for name in ("a.key", "db.key", "c.key"):
        (tmp_path / name).write_text(KEY)
    (tmp_path / "both.pem").write_text(CERTIFICATE + KEY)
    loaded = config(MANY, tmp_path)
    contents = loaded.contents()
    assert contents.unusable == ()
    assert contents.files[str(tmp_path / "both.pem")] == (CERTIFICATE + KEY).encode()
    assert set(contents.files) == {*map(str, loaded.certificates), SYSTEM}
    assert loaded.drafted()[1] == []


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.pem", None, "cannot read {}: No such file or directory"),
        ("a.pem", " ", "{} is empty"),
        ("a.pem", KEY, "{} holds a private key, not a certificate"),
        ("a.key", CERTIFICATE, "{} holds a certificate, not a private key"),
        ("a.key", "\x30\x01", "{} is not PEM"),
        ("a.key", KEY.replace("PRIVATE", "ENCRYPTED PRIVATE"), "the key in {} has a password"),
    ],
)
def test_a_file_of_no_use_is_said_at_its_place_with_what_to_do(
    name: str, text: str | None, said: str, tmp_path: Path
) -> None:
    (tmp_path / "a.pem").write_text(CERTIFICATE)
    (tmp_path / "a.key").write_text(KEY)
    if text is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(text)
    tls = "{certificates: [{cert: a.pem, key: a.key}]}"
    one = f"listeners: {{a: {{bind: ':1', tls: {tls}, routes: [{{pool: p}}]}}}}\n"
    loaded = config(one + "pools: {p: {backends: ['127.0.0.1:1']}}", tmp_path)
    (mistake,) = loaded.drafted()[1]
    assert mistake.message == said.format(tmp_path / name)
    assert mistake.hint
    assert mistake.path[-1] == name.replace("a.pem", "cert").replace("a.key", "key")
    assert mistake.line == 1


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.pem")
    first = read(named(config(MANY, tmp_path).model)).unusable[0]
    assert first.message == f"{tmp_path / 'a.pem'} is no regular file"


def test_what_the_system_trusts_is_what_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "roots.pem").write_text(CERTIFICATE)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "roots.pem"))
    places = [place for place in named(config(MANY, tmp_path).model) if place.file == SYSTEM]
    assert read(places).files == {SYSTEM: CERTIFICATE.encode()}
    monkeypatch.delenv("SSL_CERT_FILE")
    if Path(ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt").exists():
        assert read(places).files[SYSTEM].count(b"-----BEGIN CERTIFICATE-----") > 10


def test_certificates_that_pylb_makes_are_for_all_that_clients_ask_for(tmp_path: Path) -> None:
    always = ("localhost", "127.0.0.1", "::1")
    assert internal(config(INTERNAL, tmp_path).model) == {
        "web": (*always, "shop.example", "2001:db8::1", "*.shop.example", "192.0.2.7"),
        "db": (*always, "db.example"),
    }


def test_they_are_kept_in_the_state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = config(f"{INTERNAL}state_dir: state\n", tmp_path).model
    assert internal_folder(given) == tmp_path / "state/internal"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    usual = config(INTERNAL, tmp_path).model
    folder = tmp_path / "xdg/pylb/internal/listeners"
    assert internal_files(usual, "web") == (str(folder / "web.pem"), str(folder / "web.key"))
