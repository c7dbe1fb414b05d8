"""A listener as a draft has it: flat, with every key of every protocol; what its own does not have is null,
or the default of http."""

from functools import cache
from typing import Any

from pylb.config.http import HttpListener
from pylb.config.listeners import Listener, NamesListener, TcpListener, UdpListener
from pylb.config.route_draft import route_draft
from pylb.config.scalar import milliseconds
from pylb.config.sni import NameRoute
from pylb.config.tls_draft import Pair, listener_tls

HELLO = 5000
"""Milliseconds for what tells a protocol: a PROXY header, the first message of TLS."""


def listener_draft(listener: Listener, made: Pair) -> dict[str, Any]:
    """`made` is where its certificate is, if pylb makes it."""
    draft = {
        "bind": list(listener.bind),
        "protocol": listener.protocol,
        "proxy_protocol": None,
        "tls": None,
        "redirect_https": None,
        "pool": None,
        "udp": None,
        "names": [],
        "access_log": listener.access_log == "on",
        **_http(listener if isinstance(listener, HttpListener) else _defaults()),
    }
    if isinstance(listener, UdpListener):
        udp = listener.udp
        flows = {**milliseconds({"idle": udp.idle}), "replies": udp.replies, "flows": udp.flows}
        return {**draft, "pool": listener.pool, "udp": flows}
    if listener.proxy_protocol is not None:
        draft["proxy_protocol"] = {"from": list(listener.proxy_protocol)}
    if isinstance(listener, NamesListener):
        return {**draft, "names": [_name(route) for route in listener.routes]}
    if listener.tls is not None:
        draft["tls"] = listener_tls(listener.tls, made)
    if isinstance(listener, TcpListener):
        times = {**draft["timeouts"], **milliseconds(listener.timeouts.model_dump())}
        return {**draft, "pool": listener.pool, "timeouts": times}
    return draft


@cache
def _defaults() -> HttpListener:
    return HttpListener.model_validate({"bind": ":0"})


def _http(listener: HttpListener) -> dict[str, Any]:
    return {
        "redirect_https": listener.redirect_https,
        "trusted_proxies": list(listener.trusted_proxies),
        "timeouts": {**milliseconds(listener.timeouts.model_dump()), "hello": HELLO},
        "limits": listener.limits.model_dump(),
        "lenient": listener.lenient,
        "encoded_slash": listener.encoded_slash,
        "half_close": listener.half_close,
        "path": listener.path,
        "routes": [route_draft(route) for route in listener.routes],
    }


def _name(route: NameRoute) -> dict[str, Any]:
    return {
        "name": route.name,
        "match": {"sni": route.match.sni, "alpn": list(route.match.alpn or ())},
        "pool": route.pool,
        "terminate": route.terminate,
    }
