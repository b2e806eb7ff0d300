"""The ``steerage`` command: parse, call one function, show its events."""

from __future__ import annotations

import time

STARTED = time.monotonic()  # before every import that takes time, because --minutes counts from here


def main() -> None:
    """Run the command line of this process, and exit with its code."""
    import sys

    from steerage.cli import signals

    signals.install()
    from steerage.cli.guard import run

    sys.exit(run(sys.argv[1:], started=STARTED))
