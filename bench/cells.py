"""What is measured, and the bars that pylb must hold: one list, read by the runs and by the verdicts alike.

A bar is a ratio, of pylb's cost to that of the cheapest of the peers that the cell names (`against`; all
reference peers where it names none) in the same run. Two are absolute: memory, in KiB of an idle connection,
and the wait that a flood adds, in ms, which must also be less than any of those peers adds.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

Service = Literal["http", "https", "tcp", "udp"]
"""What a proxy is set up for. With https it serves clear HTTP too, on a port of its own."""

Rule = Literal["ratio", "absolute", "rise"]
"""How a bar is read: a ratio, or a number in the cell's unit; a rise must be below the peers' besides."""

# With Host, which wrk sends itself, eleven fields and about 700 bytes: what a browser sends for a page.
BROWSER = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Referer: https://shop.example/products/garden?page=2&sort=price&stock=any&maker=all",
    "Cookie: session=7f3c9e0a1b5d4c8e9f20a6b7c8d9e0f1; theme=dark; lang=en; "
    "visitor=GA1.2.1838273645.1719400000; consent=eyJhbmFseXRpY3MiOmZhbHNlLCJhZHMiOmZhbHNlfQ",
    "Cache-Control: max-age=0",
    "Upgrade-Insecure-Requests: 1",
    "Sec-Fetch-Site: same-origin",
    "Sec-Fetch-Mode: navigate",
)
_CLOSE = ("Connection: close",)


# The proxies whose handshakes count: as Debian and the wheel build them, with OpenSSL.
_OPENSSL = ("nginx", "haproxy", "haproxy-wheel")


@dataclass(frozen=True)
class Measured:
    """What every cell has. Only a cell of long streams counts by GiB."""

    name: str
    title: str
    bar: float = field(kw_only=True)
    against: tuple[str, ...] = field(default=(), kw_only=True)
    service: Service = field(default="http", kw_only=True)
    access_log: bool = field(default=False, kw_only=True)
    per_gib: bool = field(default=False, kw_only=True)
    rule: ClassVar[Rule] = "ratio"

    @property
    def unit(self) -> str:
        """What the cost is counted in."""
        return "CPU ms per GiB" if self.per_gib else f"CPU us per {self._work}"

    _work: ClassVar[str] = "request"


@dataclass(frozen=True)
class Load(Measured):
    """wrk asks for `path` over `connections`; the cost is CPU time per request, or per GiB of answers."""

    path: str
    connections: int
    heads: tuple[str, ...] = ()


@dataclass(frozen=True)
class Handshakes(Measured):
    """TLS 1.3 handshakes, so many at a time, on new connections; with `resume`, by a ticket of one before."""

    connections: int
    resume: bool
    _work = "handshake"


@dataclass(frozen=True)
class Relay(Measured):
    """Clients and servers that know no HTTP; the cost is CPU time per echo (there and back), or per GiB."""

    server: Literal["echo", "stream", "echo-udp"]
    client: tuple[str, ...]
    _work = "echo"


@dataclass(frozen=True)
class Idle(Measured):
    """`connections` keep-alive clients have asked once and hold still; the cost is memory of each, in KiB."""

    connections: int
    rule = "absolute"

    @property
    def unit(self) -> str:
        return "KiB per idle connection"


@dataclass(frozen=True)
class Flood(Measured):
    """Clear requests at a fixed rate, alone and beside all the handshakes that a core of clients can make.

    The cost is by how much the wait of the slowest hundredth of requests (p99) grows.
    """

    per_second: int
    handshakes: int
    rule = "rise"

    @property
    def unit(self) -> str:
        return "ms of p99 added"


Cell = Load | Idle | Handshakes | Relay | Flood

CELLS: tuple[Cell, ...] = (
    Load("small-64", "64-byte answers, small heads, 64 connections", "/64", 64, bar=0.80),
    Load("small-512", "64-byte answers, small heads, 512 connections", "/64", 512, bar=0.80),
    Load(
        "browser-64",
        "64-byte answers, browser-like heads, 64 connections",
        "/64",
        64,
        bar=0.78,
        heads=BROWSER,
    ),
    Load("16k-64", "16 KiB answers, 64 connections", "/16k", 64, bar=0.90),
    Load("1m-16", "1 MiB answers, 16 connections", "/1m", 16, bar=1.00, per_gib=True),
    Load("new-64", "a new connection per request, 64 at a time", "/64", 64, bar=0.95, heads=_CLOSE),
    Load(
        "log-64",
        "64-byte answers, JSON access log to a file, 64 connections",
        "/64",
        64,
        bar=0.85,
        access_log=True,
    ),
    Idle("idle-5000", "5,000 idle keep-alive connections", 5000, bar=1.1),
    Handshakes(
        "tls-full",
        "full TLS 1.3 handshakes, ECDSA P-256",
        64,
        resume=False,
        bar=0.60,
        against=_OPENSSL,
        service="https",
    ),
    Handshakes(
        "tls-resumed",
        "resumed TLS 1.3 handshakes",
        64,
        resume=True,
        bar=0.90,
        against=_OPENSSL,
        service="https",
    ),
    Load("https-64", "64-byte answers over TLS 1.3, 64 connections", "/64", 64, bar=0.78, service="https"),
    Relay(
        "tcp-bulk",
        "TCP relay of long streams, 16 connections",
        "stream",
        ("drain", "--connections", "16"),
        bar=1.00,
        against=("haproxy", "haproxy-wheel"),
        service="tcp",
        per_gib=True,
    ),
    Relay(
        "tcp-echo",
        "TCP relay of 256-byte messages, 64 connections",
        "echo",
        ("ask", "--connections", "64"),
        bar=1.05,
        against=("floor",),
        service="tcp",
    ),
    Relay(
        "udp-echo",
        "UDP relay of 256-byte datagrams, 1,000 flows",
        "echo-udp",
        ("ask-udp", "--flows", "1000", "--window", "128"),
        bar=1 / 1.5,
        against=("nginx",),
        service="udp",
    ),
    Idle("idle-tls-5000", "5,000 idle TLS connections", 5000, bar=12.0, service="https"),
    Flood(
        "flood",
        "clear HTTP beside a flood of TLS handshakes",
        per_second=2000,
        handshakes=256,
        bar=2.0,
        against=_OPENSSL,
        service="https",
    ),
)
