"""nginx from Debian: one worker, connections to the backends kept (it keeps none unless told to).

A log buffer, as its documentation advises for busy servers. Answers never go to a temporary file: a client
slower than the backend would otherwise send nginx to the disk, which no careful operator of a fast network
allows. Larger buffers than the default serve large answers with fewer calls; small ones do not pay for them.

TLS sessions are resumed by tickets alone, with no cache beside them. TCP and UDP are the business of its
stream module, which Debian packs apart.
"""

import shutil
import subprocess
from pathlib import Path

from bench.cells import Cell
from bench.peers.peer import Peer, Setting, Start

_FORMAT = (
    '\'{"ts":"$time_iso8601","client":"$remote_addr","method":"$request_method","host":"$http_host",'
    '"path":"$request_uri","status":$status,"bytes_out":$bytes_sent,"seconds":$request_time,'
    '"backend":"$upstream_addr","agent":"$http_user_agent"}\''
)
_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")


def _find() -> str | None:
    return shutil.which("nginx") or shutil.which("/usr/sbin/nginx")


def _lacks(cell: Cell) -> str | None:
    if cell.service in ("http", "https") or _MODULE.is_file() or _has_stream_inside():
        return None
    return "its stream module is missing: apt-get install libnginx-mod-stream"


def _has_stream_inside() -> bool:
    told = subprocess.run([_find() or "nginx", "-V"], capture_output=True, text=True)
    return "--with-stream " in told.stderr


def _configure(program: str, setting: Setting) -> Start:
    folder = setting.folder
    block = _stream(setting) if setting.service in ("tcp", "udp") else _http(setting)
    config = f"""
daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {folder}/nginx.pid;
events {{ worker_connections 16384; }}
{block}
"""
    if setting.service in ("tcp", "udp") and not _has_stream_inside():
        config = f"load_module {_MODULE};\n{config}"
    path = setting.write("nginx.conf", config)
    return Start([program, "-p", str(folder), "-e", str(folder / "error.log"), "-c", path], setting.log)


def _http(setting: Setting) -> str:
    access_log = f"{setting.log} json buffer=64k flush=1s" if setting.access_log else "off"
    servers = " ".join(f"server 127.0.0.1:{port};" for port in setting.backends)
    kinds = ("proxy", "client_body", "fastcgi", "uwsgi", "scgi")
    temporary = "\n".join(f"  {kind}_temp_path {setting.folder}/{kind};" for kind in kinds)
    return f"""http {{
{temporary}
  log_format json escape=json {_FORMAT};
  access_log {access_log};
  keepalive_requests 1000000000;
  keepalive_timeout 300s;
  upstream origin {{ {servers} keepalive 1024; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{setting.port} backlog=4096;
{_tls(setting)}
    location / {{
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_max_temp_file_size 0;
      proxy_buffers 8 64k;
      proxy_busy_buffers_size 128k;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Request-ID $request_id;
    }}
  }}
}}"""


def _tls(setting: Setting) -> str:
    if setting.certificate is None:
        return ""
    return f"""
    listen 127.0.0.1:{setting.tls_port} ssl backlog=4096;
    ssl_certificate {setting.certificate.cert};
    ssl_certificate_key {setting.certificate.key};
    ssl_protocols TLSv1.3;
    ssl_ecdh_curve X25519;
    ssl_session_tickets on;
    ssl_session_cache off;"""


def _stream(setting: Setting) -> str:
    servers = " ".join(f"server 127.0.0.1:{port};" for port in setting.backends)
    listen = "udp" if setting.service == "udp" else "backlog=4096"
    return f"""stream {{
  upstream origin {{ {servers} }}
  server {{
    listen 127.0.0.1:{setting.port} {listen};
    proxy_pass origin;
    proxy_timeout 60s;
    proxy_buffer_size 64k;
  }}
}}"""


PEER = Peer(
    "nginx",
    "apt-get install nginx",
    _find,
    _configure,
    version_option="-v",
    reference=True,
    services=("http", "https", "tcp", "udp"),
    lacks=_lacks,
)
