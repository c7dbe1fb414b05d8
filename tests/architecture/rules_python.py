"""Rules over Python's imports: one door to the core, one event loop, and modules that know neither."""

import re
import sys
import tomllib
from collections.abc import Iterator

from architecture.tree import Tree

DOOR = "pylb.core"

PURE_MODULES = (
    "pylb.errors",
    "pylb.affinity",
    "pylb.asked",
    "pylb.config.model",
    "pylb.config.listeners",
    "pylb.config.routes",
    "pylb.config.pools",
    "pylb.config.checks",
    "pylb.config.sticky",
    "pylb.config.cross",
    "pylb.config.pages",
    "pylb.config.wording",
    "pylb.config.scalar",
    "pylb.config.text",
    "pylb.config.shorthand",
    "pylb.config.nodes",
    "pylb.config.tree",
    "pylb.config.read",
    "pylb.config.draft",
    "pylb.config.explain",
    "pylb.config.docs",
    "pylb.config.presets",
    "pylb.config.desired",
    "pylb.admin.routing",
    "pylb.config.report",
    "pylb.health.threshold",
)
"""Modules that decide and do nothing: neither they nor what they import know an event loop or the core."""

LOOPS = {"trio", "anyio", "outcome", "sniffio"}

RUNTIME = {"trio": "trio", "PyYAML": "yaml", "pydantic": "pydantic", "click": "click", "h11": "h11"}
"""What an installed pylb needs, and the name under which it is imported."""

COMES_ALONG = {"pydantic_core": "pydantic"}

CLOCKS_AND_CHANCE = {
    "pylb.messages": {"time"},  # time stamps of messages
    "pylb.notify": {"time"},  # systemd wants the monotonic clock
    "pylb.health.checker": {"random"},  # jitter, seeded by tests
    "pylb.affinity": {"secrets"},  # keys
}
"""Who may read a clock that is not trio's, or draw chance."""


def one_door_to_the_core(tree: Tree) -> Iterator[str]:
    """Only `core.py` imports `_core`."""
    for module in tree.modules:
        if module != DOOR and any(name.split(".")[:2] == ["pylb", "_core"] for name in tree.imports(module)):
            yield module


def pure_modules_know_no_loop(tree: Tree) -> Iterator[str]:
    """Pure modules, and everything of pylb that they load, import neither trio nor the core."""
    for module in PURE_MODULES:
        if module not in tree.modules:
            yield f"{module} is gone"
            continue
        for each, way in _loaded(tree, module).items():
            for name in tree.imports(each, late=False):
                if name.split(".")[0] in LOOPS or name == DOOR or name.startswith("pylb._core"):
                    yield f"{' -> '.join(way)} -> {name}"


def _loaded(tree: Tree, module: str) -> dict[str, tuple[str, ...]]:
    """Modules of pylb that are loaded together with one, each with the way that leads there."""
    found: dict[str, tuple[str, ...]] = {module: (module,)}
    queue = [module]
    while queue:
        here = queue.pop()
        for name in [*tree.imports(here, late=False), here.rpartition(".")[0]]:
            if name in tree.modules and name not in found:
                found[name] = (*found[here], name)
                queue.append(name)
    return found


def one_event_loop(tree: Tree) -> Iterator[str]:
    """No asyncio in the package, no threads of its own, nothing but trio."""
    for module in tree.modules:
        for name in tree.imports(module):
            if name.split(".")[0] in {
                "asyncio",
                "anyio",
                "threading",
                "concurrent",
                "multiprocessing",
                "selectors",
            }:
                yield f"{module} -> {name}"


def durations_are_trios(tree: Tree) -> Iterator[str]:
    """No clock but trio's and no hidden chance, except where CLOCKS_AND_CHANCE says what for."""
    for module in tree.modules:
        named = {name.split(".")[0] for name in tree.imports(module)} & {
            "time",
            "datetime",
            "random",
            "secrets",
        }
        for name in sorted(named - CLOCKS_AND_CHANCE.get(module, set())):
            yield f"{module} -> {name}"


def python_dependencies_are_known(tree: Tree) -> Iterator[str]:
    """The package needs what was decided on, imports nothing else, and tests say what they need."""
    project = tomllib.loads(tree.text("pyproject.toml"))["project"]
    needed = {re.split(r"[<>=!~ \[]", line)[0] for line in project["dependencies"]}
    for name in sorted(needed - RUNTIME.keys()):
        yield f"pyproject.toml -> {name}"
    may = {*RUNTIME.values(), *COMES_ALONG, "pylb", *sys.stdlib_module_names}
    for module in tree.modules:
        for name in tree.imports(module):
            if name.split(".")[0] not in may:
                yield f"{module} -> {name}"
