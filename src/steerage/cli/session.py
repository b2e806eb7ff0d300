"""What the commands and the guard around them tell each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias


@dataclass
class Session:
    """One command line at work. ``started``: second of ``time.monotonic()``; ``command``: the line itself.

    ``folder``: of the run, once it is known; what goes wrong is written there.
    """

    started: float
    command: str
    folder: Path | None = None


Job: TypeAlias = Callable[[Session], str]  # does what a command line asks for, and returns the text for stdout


class Stopped(KeyboardInterrupt):
    """A run that was interrupted, with a message that says what was kept and how it goes on.

    ``rests``: by itself, since the minutes of this call are over.
    """

    def __init__(self, message: str, *, rests: bool = False) -> None:
        super().__init__(message)
        self.rests = rests
