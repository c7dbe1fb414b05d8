"""Texts with a form of their own: names, hosts, paths, header fields, statuses.

A form is checked here as far as the text alone can show; what needs the rest of the file (does this pool
exist?) is for cross to find.
"""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PlainValidator, ValidationInfo, WithJsonSchema

from pylb.config.wording import Kind, shown, wrong

HOST = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*")
"""A host name in lower case, perhaps with a wildcard in front."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE")
_STATUS = re.compile(r"([1-5]\d\d)(?:-([1-5]\d\d))?")


@dataclass(frozen=True, slots=True)
class Statuses:
    """A range of HTTP statuses, both ends included: `200 in Statuses(200, 399)`."""

    first: int
    last: int

    def __contains__(self, status: int) -> bool:
        return self.first <= status <= self.last


def name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise wrong(f"{shown(value)} is not a name", "use letters, digits, and _ . - (at most 64 of them)")
    return value


def token(value: str) -> str:
    """A header field or cookie name (RFC 9110 section 5.6.2), in lower case."""
    if not _TOKEN.fullmatch(value):
        raise wrong(f"{shown(value)} is not a name of a header field or cookie", "write for example x-user")
    return value.lower()


def cookie(value: str) -> str:
    """A cookie name: a token, compared as it is written (RFC 6265 section 4.1.1)."""
    token(value)
    return value


def method(value: str) -> str:
    """A method: a token, compared as it is written (RFC 9110 section 9.1)."""
    if not _TOKEN.fullmatch(value):
        raise wrong(f"{shown(value)} is not a method", "write for example GET")
    if value.upper() in _METHODS and value not in _METHODS:
        raise wrong(f"{shown(value)} is not in capitals, as requests have it", f"write {value.upper()}")
    return value


def parameter(value: str) -> str:
    """The name of a parameter in a query."""
    if not value or not re.fullmatch(r"[!-~]+", value) or re.search(r"[&=#]", value):
        raise wrong(
            f"{shown(value)} is not the name of a parameter", "write it as the URL has it, without & = #"
        )
    return value


def field_value(value: str) -> str:
    if any(ord(char) < 32 or ord(char) == 127 for char in value) or value != value.strip():
        raise wrong("no value has control characters, or a space at its ends", "leave them out")
    return value


def host(value: str) -> str:
    """`shop.example` or `*.shop.example` -> in lower case, without a last dot."""
    text = value.lower().rstrip(".")
    if HOST.fullmatch(text) or ip(text.strip("[]")) is not None:
        return text
    if "://" in text:
        raise wrong(f"{shown(value)} is a URL, not a host", f"write {authority(text).split(':')[0]}")
    if re.fullmatch(r".+:\d+", text):
        raise wrong(
            f"{shown(value)} has a port; hosts are compared without", f"write {text.rsplit(':', 1)[0]}"
        )
    if not text.isascii():
        raise wrong(f"{shown(value)} is not ASCII", f"write {_punycode(text)}")
    raise wrong(
        f"{shown(value)} is not a host", "write shop.example, or *.shop.example for all names below it"
    )


def server_name(value: str) -> str:
    """What a certificate may be for: a host name, or an IP address."""
    text = host(value)
    if text.startswith("*"):
        raise wrong(f"{shown(value)} is not one name", f"write the name of a server, such as web{text[1:]}")
    return text.strip("[]")


def sni(value: str) -> str:
    """As `host`, but what clients of TLS ask for is never an IP address (RFC 6066 section 3)."""
    text = host(value)
    if ip(text.strip("[]")) is not None:
        raise wrong(f"{shown(value)} is an address; clients ask for names only", "leave out sni")
    return text


def one_sni(value: object) -> object:
    if isinstance(value, list):
        raise wrong("expected one name, found a list", "write a route for each name, or *.shop.example")
    return value


def alpn(value: str) -> str:
    """The name of a protocol that clients offer (RFC 7301), as it is registered."""
    meant = {"http2": "h2", "http/2": "h2", "http1": "http/1.1", "http1.1": "http/1.1", "http": "http/1.1"}
    if value.lower() in meant:
        raise wrong(f"{shown(value)} is not its registered name", f"write {meant[value.lower()]}")
    if not re.fullmatch(r"[!-~]{1,255}", value):
        raise wrong(f"{shown(value)} is not a protocol of ALPN", "write for example h2 or http/1.1")
    return value


def url_path(value: str) -> str:
    """A path as it is matched: normalised, starting with a slash."""
    if not value.startswith("/"):
        raise wrong(f"{shown(value)} does not start with a slash", f"write /{value.lstrip('/')}")
    if "?" in value or "#" in value:
        raise wrong(
            f"{shown(value)} has a query or fragment; only the path is compared",
            f"write {_before_query(value)}",
        )
    if not re.fullmatch(r"[!-~]+", value):
        raise wrong(
            f"{shown(value)} holds characters that no path has", "write them percent-encoded, such as %20"
        )
    if "//" in value or any(part in (".", "..") for part in value.split("/")):
        raise wrong(f"{shown(value)} is not normalised and would never match", "leave out //, . and ..")
    return value


def prefix(value: str) -> str:
    """The front of a path, without a last slash; `/` alone stays."""
    return url_path(value).rstrip("/") or "/"


def authority_value(value: str) -> str:
    """`shop.example` or `shop.example:8080`, as `Host` has it."""
    name, _, port = (
        value.rpartition(":") if re.search(r":\d*$", value) and not value.endswith("]") else (value, "", "1")
    )
    if not port.isdigit() or not 0 < int(port) < 65536 or "*" in name:
        raise wrong(f"{shown(value)} is not a host", "write shop.example, or shop.example:8080")
    host(name)
    return value


def request_path(value: str) -> str:
    """What a health check asks for: a path, perhaps with a query."""
    if not value.startswith("/") or not re.fullmatch(r"[!-~]+", value):
        raise wrong(f"{shown(value)} is not a path", "write for example /healthz")
    return value


def file_path(value: str, info: ValidationInfo) -> str:
    """Absolute, taken relative to the directory of the main file."""
    if not value:
        raise wrong("the path is empty", "write for example /var/log/pylb/access.log")
    directory: Path = (info.context or {}).get("directory", Path.cwd())
    return str((directory / Path(value).expanduser()).absolute())


def statuses(value: object) -> Statuses:
    """`200`, or `200-399`."""
    found = _STATUS.fullmatch(str(value))
    if found is None:
        raise wrong(f"{shown(value)} is not a range of statuses", "write for example 200-399, or 204")
    first, last = int(found[1]), int(found[2] or found[1])
    if first > last:
        raise wrong(f"{shown(value)} runs backwards", f"write {last}-{first}")
    return Statuses(first, last)


def ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address that a text is, if it is one."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def authority(url: str) -> str:
    """Host and port of a URL."""
    return url.split("://", 1)[1].split("/", 1)[0]


def _before_query(path: str) -> str:
    return re.split(r"[?#]", path, maxsplit=1)[0]


def _punycode(text: str) -> str:
    try:
        return text.encode("idna").decode()
    except UnicodeError:
        return "its punycode form (xn--...)"


Name = Annotated[str, AfterValidator(name), Kind("name", "web")]
Token = Annotated[str, AfterValidator(token), Kind("header name", "x-user")]
Cookie = Annotated[str, AfterValidator(cookie), Kind("cookie name", "sid")]
Parameter = Annotated[str, AfterValidator(parameter), Kind("parameter name", "sid")]
Method = Annotated[str, AfterValidator(method), Kind("method", "GET")]
FieldValue = Annotated[str, AfterValidator(field_value), Kind("text", "value")]
Sni = Annotated[str, BeforeValidator(one_sni), AfterValidator(sni), Kind("name", "shop.example")]
ServerName = Annotated[str, AfterValidator(server_name), Kind("name", "web.internal")]
Alpn = Annotated[str, AfterValidator(alpn), Kind("protocol", "h2")]
Host = Annotated[str, AfterValidator(host), Kind("host", "shop.example")]
UrlPath = Annotated[str, AfterValidator(url_path), Kind("path", "/api/")]
Prefix = Annotated[str, AfterValidator(prefix), Kind("path", "/api")]
Authority = Annotated[str, AfterValidator(authority_value), Kind("host", "shop.example")]
RequestPath = Annotated[str, AfterValidator(request_path), Kind("path", "/healthz")]
FilePath = Annotated[str, AfterValidator(file_path), Kind("file path", "/var/lib/pylb")]
StatusRange = Annotated[
    Statuses,
    PlainValidator(statuses),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["200-399"]}),
    Kind("statuses", "200-399"),
]
