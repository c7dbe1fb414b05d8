"""nginx from Debian: one worker, connections to the backends kept (it keeps none unless told to).

A log buffer, as its documentation advises for busy servers. Answers never go to a temporary file: a client
slower than the backend would otherwise send nginx to the disk, which no careful operator of a fast network
allows. Larger buffers than the default serve large answers with fewer calls; small ones do not pay for them.
"""

import shutil

from bench.peers.peer import Peer, Setting, Start

_FORMAT = (
    '\'{"ts":"$time_iso8601","client":"$remote_addr","method":"$request_method","host":"$http_host",'
    '"path":"$request_uri","status":$status,"bytes_out":$bytes_sent,"seconds":$request_time,'
    '"backend":"$upstream_addr","agent":"$http_user_agent"}\''
)


def _find() -> str | None:
    return shutil.which("nginx") or shutil.which("/usr/sbin/nginx")


def _configure(program: str, setting: Setting) -> Start:
    folder = setting.folder
    access_log = f"{setting.log} json buffer=64k flush=1s" if setting.access_log else "off"
    servers = " ".join(f"server 127.0.0.1:{port};" for port in setting.backends)
    kinds = ("proxy", "client_body", "fastcgi", "uwsgi", "scgi")
    temporary = "\n".join(f"  {kind}_temp_path {folder}/{kind};" for kind in kinds)
    config = f"""
daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {folder}/nginx.pid;
events {{ worker_connections 16384; }}
http {{
{temporary}
  log_format json escape=json {_FORMAT};
  access_log {access_log};
  keepalive_requests 1000000000;
  keepalive_timeout 300s;
  upstream origin {{ {servers} keepalive 1024; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{setting.port} backlog=4096;
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
}}
"""
    path = setting.write("nginx.conf", config)
    return Start([program, "-p", str(folder), "-e", str(folder / "error.log"), "-c", path], setting.log)


PEER = Peer("nginx", "apt-get install nginx", _find, _configure, version_option="-v", reference=True)
