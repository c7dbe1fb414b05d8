"""What is measured, and the bars that pylb must hold: one list, read by the runs and by the verdicts alike.

A bar of a load cell is a ratio: pylb's CPU time over that of the best reference peer in the same run. The bar
of the idle cell is absolute, in KiB of process memory per connection.
"""

from dataclasses import dataclass

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


@dataclass(frozen=True)
class Load:
    """wrk asks for `path` over `connections`; the cost is CPU time per request, or per GiB of answers."""

    name: str
    title: str
    path: str
    connections: int
    bar: float
    heads: tuple[str, ...] = ()
    access_log: bool = False
    per_gib: bool = False

    @property
    def unit(self) -> str:
        return "CPU ms per GiB" if self.per_gib else "CPU us per request"


@dataclass(frozen=True)
class Idle:
    """`connections` keep-alive clients have asked once and hold still; the cost is memory of each, in KiB."""

    name: str
    title: str
    connections: int
    bar: float
    unit: str = "KiB per idle connection"
    access_log: bool = False


Cell = Load | Idle

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
)
