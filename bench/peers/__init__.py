"""The proxies that are compared, each in a file of its own with the best honest settings we know for it.

The same for all: one worker, keep-alive to clients and backends with room for 512 connections to each
backend, HTTP/1.1 to the backends, round robin over two of them, X-Forwarded-For, -Proto, -Host and a fresh
X-Request-ID set, requests per connection not limited to what would show, access log off or, in one cell, JSON
to a file with about the same members. TLS is 1.3 only, with X25519 and tickets, and the same certificate.
"""

from bench.peers import caddy, envoy, floor, haproxy, nginx, pylb
from bench.peers.peer import Peer, Setting, Start
from bench.peers.pylb import before

__all__ = ["PEERS", "QUICK", "Peer", "Setting", "Start", "before"]

PEERS: tuple[Peer, ...] = (
    pylb.PEER,
    pylb.ROUTES,
    floor.PEER,
    nginx.PEER,
    haproxy.DEBIAN,
    haproxy.WHEEL,
    haproxy.SPLICE,
    envoy.PEER,
    caddy.PEER,
)

# Enough for a smoke test: pylb, the floor, and three peers of different make.
QUICK = ("pylb", "floor", "nginx", "haproxy", "envoy")
