"""Ctrl-C and SIGTERM: the first ends the run in good order, the second ends the process at once."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from types import FrameType

from steerage import stops

STOPPED = "stopped; give the same command again to go on"
GRACE_SECONDS = 4.5  # within which a stop is heeded; what was saved until then is on the disk

_SHOW_CURSOR = "\x1b[?25h"  # a live view hides it, and nobody is left to bring it back
_received: list[int] = []
_heeded = threading.Event()


def install() -> None:
    """Turn SIGINT and SIGTERM into KeyboardInterrupt; signals that the parent process has switched off stay off.

    It comes between two steps of a training, and not within one. Where it cannot come for ``GRACE_SECONDS``, since some
    library computes without a break, the process ends without it, as if it had been killed.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _on_signal)
    sys.unraisablehook = _on_unraisable
    hear, tell = socket.socketpair()
    tell.setblocking(False)
    # Python calls handlers when the main thread comes round to it; this way the number of the signal is told at once.
    signal.set_wakeup_fd(tell.detach(), warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(hear,), daemon=True).start()


def received() -> bool:
    """Whether a signal to stop has come."""
    return bool(_received)


def check() -> None:
    """Raise KeyboardInterrupt if a signal came and had to wait, or its exception was lost in a library's callback."""
    if _received and not stops.must_wait():
        _heeded.set()
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
        _end(number)
    if not stops.must_wait():
        _heeded.set()
        raise KeyboardInterrupt


def _watch(told: socket.socket) -> None:
    """End the process if a signal to stop is not heeded in time. It reads on: Python tells of a pipe that is closed."""
    while number := told.recv(1):
        if number[0] in (signal.SIGINT, signal.SIGTERM) and not _heeded.wait(GRACE_SECONDS):
            text = "stopped in the middle of a long computation; what was saved before it is kept; "
            os.write(2, f"{text}give the same command again to go on\n".encode())
            _end(number[0])


def _end(number: int) -> None:
    if sys.stderr is not None and sys.stderr.isatty():
        os.write(2, _SHOW_CURSOR.encode())
    os._exit(128 + number)
