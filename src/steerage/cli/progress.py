"""How a run is watched: a live view on a terminal, now and then a line elsewhere. All of it goes to stderr."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator

from steerage.listeners.story import Story, minutes

REFRESHES_PER_SECOND = 2

Say = Callable[[str], None]


@contextlib.contextmanager
def shown(story: Story, *, quiet: bool) -> Iterator[Say]:
    """Show ``story`` while the context lasts, and give a function that takes the lines that a log should have.

    A terminal that goes away does not end the run.
    """
    if quiet:
        yield lambda line: None
    elif not _is_terminal():
        yield lambda line: _print(f"[{minutes(story.clock())}] {line}")
    else:
        with _live(story):
            yield lambda line: None


def _is_terminal() -> bool:
    """Whether somebody watches: CI services give a terminal that keeps every redrawing as lines of a log."""
    if sys.stderr is None or not sys.stderr.isatty() or os.environ.get("CI", "").lower() not in ("", "0", "false"):
        return False
    from rich.console import Console

    return not Console(stderr=True).is_dumb_terminal


def _print(line: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def _live(story: Story) -> Iterator[None]:
    from rich.console import Console
    from rich.live import Live

    from steerage.listeners.view import view

    live = Live(
        console=Console(stderr=True, highlight=False),
        get_renderable=lambda: view(story),
        refresh_per_second=REFRESHES_PER_SECOND,
        transient=True,
    )
    with contextlib.suppress(OSError):
        live.start(refresh=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            live.stop()
