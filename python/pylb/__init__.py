"""pylb, the load balancer a Python team can program: a Rust core, decisions in plain Python.

Two lives of one package. As a command, `pylb serve` runs `serve` (signals, admin socket) around `balancer`.
As a library, a trio program embeds the same thing:

    async with pylb.running("pylb.yaml") as lb:        # or a mapping with the same keys
        await lb.apply({...})
        async for fact in lb.facts(): ...

The map: `config` is what the user wants, from text to the draft; `core` is the door to the Rust core that
makes it true; `asked` and `decision` say what it would do with a request; `affinity` keeps the keys of sticky
cookies, `names` what names stand for; `health` asks backends how they are. `cli` and `operate` are the
commands, `admin` is how they reach a running process, `snapshot` and `overview` are its status; `facts` and
`messages` are what it says; `demo` is three small servers to try it on.

Names are imported when they are first used, so that `pylb check` or shell completion loads no event loop.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pylb.balancer import LoadBalancer, running
    from pylb.config import Config
    from pylb.errors import ConfigInvalid, PylbError

__all__ = ["Config", "ConfigInvalid", "LoadBalancer", "PylbError", "running"]

_HOMES = {
    "Config": "pylb.config",
    "ConfigInvalid": "pylb.errors",
    "LoadBalancer": "pylb.balancer",
    "PylbError": "pylb.errors",
    "running": "pylb.balancer",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pylb' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
