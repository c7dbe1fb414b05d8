"""Texts with a form of their own: names, hosts, paths, header fields, addresses, file paths.

A form is checked here as far as the text alone can show; what needs the rest of the file (does this pool
exist?) is cross.py's. Addresses stay text, because the text is what users meet again in logs and `status`.
"""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PlainValidator, ValidationInfo, WithJsonSchema

from pylb.config.scalar import Kind, shown, whole, wrong

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HOST = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*")
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


def field_value(value: str) -> str:
    if any(ord(char) < 32 or ord(char) == 127 for char in value) or value != value.strip():
        raise wrong("a header value has no control characters, and no space at its ends")
    return value


def host(value: str) -> str:
    """`shop.example` or `*.shop.example` -> in lower case, without a last dot."""
    text = value.lower().rstrip(".")
    if _HOST.fullmatch(text) or _ip(text.strip("[]")) is not None:
        return text
    if "://" in text:
        raise wrong(f"{shown(value)} is a URL, not a host", f"write {_authority(text).split(':')[0]}")
    if re.fullmatch(r".+:\d+", text):
        raise wrong(
            f"{shown(value)} has a port; hosts are compared without", f"write {text.rsplit(':', 1)[0]}"
        )
    if not text.isascii():
        raise wrong(f"{shown(value)} is not ASCII", f"write {_punycode(text)}")
    raise wrong(
        f"{shown(value)} is not a host", "write shop.example, or *.shop.example for all names below it"
    )


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


def request_path(value: str) -> str:
    """What a health check asks for: a path, perhaps with a query."""
    if not value.startswith("/") or not re.fullmatch(r"[!-~]+", value):
        raise wrong(f"{shown(value)} is not a path", "write for example /healthz")
    return value


def bind(value: object, info: ValidationInfo) -> str:
    """`0.0.0.0:8080`, `:8080` (all IPv4 and IPv6), `[::]:80`, `unix:/run/x.sock`, `fd:3`."""
    if isinstance(value, int) and not isinstance(value, bool):
        raise wrong(f"{value} is only a port", f'write ":{value}" (all addresses) or 127.0.0.1:{value}')
    if not isinstance(value, str):
        raise wrong(f"expected an address, found {shown(value)}", "write for example 0.0.0.0:8080 or :8080")
    if value.startswith("unix:"):
        return _unix(value, info)
    if value.startswith("fd:"):
        if not value[3:].isdigit():
            raise wrong(f"{shown(value)} is not a file descriptor", "write for example fd:3")
        return value
    where, port = _host_port(value, "0.0.0.0:8080 or :8080")
    if where == "*":
        raise wrong(f"{shown(value)} is not an address", f'write ":{port}" for all addresses')
    if where and _ip(where) is None:
        known = "127.0.0.1" if where == "localhost" else "the IP address of an interface"
        raise wrong(f"{shown(value)} is a name; listening needs an IP address", f"write {known}:{port}")
    return value


def backend(value: object, info: ValidationInfo) -> str:
    """`10.0.0.1:9001`, `[::1]:9001`, `name:9001`, `unix:/run/app.sock`."""
    if isinstance(value, int) and not isinstance(value, bool):
        raise wrong(f"{value} is only a port", f"write 127.0.0.1:{value}")
    if not isinstance(value, str):
        raise wrong(f"expected HOST:PORT, found {shown(value)}", "write for example 10.0.0.1:9001")
    if value.startswith("unix:"):
        return _unix(value, info)
    if "://" in value:
        raise wrong(f"{shown(value)} is a URL; a backend is an address", f"write {_with_port(value)}")
    where, port = _host_port(value, "10.0.0.1:9001")
    if not where:
        raise wrong(f"{shown(value)} does not say which host", f"write 127.0.0.1:{port}")
    if port == 0:
        raise wrong("nothing can be reached at port 0", f"write {where}:9001")
    if _ip(where) is None and not _HOST.fullmatch(where.lower()):
        raise wrong(f'"{where}" is neither an IP address nor a host name', "write for example 10.0.0.1:9001")
    return value


def admin(value: object, info: ValidationInfo) -> str:
    """The admin socket: `unix:/run/pylb/admin.sock`."""
    if isinstance(value, str) and value.startswith("unix:"):
        return _unix(value, info)
    raise wrong(
        f"admin on {shown(value)} is not supported yet", "write for example unix:/run/pylb/admin.sock"
    )


def network(value: object) -> str:
    """`10.0.0.0/8`, or one address -> canonical CIDR."""
    try:
        return str(ipaddress.ip_network(str(value), strict=True))
    except ValueError:
        pass
    try:
        right = str(ipaddress.ip_network(str(value), strict=False))
    except ValueError:
        raise wrong(f"{shown(value)} is not a network", "write for example 10.0.0.0/8 or 192.0.2.7") from None
    raise wrong(f"{shown(value)} has bits set beyond its prefix", f"write {right}")


def statuses(value: object) -> Statuses:
    """`200`, or `200-399`."""
    found = _STATUS.fullmatch(str(value))
    if found is None:
        raise wrong(f"{shown(value)} is not a range of statuses", "write for example 200-399, or 204")
    first, last = int(found[1]), int(found[2] or found[1])
    if first > last:
        raise wrong(f"{shown(value)} runs backwards", f"write {last}-{first}")
    return Statuses(first, last)


def port(value: object) -> int:
    """1 to 65535."""
    number = whole(value)
    if number > 65535:
        raise wrong(f"{number} is not a port", "write a number from 1 to 65535")
    return number


def file_path(value: str, info: ValidationInfo) -> str:
    """Absolute, taken relative to the directory of the main file."""
    if not value:
        raise wrong("the path is empty", "write for example /var/log/pylb/access.log")
    directory: Path = (info.context or {}).get("directory", Path.cwd())
    return str((directory / Path(value).expanduser()).absolute())


def host_port(address: str) -> tuple[str, int]:
    """Splits an address that `backend` or `bind` accepted; brackets of IPv6 are gone."""
    where, _, port = address.rpartition(":")
    return where.strip("[]"), int(port)


def is_ip(text: str) -> bool:
    return _ip(text) is not None


def _unix(value: str, info: ValidationInfo) -> str:
    path = file_path(value.removeprefix("unix:"), info)
    if len(path.encode()) > 107:
        raise wrong(f"{path} is longer than the 107 bytes a unix socket may have", "use a shorter path")
    return f"unix:{path}"


def _host_port(value: str, example: str) -> tuple[str, int]:
    found = re.fullmatch(r"(?:\[([^\]]*)\]|([^:\[\]]*)):(\d{1,5})", value)
    if found is None:
        head, _, tail = value.rpartition(":")
        if isinstance(_ip(head), ipaddress.IPv6Address) and tail.isdigit():
            raise wrong(f"{shown(value)} needs brackets around the IPv6 address", f'write "[{head}]:{tail}"')
        bare = _ip(value.strip("[]"))
        if isinstance(bare, ipaddress.IPv6Address):
            raise wrong(f"{shown(value)} has no port", f'write "[{bare}]:8080"')
        if ":" not in value and value:
            raise wrong(f"{shown(value)} has no port", f"write {value}:8080")
        raise wrong(f"{shown(value)} is not an address", f"write for example {example}")
    if found[1] is not None and not isinstance(_ip(found[1]), ipaddress.IPv6Address):
        raise wrong(f'"{found[1]}" in brackets is not an IPv6 address', 'write for example "[::1]:8080"')
    port = int(found[3])
    if port > 65535:
        raise wrong(f"{shown(value)} has a port above 65535", f"write for example {example}")
    return (found[1] if found[1] is not None else found[2]), port


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _authority(url: str) -> str:
    return url.split("://", 1)[1].split("/", 1)[0]


def _with_port(url: str) -> str:
    authority = _authority(url)
    return (
        authority
        if re.search(r":\d+$", authority)
        else f"{authority}:{443 if url.startswith('https') else 80}"
    )


def _before_query(path: str) -> str:
    return re.split(r"[?#]", path, maxsplit=1)[0]


def _punycode(text: str) -> str:
    try:
        return text.encode("idna").decode()
    except UnicodeError:
        return "its punycode form (xn--...)"


def _schema(example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "examples": [example]})


Name = Annotated[str, AfterValidator(name), Kind("name", "web")]
Token = Annotated[str, AfterValidator(token), Kind("header name", "x-user")]
FieldValue = Annotated[str, AfterValidator(field_value), Kind("text", "value")]
Host = Annotated[str, AfterValidator(host), Kind("host", "shop.example")]
UrlPath = Annotated[str, AfterValidator(url_path), Kind("path", "/api/")]
RequestPath = Annotated[str, AfterValidator(request_path), Kind("path", "/healthz")]
FilePath = Annotated[str, AfterValidator(file_path), Kind("file path", "/var/lib/pylb")]
Bind = Annotated[str, BeforeValidator(bind), _schema("0.0.0.0:8080"), Kind("address", ":8080")]
Address = Annotated[str, BeforeValidator(backend), _schema("10.0.0.1:9001"), Kind("address", "10.0.0.1:9001")]
AdminBind = Annotated[
    str,
    BeforeValidator(admin),
    _schema("unix:/run/pylb/admin.sock"),
    Kind("address", "unix:/run/pylb/admin.sock"),
]
Port = Annotated[
    int,
    BeforeValidator(port),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 65535}),
    Kind("port", "9001"),
]
StatusRange = Annotated[
    Statuses,
    PlainValidator(statuses),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["200-399"]}),
    Kind("statuses", "200-399"),
]
Network = Annotated[str, BeforeValidator(network), _schema("10.0.0.0/8"), Kind("network", "10.0.0.0/8")]
