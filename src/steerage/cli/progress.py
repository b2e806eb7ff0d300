"""How a run is watched: a live view on a terminal, now and then a line elsewhere. All of it goes to stderr."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from steerage.cli.story import Story

if TYPE_CHECKING:
    from rich.console import Group

REFRESHES_PER_SECOND = 2
LABEL_WIDTH, BAR_WIDTH = 10, 28

Say = Callable[[str], None]


@contextlib.contextmanager
def shown(story: Story, *, quiet: bool) -> Iterator[Say]:
    """Show ``story`` while the context lasts, and give a function that takes the lines that a log should have.

    A terminal that goes away does not end the run.
    """
    if quiet:
        yield lambda line: None
    elif not _is_terminal():
        yield lambda line: _print(f"[{_elapsed(story)}] {line}")
    else:
        with _live(story):
            yield lambda line: None


def _elapsed(story: Story) -> str:
    from steerage.cli.story import minutes

    return minutes(story.clock())


def _is_terminal() -> bool:
    if sys.stderr is None or not sys.stderr.isatty():
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


def view(story: Story) -> Group:
    """The live view: six lines or fewer, 80 columns or narrower where the terminal is."""
    from rich.console import Group, RenderableType
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    def line(text: str, style: str = "") -> Text:
        return Text(text, style=style, no_wrap=True, overflow="ellipsis")

    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=LABEL_WIDTH)
    grid.add_column(no_wrap=True, overflow="ellipsis")
    grid.add_row(line("time", "dim"), line(story.time()))
    grid.add_row(line("phase", "dim"), line(story.where()))
    if "search" in story.phases:
        failed = f", {story.failed} failed" if story.failed else ""
        tau = "" if story.tau is None else f"; predictor τ {story.tau:.2f}"
        gain = "" if story.gain is None else f"; expected gain {story.gained(story.gain)}"
        grid.add_row(line("trials", "dim"), line(f"{story.counted_trials()} done{failed}{tau}{gain}"))
    grid.add_row(line("best", "dim"), line(story.best_so_far().removeprefix("best ")))
    training = story.training
    if training is not None:
        inner = Table.grid(padding=(0, 1))
        bar: RenderableType = ProgressBar(total=1.0, completed=training.progress, width=BAR_WIDTH)
        inner.add_row(bar, line(f"{training.progress:4.0%} {training.name}, loss {training.loss:.4g}"))
        grid.add_row(line("training", "dim"), inner)
    return Group(line(story.title, "bold"), grid)
