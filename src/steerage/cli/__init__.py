"""The ``steerage`` command: parse, call one function, show its events."""

from __future__ import annotations

import time

STARTED = time.monotonic()  # before every import that takes time, because --minutes counts from here


def main() -> None:
    """Run the command line of this process, and exit with its code."""
    import gc
    import sys

    from steerage.cli import signals

    try:
        signals.install()
        from steerage.cli.guard import run

        code = run(sys.argv[1:], started=STARTED)
        signals.finish(code)
    except KeyboardInterrupt:  # while there was no guard yet, or no more
        code = signals.stopped()
    # Taking thousands of imported modules apart would keep the user waiting for seconds after the last line.
    gc.disable()
    gc.freeze()
    sys.exit(code)
