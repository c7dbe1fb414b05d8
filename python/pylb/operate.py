"""Commands that talk to a running pylb: arguments -> what is asked, and how the answer reads.

What an operator says here (drain, weight) holds over reloads and ends with `undrain`, `reset` or a restart of
pylb.
"""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import click
from click.shell_completion import CompletionItem

from pylb.command import admin_option, leave, option

PAUSE = 0.25
"""Seconds between two looks at a backend that drains."""


def _pools(ctx: click.Context, param: click.Parameter, start: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in _running(ctx) if name.startswith(start)]


def _backends(ctx: click.Context, param: click.Parameter, start: str) -> list[CompletionItem]:
    pool = _running(ctx).get(ctx.params["pool"], {"backends": []})
    names = [backend["name"] for backend in pool["backends"]]
    return [CompletionItem(name) for name in names if name.startswith(start)]


def _running(ctx: click.Context) -> dict[str, Any]:
    """The pools of the running pylb, for the shell to complete; none if that is not to be had, because a
    completion has nobody to tell."""
    from pylb.admin.client import client

    with contextlib.suppress(Exception):
        pools: dict[str, Any] = client(ctx.params.get("admin")).status()["pools"]
        return pools
    return {}


def _weight(ctx: click.Context, param: click.Parameter, written: str) -> int | None:
    """`3`, or `reset` (None)."""
    if written == "reset":
        return None
    if not (written.isascii() and written.isdecimal()):
        raise click.BadParameter(f'"{written}" is neither a whole number nor reset.')
    return int(written)


_pool = click.argument("pool", envvar="PYLB_POOL", shell_complete=_pools)
_backend = click.argument("backend", envvar="PYLB_BACKEND", shell_complete=_backends)


@click.command()
@admin_option
def reload(admin: str | None) -> None:
    """Make a running pylb read its file again, wait, and report."""
    from pylb.admin.client import client

    answer = client(admin).reload()
    if not answer["ok"]:
        leave(answer["text"], answer["exit_code"])
    click.echo(answer["text"])


@click.command()
@option("--json", "as_json", of="status", is_flag=True, help="As JSON, for programs.")
@option("--watch", of="status", is_flag=True, help="Show it anew every two seconds, until interrupted.")
@admin_option
def status(as_json: bool, watch: bool, admin: str | None) -> None:
    """Show pools and backends, and why one is down."""
    from pylb.admin.client import client
    from pylb.overview import overview

    show = json.dumps if as_json else overview
    asked = client(admin)
    click.echo(show(asked.status()))
    with contextlib.suppress(KeyboardInterrupt):
        while watch:
            _pause(2)
            text = show(asked.status())
            if not as_json:
                click.clear()
            click.echo(text)


@click.command()
@_pool
@_backend
@option(
    "--wait",
    of="drain",
    is_flag=True,
    help="Return once it is empty: exit code 0, or 1 if what was left had to be cut.",
)
@admin_option
def drain(pool: str, backend: str, wait: bool, admin: str | None) -> None:
    """Send a backend no new requests.

    What it is working on may end, and clients that are pinned to it may go on, until the pool's `drain:
    {timeout: ...}` is over; what is open then is cut. In a pool that pins clients, a backend is empty only
    when that time is over. POOL and BACKEND are as `pylb status` shows them.
    """
    from pylb.admin.client import client

    asked = client(admin)
    found = asked.drain(pool, backend)
    click.echo(
        f"{pool}: {backend} drains, {_in_flight(found)}; `pylb undrain {pool} {backend}` takes it back"
    )
    if not _others(asked.status()["pools"][pool], backend):
        click.echo(f"no other backend of {pool} can take requests: they are answered with 503", err=True)
    if wait:
        _wait(lambda: asked.backend(pool, backend), f"{pool}: {backend}", found.get("cut", 0))


@click.command()
@_pool
@_backend
@admin_option
def undrain(pool: str, backend: str, admin: str | None) -> None:
    """Send a backend requests again."""
    from pylb.admin.client import client

    found = client(admin).undrain(pool, backend)
    click.echo(f"{pool}: {backend} takes requests, it is {found['state']}")


@click.command()
@_pool
@_backend
@click.argument(
    "weight",
    metavar="N|reset",
    envvar="PYLB_WEIGHT",
    callback=_weight,
    shell_complete=lambda ctx, param, start: [CompletionItem("reset")] if "reset".startswith(start) else [],
)
@admin_option
def weight(pool: str, backend: str, weight: int | None, admin: str | None) -> None:
    """Give a backend another share of the requests than the file says.

    `reset` gives it the weight of the file again.
    """
    from pylb.admin.client import client

    found = client(admin).weigh(pool, backend, weight)
    whose = ", as in the file" if weight is None else f"; `pylb weight {pool} {backend} reset` takes it back"
    click.echo(f"{pool}: {backend} has weight {found['weight']}{whose}")


COMMANDS = (reload, status, drain, undrain, weight)


def _wait(look: Callable[[], dict[str, Any]], name: str, before: int) -> None:
    """Until the backend is empty; says how many are left whenever that changes. `before` were cut earlier."""
    told = None
    while not (found := look())["drained"]:
        if found["drained"] is None:
            leave(f"pylb: {name} does not drain any more: somebody took it back", 1)
        if told not in (None, found["in_flight"]):
            click.echo(f"{name}: {_in_flight(found)}")
        told = found["in_flight"]
        _pause(PAUSE)
    if cut := found.get("cut", 0) - before:
        leave(f"pylb: {name} is empty, {cut} in flight had to be cut", 1)
    click.echo(f"{name} is empty")


def _others(pool: dict[str, Any], backend: str) -> list[str]:
    """The names of backends that could take requests instead."""
    return [
        each["name"]
        for each in pool["backends"]
        if each["name"] != backend and each["state"] in ("up", "pending", "ejected")
    ]


def _in_flight(found: dict[str, Any]) -> str:
    return f"{found['in_flight']} in flight"


def _pause(seconds: float) -> None:
    import trio

    trio.run(trio.sleep, seconds)
