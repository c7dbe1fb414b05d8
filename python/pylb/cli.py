"""The command line: arguments -> one call.

Each command does its work elsewhere and imports it only when it runs, so that `pylb version` or a completion
does not wait for an engine. Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 configuration invalid.
"""

import json
import os
import shutil
import signal
import sys
from importlib import resources
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from pylb import operate
from pylb.command import Commands, admin_option, option
from pylb.errors import ConfigInvalid, PylbError

DEFAULT_FILE = Path("pylb.yaml")
EXAMPLES = (
    "default",
    "docker",
    "gradio",
    "gunicorn",
    "jupyter",
    "mcp",
    "passthrough",
    "socketio",
    "streamlit",
    "systemd",
    "tcp",
    "tls",
    "udp",
    "uvicorn",
)


_config = click.argument(
    "config", type=click.Path(path_type=Path, readable=False), required=False, envvar="PYLB_CONFIG"
)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """pylb: the load balancer a Python team can program."""


@main.command()
@_config
@option(
    "--listen",
    multiple=True,
    metavar="ADDRESS",
    help="Listen here, as in :8080, instead of reading a file. May be repeated.",
)
@option("--to", multiple=True, metavar="HOST:PORT", help="Send requests to this backend. May be repeated.")
@option("--balance", metavar="NAME", help="How to choose a backend; two_choices if left out.")
@option("--health", metavar="PATH", help="Check backends by asking for this path.")
@option("--watch", is_flag=True, help="Load the configuration anew whenever a file of it is saved.")
@admin_option
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
@option(
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
@click.argument("request", nargs=-1, metavar="[CONFIG] METHOD URL")
@option("--header", "-H", of="explain", multiple=True, metavar="'NAME: VALUE'", help="May be repeated.")
@option(
    "--client",
    of="explain",
    metavar="IP",
    default="127.0.0.1",
    help="The peer; from a trusted proxy, X-Forwarded-For says who asks.",
)
@option("--listener", of="explain", metavar="NAME", help="If the port of the URL does not say which one.")
@option("--json", "as_json", of="explain", is_flag=True, help="As JSON, for programs.")
def explain(
    request: tuple[str, ...], header: tuple[str, ...], client: str, listener: str | None, as_json: bool
) -> None:
    """Say which route, pool and backend a request would get, and why. Nothing is sent.

    URL is http://shop.example/x, or only /x. CONFIG is pylb.yaml in the current directory if left out.
    """
    if len(request) not in (2, 3):
        raise click.UsageError("Expected METHOD and URL, perhaps behind a file.")
    from pylb.asked import asked
    from pylb.config import File, verdict
    from pylb.decision import decision, told

    *files, method, url = request
    source = File(Path(files[0] if files else os.environ.get("PYLB_CONFIG", DEFAULT_FILE)), os.environ)
    errors, _ = verdict.check(source.load)
    if errors:
        raise ConfigInvalid(errors)
    config = source.load()
    question = asked(config.model, method, url, headers=header, client=client, listener=listener)
    trace = decision(config, question, os.environ)
    click.echo(json.dumps(trace) if as_json else told(config, trace))


@main.command()
@click.argument("example", type=click.Choice(EXAMPLES), default="default", envvar="PYLB_EXAMPLE")
@option(
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


for command in operate.COMMANDS:
    main.add_command(command)


@main.command()
@option(
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
