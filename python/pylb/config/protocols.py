"""Short forms and likely slips of protocols and TLS, sorted out before validation as in shorthand.py."""

from typing import Any

from pylb.config.wording import shown, suggest, wrong

PROTOCOLS = ("http", "tcp", "udp", "tls")
"""What a listener may speak."""

_CHOICES = "http, tcp, udp or tls"
_MEANT = {
    "https": "http, with tls: {certificates: [{cert: FILE, key: FILE}]} beside it",
    "ssl": "tls to route by name without decrypting, or http or tcp with tls: beside it",
    "sni": "tls",
    "passthrough": "tls",
    "h2": "http",
    "http2": "http",
    "websocket": "http",
    "ws": "http",
    "wss": "http, with tls: {certificates: [{cert: FILE, key: FILE}]} beside it",
    "grpc": "http",
    "dns": "udp",
    "stream": "tcp",
}


def protocol(value: object) -> object:
    """One of PROTOCOLS; what else it may be called is told."""
    if value not in PROTOCOLS:
        near = _MEANT.get(str(value).lower()) or suggest(str(value), PROTOCOLS)
        raise wrong(
            f"{shown(value)} is not one of its values", f"write {near}" if near else "choose " + _CHOICES
        )
    return value


def spoken(value: Any) -> str:
    """The protocol of a listener, http where none is written; what comes nearest to one that there is not."""
    if not isinstance(value, dict):
        return str(getattr(value, "protocol", "http"))
    written = value.get("protocol", "http")
    if written in PROTOCOLS:
        return str(written)
    if "routes" in value or "pool" not in value:
        return "http"
    return "udp" if "udp" in value else "tcp"


def certificates(value: object) -> object:
    """`internal`, or a list; a single certificate is a list of it."""
    if isinstance(value, str) and value != "internal":
        hint = f"write [{{cert: {value}, key: FILE}}], or internal for one that pylb makes"
        raise wrong(f"expected certificates, found {shown(value)}", hint)
    if isinstance(value, dict):
        return [value]
    for at, one in enumerate(value if isinstance(value, list | tuple) else ()):
        if one == "internal":
            text = "internal is not one of several: pylb makes a certificate for every name of the listener"
            raise wrong(text, "write certificates: internal, or only files", at=(at,))
        if isinstance(one, str):
            hint = f"write {{cert: {one}, key: FILE}}"
            raise wrong(f"expected a certificate and its key, found {shown(one)}", hint, at=(at,))
    if value in ([], (), {}):
        raise wrong("must not be empty", "write [{cert: FILE, key: FILE}], or internal")
    return value


def tls_version(value: object) -> object:
    """`"1.2"`, also as the number that it looks like."""
    text = str(value).lower().removeprefix("tls").removeprefix("v").strip()
    if isinstance(value, float) and text in ("1.2", "1.3"):
        return text
    if text in ("1.0", "1.1", "1", "3.0", "3"):
        raise wrong(f"{shown(value)} is broken and not spoken by pylb", 'write "1.2" or "1.3"')
    if not isinstance(value, str) or value not in ("1.2", "1.3"):
        hint = f'write "{text}"' if text in ("1.2", "1.3") else 'write "1.2" or "1.3"'
        raise wrong(f"{shown(value)} is not a version of TLS", hint)
    return value


def listener_tls(value: object) -> object:
    """Lets through only keys and values."""
    if isinstance(value, dict) or not isinstance(value, bool | str | list):
        return value
    hint = "remove it" if value is False else "write {certificates: [{cert: FILE, key: FILE}]}"
    raise wrong(f"expected certificates, found {shown(value)}", hint)


def backend_tls(value: object) -> object:
    """`true` -> `{}`."""
    if value in (True, "true"):
        return {}
    if value in (False, "false"):
        raise wrong("false is what a pool without tls does", "remove it")
    return value


def redirect_https(value: object) -> object:
    """`true` -> 443, `false` -> None; else a port."""
    if isinstance(value, bool) or value in ("true", "false"):
        return 443 if value in (True, "true") else None
    if isinstance(value, str) and not value.isdigit():
        raise wrong(f"expected true or a port, found {shown(value)}", "write true, or a port such as 8443")
    return value
