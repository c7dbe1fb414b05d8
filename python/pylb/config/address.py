"""Addresses: where to listen, whom to reach, whom to trust.

An address stays text, because the text is what users meet again in logs and `status`; only the paths of unix
sockets become absolute.
"""

import ipaddress
import re
from typing import Annotated

from pydantic import BeforeValidator, ValidationInfo, WithJsonSchema

from pylb.config.scalar import whole
from pylb.config.text import HOST, authority, file_path, ip
from pylb.config.wording import Kind, shown, wrong


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
    if where and ip(where) is None:
        known = "127.0.0.1" if where == "localhost" else "the IP address of an interface"
        raise wrong(f"{shown(value)} is a name; listening needs an IP address", f"write {known}:{port}")
    return value


def datagram_bind(value: object, info: ValidationInfo) -> str:
    """`0.0.0.0:5353`, `:5353`, `[::]:53`."""
    if isinstance(value, str) and value.startswith(("unix:", "fd:")):
        raise wrong(f"{shown(value)} takes no datagrams here", "write for example 0.0.0.0:5353")
    return bind(value, info)


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
    if ip(where) is None and ("*" in where or not HOST.fullmatch(where.lower())):
        raise wrong(f'"{where}" is neither an IP address nor a host name', "write for example 10.0.0.1:9001")
    return value


def dns(value: object, info: ValidationInfo) -> str:
    """`name:9001`, whose addresses are all backends."""
    if isinstance(value, str) and value.startswith("unix:"):
        raise wrong(f"{shown(value)} is a socket, not a name", f"write address: {value}")
    written = backend(value, info)
    where, _ = host_port(written)
    if ip(where) is not None:
        raise wrong(f"{shown(value)} is an address, not a name", f'write address: "{value}"')
    return written


def admin(value: object, info: ValidationInfo) -> str:
    """`unix:/run/pylb/admin.sock`, or `127.0.0.1:9902`."""
    if isinstance(value, str) and value.startswith("fd:"):
        raise wrong("admin cannot take an inherited socket", "write for example unix:/run/pylb/admin.sock")
    return bind(value, info)


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


def port(value: object) -> int:
    """1 to 65535."""
    number = whole(value)
    if number > 65535:
        raise wrong(f"{number} is not a port", "write a number from 1 to 65535")
    return number


def host_port(address: str) -> tuple[str, int]:
    """Splits an address that `backend` or `bind` accepted; brackets of IPv6 are gone."""
    where, _, port = address.rpartition(":")
    return where.strip("[]"), int(port)


def _unix(value: str, info: ValidationInfo) -> str:
    path = file_path(value.removeprefix("unix:"), info)
    if len(path.encode()) > 107:
        raise wrong(f"{path} is longer than the 107 bytes a unix socket may have", "use a shorter path")
    return f"unix:{path}"


def _host_port(value: str, example: str) -> tuple[str, int]:
    found = re.fullmatch(r"(?:\[([^\]]*)\]|([^:\[\]]*)):(\d{1,5})", value)
    if found is None:
        head, _, tail = value.rpartition(":")
        if isinstance(ip(head), ipaddress.IPv6Address) and tail.isdigit():
            raise wrong(f"{shown(value)} needs brackets around the IPv6 address", f'write "[{head}]:{tail}"')
        bare = ip(value.strip("[]"))
        if isinstance(bare, ipaddress.IPv6Address):
            raise wrong(f"{shown(value)} has no port", f'write "[{bare}]:8080"')
        if ":" not in value and value:
            raise wrong(f"{shown(value)} has no port", f"write {value}:8080")
        raise wrong(f"{shown(value)} is not an address", f"write for example {example}")
    if found[1] is not None and not isinstance(ip(found[1]), ipaddress.IPv6Address):
        raise wrong(f'"{found[1]}" in brackets is not an IPv6 address', 'write for example "[::1]:8080"')
    port = int(found[3])
    if port > 65535:
        raise wrong(f"{shown(value)} has a port above 65535", f"write for example {example}")
    return (found[1] if found[1] is not None else found[2]), port


def _with_port(url: str) -> str:
    where = authority(url)
    return where if re.search(r":\d+$", where) else f"{where}:{443 if url.startswith('https') else 80}"


def _schema(example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "examples": [example]})


Bind = Annotated[str, BeforeValidator(bind), _schema("0.0.0.0:8080"), Kind("address", ":8080")]
DatagramBind = Annotated[
    str, BeforeValidator(datagram_bind), _schema("0.0.0.0:5353"), Kind("address", ":5353")
]
Address = Annotated[str, BeforeValidator(backend), _schema("10.0.0.1:9001"), Kind("address", "10.0.0.1:9001")]
AdminBind = Annotated[
    str,
    BeforeValidator(admin),
    _schema("unix:/run/pylb/admin.sock"),
    Kind("address", "unix:/run/pylb/admin.sock"),
]
DnsName = Annotated[
    str, BeforeValidator(dns), _schema("web.internal:9001"), Kind("name and port", "web.internal:9001")
]
Port = Annotated[
    int,
    BeforeValidator(port),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 65535}),
    Kind("port", "9001"),
]
Network = Annotated[str, BeforeValidator(network), _schema("10.0.0.0/8"), Kind("network", "10.0.0.0/8")]
