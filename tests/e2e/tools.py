"""Programs and packages that a test needs and a machine may lack.

A test without its tool is skipped and says which package brings it. Where PYLB_NO_SKIP=1 is set, as in
.ci/run, it fails instead: there, a skipped test would be a hole nobody sees. Only what the extra `apps`
brings may be missing there too: it takes longer to install than all else.
"""

import importlib
import importlib.util
import os
import shutil
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

_DEBIAN = {
    "h2load": "nghttp2-client",
    "psql": "postgresql-client",
    "redis-cli": "redis-tools",
    "dnsmasq": "dnsmasq-base",
    "dig": "bind9-dnsutils",
    "nc": "netcat-openbsd",
    "testssl": "testssl.sh",
}
"""Packages that are not called as their programs are."""


def tool(name: str) -> str:
    """The path of a program; skips the test if there is none."""
    path = shutil.which(name)
    if path is None:
        skip(f"{name} is missing; Debian's package {_DEBIAN.get(name, name)} brings it")
    return path


def module(name: str, extra: str = "test") -> Any:
    """A module that an extra of pylb brings; skips the test if there is none."""
    if importlib.util.find_spec(name.split(".")[0]) is None:
        reason = f"{name} is missing; pip install '.[{extra}]' brings it"
        pytest.skip(reason) if extra == "apps" else skip(reason)
    return importlib.import_module(name)


def skip(reason: str) -> NoReturn:
    """Skips, or fails where nothing may be skipped."""
    if os.environ.get("PYLB_NO_SKIP") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def why_not(attempt: Callable[[], object]) -> str:
    """What an attempt that has to fail says of it; "" if it does not fail."""
    try:
        attempt()
    except Exception as error:
        return repr(error)
    return ""
