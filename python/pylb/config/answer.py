"""Answers of pylb itself: statuses, bodies, where they send a client, what makes pylb try again first."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from pylb.config.wording import Kind, shown, suggest, wrong

LARGEST_BODY = 64 * 1024
"""Bytes of a body that is written in the file."""
REASONS = ("connect", "stale", "closed", "refused_stream", "timeout", "reset")
"""What makes a try fail, apart from statuses."""

_REDIRECTS = (301, 302, 303, 307, 308)
_PLACES = ("host", "path", "uri")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+*-]+(\s*;\s*[!-~ ]+)?")


def status(value: object) -> int:
    """200 to 599."""
    return _status(value, 200, 599, "200")


def error_status(value: object) -> int:
    """400 to 599."""
    return _status(value, 400, 599, "503")


def redirect_status(value: object) -> int:
    found = _status(value, 100, 599, "308")
    if found not in _REDIRECTS:
        raise wrong(f"{found} does not redirect", "choose 301 or 308 (for good), 302, 303 or 307 (for now)")
    return found


def retry_on(value: object) -> str:
    """One of REASONS, or a status."""
    if not isinstance(value, bool) and re.fullmatch(r"-?\d+", str(value)):
        return str(_status(value, 500, 599, "503"))
    if isinstance(value, str) and value in REASONS:
        return value
    near = suggest(str(value), REASONS)
    known = f"choose from {', '.join(REASONS)}, or a status such as 503"
    raise wrong(f"{shown(value)} is no reason to try again", f"did you mean {near}?" if near else known)


def body(value: str) -> str:
    if len(value.encode()) > LARGEST_BODY:
        raise wrong(f"a body of {len(value.encode())} bytes is too long", f"write at most {LARGEST_BODY}")
    return value


def content_type(value: str) -> str:
    if not _MEDIA_TYPE.fullmatch(value):
        raise wrong(f"{shown(value)} is not a media type", "write for example application/json")
    return value


def target(value: str) -> str:
    """`https://shop.example/new`, `/new`, with `{host}`, `{path}` and `{uri}` of the request."""
    if not re.fullmatch(r"[!-~]+", value):
        raise wrong(
            f"{shown(value)} holds characters that no URL has", "write them percent-encoded, such as %20"
        )
    _check_places(value)
    if not re.match(r"https?://[^/]|/(?!/)|\{path\}|\{uri\}", value):
        raise wrong(f"{shown(value)} is neither a URL nor a path", f"write {_meant(value)}")
    return value


def _check_places(target: str) -> None:
    for place in re.findall(r"\{([^{}]*)\}?|\}", target):
        if place not in _PLACES or f"{{{place}}}" not in target:
            near = suggest(place, _PLACES)
            known = "known here: {host}, {path} and {uri}"
            raise wrong(f"{{{place}}} stands for nothing", f"did you mean {{{near}}}?" if near else known)


def _meant(target: str) -> str:
    """The URL or path that was probably meant."""
    text = target.lstrip("/")
    is_host = "." in text.split("/")[0] or target.startswith(("//", "{host}"))
    return f"https://{text}" if is_host else f"/{text}"


def _status(value: object, first: int, last: int, example: str) -> int:
    text = "" if isinstance(value, bool) else str(value)
    if not re.fullmatch(r"\d{3}", text):
        raise wrong(f"expected a status, found {shown(value)}", f"write for example {example}")
    if not first <= int(text) <= last:
        raise wrong(f"{text} is not a status that fits here", f"write one from {first} to {last}")
    return int(text)


def _number(example: int) -> Any:
    return WithJsonSchema({"type": "integer", "minimum": 100, "maximum": 599, "examples": [example]})


Status = Annotated[int, BeforeValidator(status), _number(200), Kind("status", "200")]
ErrorStatus = Annotated[int, BeforeValidator(error_status), _number(503), Kind("status", "503")]
RedirectStatus = Annotated[int, BeforeValidator(redirect_status), _number(308), Kind("status", "308")]
RetryOn = Annotated[
    str,
    BeforeValidator(retry_on),
    WithJsonSchema({"anyOf": [{"enum": list(REASONS)}, {"type": "integer", "minimum": 500, "maximum": 599}]}),
    Kind("reason", "connect"),
]
Body = Annotated[str, AfterValidator(body), Kind("text", "pong")]
ContentType = Annotated[str, AfterValidator(content_type), Kind("media type", "application/json")]
Target = Annotated[str, AfterValidator(target), Kind("URL or path", '"https://{host}{uri}"')]
