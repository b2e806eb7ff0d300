"""Ctrl-C and SIGTERM: the first ends the run in good order, the second ends the process at once."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

STOPPED = "stopped; give the same command again to go on"
_SHOW_CURSOR = "\x1b[?25h"  # a live view hides it, and nobody is left to bring it back
_received: list[int] = []


def install() -> None:
    """Turn SIGINT and SIGTERM into KeyboardInterrupt; signals that the parent process has switched off stay off."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _on_signal)
    sys.unraisablehook = _on_unraisable


def received() -> bool:
    """Whether a signal to stop has come."""
    return bool(_received)


def check() -> None:
    """Raise KeyboardInterrupt again if a signal came and the exception was lost in a callback of some library."""
    if _received:
        raise KeyboardInterrupt


def exit_code() -> int:
    """128 and the number of the signal, as shells have it: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + (_received[0] if _received else signal.SIGINT)


def stopped() -> int:
    """Say that the command was stopped; return its exit code. What goes wrong from here on is not worth a word."""
    finish(exit_code())
    if sys.stderr is not None:
        print(STOPPED, file=sys.stderr, flush=True)
    return exit_code()


def finish(code: int) -> None:
    """From here on a signal ends the process at once, with ``code``: all is said, and Python only tidies up."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, frame: os._exit(code))


def _on_unraisable(lost: sys.UnraisableHookArgs) -> None:
    # Raised inside a finalizer, the interruption goes nowhere; ``check`` raises it again, so nobody needs to read this.
    if not (_received and isinstance(lost.exc_value, KeyboardInterrupt)):
        sys.__unraisablehook__(lost)


def _on_signal(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    if len(_received) > 1:
        if sys.stderr is not None and sys.stderr.isatty():
            os.write(2, _SHOW_CURSOR.encode())
        os._exit(128 + number)
    raise KeyboardInterrupt
