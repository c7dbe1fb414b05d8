"""Texts that others must not read. No error text shows one, and neither does a printed configuration."""

from typing import Annotated, Any

from pydantic import PlainValidator, SecretStr, WithJsonSchema

from pylb import affinity
from pylb.config.shorthand import one_or_more
from pylb.config.wording import Kind, below, shown, wrong

SHORTEST = 16
"""Characters; a random text of this length cannot be guessed."""


def secret(value: object) -> SecretStr:
    """A text that is long enough."""
    if isinstance(value, SecretStr):
        return value
    text = _text(value)
    if len(text) < SHORTEST:
        raise wrong(
            f"a secret of {len(text)} characters can be guessed", f"make one with `{affinity.MAKE_ONE}`"
        )
    if not text.isascii() or not text.isprintable() or " " in text:
        raise wrong("a secret has only visible ASCII characters", f"make one with `{affinity.MAKE_ONE}`")
    return SecretStr(text)


def keys(value: object) -> tuple[SecretStr, ...]:
    """One key, or several that may be used together."""
    texts: list[str] = []
    written = one_or_more(value)
    for at, one in enumerate(written if isinstance(written, list | tuple) else []):
        with below(*([at] if isinstance(value, list) else [])):
            texts.append(_text(one))
            _checked(texts[-1:])
    _checked(texts)
    return tuple(map(SecretStr, texts))


def _checked(texts: list[str]) -> None:
    try:
        affinity.ring(texts)
    except ValueError as error:
        message, _, hint = str(error).partition("; ")
        raise wrong(message, hint) from None


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if not isinstance(value, str):
        what = shown(value) if isinstance(value, dict | list | None) else "a number or switch"
        raise wrong(f"expected a secret text, found {what}", 'write it in quotes, or as "${VARIABLE}"')
    return value


_SCHEMA: dict[str, Any] = {"type": "string", "examples": ["${PYLB_SECRET}"]}

Secret = Annotated[
    SecretStr,
    PlainValidator(secret),
    WithJsonSchema({**_SCHEMA, "minLength": SHORTEST}),
    Kind("secret text", '"${PYLB_SECRET}"'),
]
Keys = Annotated[
    tuple[SecretStr, ...],
    PlainValidator(keys),
    WithJsonSchema({"anyOf": [_SCHEMA, {"type": "array", "items": _SCHEMA, "minItems": 1}]}),
    Kind("secret text, or list", '["${KEY1}", "${KEY2}"]'),
]
