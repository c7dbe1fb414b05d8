"""The descriptor limit: every client costs one, and mostly one more for the backend it is sent to.

Soft limits are low for the sake of old programs that use select(2); the hard limit is what the administrator
allows. `pylb serve` raises the one to the other. A program that embeds pylb keeps its own.
"""

import resource


def raise_descriptors() -> int:
    """Raises the soft limit as far as the system allows; returns it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        # An unlimited hard limit is above what the kernel gives to one process (fs.nr_open).
        return soft
    return hard
