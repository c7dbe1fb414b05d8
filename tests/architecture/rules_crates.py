"""Rules over manifests: which crate may look at which, and what comes from outside."""

import re
import tomllib
from collections.abc import Iterator

from architecture.tree import PURE, Tree

ARROWS = {
    "binding": {"engine"},
    "engine": {"plan", "balance", "wire"},
    "plan": {"balance", "wire"},
    "balance": set[str](),
    "wire": set[str](),
    "pylb-origin": set[str](),
}
"""What each crate of the workspace may see of it: only what stands to its right."""

OUTSIDE = {
    "crossbeam-queue": "bounded queues between workers and the side thread",
    "crossbeam-utils": "padding to cache lines",
    "fastrand": "the dice of a worker",
    "foldhash": "tables keyed by ids of our own",
    "httparse": "cutting heads into lines",
    "ipnet": "networks of trusted proxies",
    "itoa": "numbers into bytes, without formatting machinery",
    "libc": "the few calls that rustix lacks",
    "memchr": "finding a byte",
    "mimalloc": "the allocator of the engine, inside the module",
    "pyo3": "the language border",
    "quinn-udp": "many datagrams in one system call",
    "quick_cache": "tables of keys that clients choose, bounded",
    "rcgen": "a local authority and its certificates, for development",
    "regex": "what routes match, in linear time",
    "rustls": "TLS",
    "rustls-pki-types": "certificates and keys out of PEM files",
    "rustix": "system calls",
    "serde": "the draft, and what goes back as JSON",
    "serde_json": "the draft, and what goes back as JSON",
    "smallvec": "lists that are nearly always short",
    "socket2": "sockets with options, before tokio has them",
    "tokio": "the runtime of a worker",
    "uuid": "request ids",
    "x509-cert": "names and dates in certificates",
}
"""Every crate from outside that ours may name, and what for."""

TESTS_ONLY = {"proptest", "serde", "serde_json"}

PURE_MAY = {
    "wire": {"httparse", "memchr", "itoa", "ipnet"},
    "balance": {"crossbeam-utils", "quick_cache"},
    "plan": {"serde", "serde_json", "smallvec", "ipnet", "regex"},
}

HANDS = {"tokio", "mio", "rustix", "libc", "nix", "socket2", "async-io", "polling", "signal-hook"}
CHANCE = {"rand", "rand_core", "getrandom", "fastrand", "uuid", "ahash"}
CLOCKS = {"chrono", "time", "quanta", "jiff", "coarsetime"}

NEVER = {"openssl", "serde_yaml", "async-std", "rustls-pemfile", "hyper"}

FLOORS = {
    "pyo3": "0.29",
    "h2": "0.4.16",
    "rustls-webpki": "0.103.13",
    "quinn-proto": "0.11.15",
    "hickory-proto": "0.26.1",
}
"""The oldest version that may be locked, if any is."""


def arrows_point_right(tree: Tree) -> Iterator[str]:
    """binding -> engine -> plan -> {balance, wire}; the last two do not know each other."""
    for crate in tree.crates():
        if crate["name"] not in ARROWS:
            yield f"{crate['name']}: a new crate needs a place in ARROWS"
            continue
        named = {dependency["name"] for dependency in crate["dependencies"]} & ARROWS.keys()
        for wrong in sorted(named - ARROWS[crate["name"]]):
            yield f"{crate['name']} -> {wrong}"


def only_binding_knows_python(tree: Tree) -> Iterator[str]:
    """pyo3 is a dependency of `binding`, and behind no other crate."""
    for crate in tree.crates():
        if crate["name"] != "binding":
            for found in sorted(tree.behind(crate["name"])):
                if found.startswith(("pyo3", "python3")):
                    yield f"{crate['name']} -> {found}"


def pure_crates_have_no_hands(tree: Tree) -> Iterator[str]:
    """No runtime, no sockets, no system calls, no clock and no chance behind wire, balance and plan."""
    for crate in PURE:
        for wrong in sorted(tree.behind(crate) & (HANDS | CHANCE | CLOCKS)):
            yield f"{crate} -> {wrong}"
        package = next(package for package in tree.crates() if package["name"] == crate)
        built = {each["name"] for each in package["dependencies"] if each["kind"] is None}
        for wrong in sorted(built - PURE_MAY[crate] - ARROWS.keys()):
            yield f"{crate} -> {wrong}, which PURE_MAY does not list"


def outside_crates_are_known(tree: Tree) -> Iterator[str]:
    """Crates from outside are those that were decided on; some never come back."""
    for crate in tree.crates():
        for dependency in crate["dependencies"]:
            name = dependency["name"]
            known = TESTS_ONLY if dependency["kind"] == "dev" else OUTSIDE.keys()
            if name not in ARROWS and name not in known:
                yield f"{crate['name']} -> {name}"
    for package in tree.packages.values():
        if package["name"] in NEVER:
            yield f"{package['name']} is behind something"


def versions_have_one_home(tree: Tree) -> Iterator[str]:
    """Crates take versions, edition, license and lints from the workspace, and every dependency."""
    for folder, manifest in tree.members.items():
        for key in ("version", "edition", "rust-version", "license", "publish"):
            if manifest["package"].get(key) != {"workspace": True}:
                yield f"{folder}: {key} is not the workspace's"
        if manifest.get("lints") != {"workspace": True}:
            yield f"{folder}: lints are not the workspace's"
        for table in ("dependencies", "dev-dependencies", "build-dependencies"):
            for name, wanted in manifest.get(table, {}).items():
                if not isinstance(wanted, dict) or wanted.get("workspace") is not True:
                    yield f"{folder}: {name} has a version of its own"
        if "target" in manifest:
            yield f"{folder}: dependencies of a target escape the workspace's list"


def locked_versions_keep_floors(tree: Tree) -> Iterator[str]:
    """Nothing older is locked than what is known to be safe."""
    for package in tomllib.loads(tree.text("Cargo.lock"))["package"]:
        floor = FLOORS.get(package["name"])
        if floor and _parts(package["version"]) < _parts(floor):
            yield f"{package['name']} {package['version']} is older than {floor}"


def _parts(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version.partition("+")[0])]


def release_stays_safe(tree: Tree) -> Iterator[str]:
    """Overflow is checked in releases too, a panic unwinds (it ends one connection), lints hold."""
    release = tree.manifest["profile"]["release"]
    if release.get("overflow-checks") is not True:
        yield "overflow-checks are off in release"
    if release.get("panic", "unwind") != "unwind":
        yield "a panic would end the process"
    lints = tree.manifest["workspace"]["lints"]
    wanted = {
        "undocumented_unsafe_blocks": "clippy",
        "dbg_macro": "clippy",
        "todo": "clippy",
        "unsafe_op_in_unsafe_fn": "rust",
    }
    for lint, family in wanted.items():
        if lints[family].get(lint) != "deny":
            yield f"{lint} is not denied"
