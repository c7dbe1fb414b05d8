"""The command line: arguments -> one call.

Each command does its work elsewhere and imports it only when it runs, so that `pylb version` or a completion
does not wait for an engine. Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 configuration invalid.
"""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, NoReturn

import click
from click.shell_completion import get_completion_class

from pylb.errors import ConfigInvalid, PylbError

DEFAULT_FILE = Path("pylb.yaml")
EXAMPLES = ("default", "docker", "gunicorn", "systemd", "uvicorn")


class _Commands(click.Group):
    """Turns what pylb raises on purpose, and what the system refuses, into clear lines and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigInvalid as error:
            _leave(str(error), error.exit_code)
        except PylbError as error:
            _leave(f"pylb: {error}", error.exit_code)
        except BrokenPipeError:
            raise
        except OSError as error:
            name = f"{error.filename}: " if error.filename else ""
            _leave(f"pylb: {name}{error.strerror or error}", 1)


def _leave(text: str, exit_code: int) -> NoReturn:
    click.echo(text, err=True)
    sys.exit(exit_code)


def _option(*names: str, of: str = "", **settings: Any) -> Callable[[Any], Any]:
    """An option with an environment variable: `--listen` is PYLB_LISTEN, status `--json` PYLB_STATUS_JSON.

    Only those of `serve`, and `--admin`, are short, because several commands have a `--format`.
    """
    words = [word.upper() for word in ("pylb", of, names[0].lstrip("-")) if word]
    return click.option(*names, envvar="_".join(words), show_envvar=True, **settings)


_config = click.argument(
    "config", type=click.Path(path_type=Path, readable=False), required=False, envvar="PYLB_CONFIG"
)
_admin = _option(
    "--admin",
    metavar="ADDRESS",
    help="Which running pylb is meant: its admin socket, as in unix:/run/pylb/admin.sock.",
)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """pylb: the load balancer a Python team can program."""


@main.command()
@_config
@_option(
    "--listen",
    multiple=True,
    metavar="ADDRESS",
    help="Listen here, as in :8080, instead of reading a file. May be repeated.",
)
@_option("--to", multiple=True, metavar="HOST:PORT", help="Send requests to this backend. May be repeated.")
@_option("--balance", metavar="NAME", help="How to choose a backend; two_choices if left out.")
@_option("--health", metavar="PATH", help="Check backends by asking for this path.")
@_option("--watch", is_flag=True, help="Load the configuration anew whenever a file of it is saved.")
@_admin
def serve(
    config: Path | None,
    listen: tuple[str, ...],
    to: tuple[str, ...],
    balance: str | None,
    health: str | None,
    watch: bool,
    admin: str | None,
) -> None:
    """Balance load, as a file, the options or the built-in demo say.

    CONFIG is pylb.yaml in the current directory if left out. Without that file and options, a demo runs,
    three small servers of its own behind http://127.0.0.1:8080.
    """
    # By default they would end it. They wait until serve hears them, because loading takes a moment.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP, signal.SIGUSR1})
    from pylb.config import Demo, File, Flags

    flags = {"--listen": listen, "--to": to, "--balance": balance, "--health": health}
    given = [name for name, value in flags.items() if value]
    if config is not None and given:
        raise click.UsageError(f"{given[0]} and a file exclude each other: {config} already says it.")
    if given and not (listen and to):
        raise click.UsageError("Without a file, pylb needs both --listen and --to.")
    if given:
        source: File | Flags | Demo = Flags(listen, to, balance, health)
    elif config is not None or DEFAULT_FILE.exists():
        source = File(config or DEFAULT_FILE, os.environ)
    else:
        source = Demo()
    from pylb.serve import serve as run

    sys.exit(run(source, watch=watch, admin=admin))


@main.command()
@_config
@_option(
    "--format",
    "form",
    of="check",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="For people, programs, or GitHub's workflow annotations.",
)
def check(config: Path | None, form: str) -> None:
    """Report every mistake, and what to write instead.

    CONFIG is pylb.yaml in the current directory if left out. Exits with 3 if there is a mistake.
    """
    from pylb.config import File, verdict
    from pylb.config.report import report

    file = config or DEFAULT_FILE
    errors, warnings = verdict.check(File(file, os.environ).load)
    text = report(str(file), errors, warnings, form)
    if text:
        click.echo(text)
    if errors:
        sys.exit(ConfigInvalid.exit_code)


@main.command()
@click.argument("example", type=click.Choice(EXAMPLES), default="default", envvar="PYLB_EXAMPLE")
@_option(
    "--directory",
    of="init",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("."),
    help="Where to write; the current directory if left out.",
)
def init(example: str, directory: Path) -> None:
    """Write a commented starter file; never overwrites one."""
    with resources.as_file(resources.files("pylb") / "examples" / example) as folder:
        copies = {
            file: directory / file.relative_to(folder)
            for file in sorted(folder.rglob("*"))
            if _is_example(file)
        }
        taken = [str(target) for target in copies.values() if target.exists()]
        if taken:
            raise PylbError(f"{', '.join(taken)} exists already; nothing was written")
        for file, target in copies.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
            click.echo(f"wrote {target}")


def _is_example(file: Path) -> bool:
    return file.is_file() and "__pycache__" not in file.parts


@main.command()
@_admin
def reload(admin: str | None) -> None:
    """Make a running pylb read its file again, wait, and report."""
    from pylb.admin import client

    answer = client.reload(admin)
    if not answer["ok"]:
        _leave(answer["text"], answer["exit_code"])
    click.echo(answer["text"])


@main.command()
@_option("--json", "as_json", of="status", is_flag=True, help="As JSON, for programs.")
@_option("--watch", of="status", is_flag=True, help="Show it anew every two seconds, until interrupted.")
@_admin
def status(as_json: bool, watch: bool, admin: str | None) -> None:
    """Show pools and backends, and why one is down."""
    from pylb.admin import client
    from pylb.overview import overview

    while True:
        found = client.status(admin)
        if watch and not as_json:
            click.clear()
        click.echo(json.dumps(found) if as_json else overview(found))
        if not watch:
            return
        _pause(2)


def _pause(seconds: float) -> None:
    import trio

    trio.run(trio.sleep, seconds)


@main.command()
@_option(
    "--format",
    "form",
    of="schema",
    type=click.Choice(["json", "markdown"]),
    default="json",
    show_default=True,
    help="JSON Schema for editors, or a page of every key.",
)
def schema(form: str) -> None:
    """Describe every key of the configuration."""
    from pylb.config import docs

    click.echo(json.dumps(docs.schema(), indent=2) if form == "json" else docs.page(), nl=form == "json")


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), envvar="PYLB_SHELL")
def completion(shell: str) -> None:
    """Print a completion script for the shell.

    In bash: eval "$(pylb completion bash)"; in fish: pylb completion fish | source
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(main, {}, "pylb", "_PYLB_COMPLETE").source())


@main.command()
def version() -> None:
    """Print the versions of pylb and what it is made of."""
    from pylb.core import versions

    found = {**versions(), "python": sys.version.split()[0]}
    width = max(map(len, found))
    for name, number in found.items():
        click.echo(f"{name:<{width}}  {number}")
