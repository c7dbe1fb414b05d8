"""What all commands have in common: options with environment variables, errors as lines, exit codes."""

import sys
from collections.abc import Callable
from typing import Any, NoReturn

import click

from pylb.errors import ConfigInvalid, PylbError


class Commands(click.Group):
    """Turns what pylb raises on purpose, and what the system refuses, into clear lines and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigInvalid as error:
            leave(str(error), error.exit_code)
        except PylbError as error:
            leave(f"pylb: {error}", error.exit_code)
        except BrokenPipeError:
            raise
        except OSError as error:
            name = f"{error.filename}: " if error.filename else ""
            leave(f"pylb: {name}{error.strerror or error}", 1)


def leave(text: str, exit_code: int) -> NoReturn:
    click.echo(text, err=True)
    sys.exit(exit_code)


def option(*names: str, of: str = "", **settings: Any) -> Callable[[Any], Any]:
    """An option with an environment variable: `--listen` is PYLB_LISTEN, status `--json` PYLB_STATUS_JSON.

    Only those of `serve`, and `--admin`, are short, because several commands have a `--format`.
    """
    words = [word.upper() for word in ("pylb", of, names[0].lstrip("-")) if word]
    return click.option(*names, envvar="_".join(words), show_envvar=True, **settings)


admin_option = option(
    "--admin",
    metavar="ADDRESS",
    help="Which running pylb is meant: its admin socket, as in unix:/run/pylb/admin.sock, or its TCP "
    "address, whose token is read from PYLB_ADMIN_TOKEN.",
)
