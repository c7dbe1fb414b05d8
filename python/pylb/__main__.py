"""`python -m pylb` is the `pylb` command."""

from pylb.cli import main

main(prog_name="pylb")
