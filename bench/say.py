"""One line to the terminal, at once: a run takes half an hour, and whoever waits wants to see it move."""

import sys


def say(line: str = "") -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
