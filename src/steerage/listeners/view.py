"""A run at a glance, drawn with rich: on a terminal, and in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from steerage.listeners.story import Story

if TYPE_CHECKING:
    from rich.console import Group

LABEL_WIDTH, BAR_WIDTH = 10, 28


def view(story: Story) -> Group:
    """The live view: seven lines or fewer, 80 columns or narrower where the terminal is."""
    from rich.console import Group, RenderableType
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    def line(text: str, style: str = "") -> Text:
        return Text(text, style=style, no_wrap=True, overflow="ellipsis")

    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(width=LABEL_WIDTH)
    grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")  # what is too long is cut off, and not the labels
    grid.add_row(line("time", "dim"), line(story.time()))
    grid.add_row(line("phase", "dim"), line(story.where()))
    if "search" in story.phases:
        failed = f", {story.failed} failed" if story.failed else ""
        grid.add_row(line("trials", "dim"), line(f"{story.counted_trials()} done{failed}"))
        if story.round is not None:
            tau = "" if story.tau is None else f"; predictor τ {story.tau:.2f}"
            gain = "" if story.gain is None else f"; expected gain {story.gained(story.gain)}"
            grid.add_row(line("round", "dim"), line(f"{story.round}{tau}{gain}"))
    grid.add_row(line("best", "dim"), line(story.best_so_far().removeprefix("best ")))
    training = story.training
    if training is not None:
        inner = Table.grid(padding=(0, 1))
        bar: RenderableType = ProgressBar(total=1.0, completed=training.progress, width=BAR_WIDTH)
        inner.add_row(bar, line(f"{training.progress:4.0%} {training.name}, loss {training.loss:.4g}"))
        grid.add_row(line("training", "dim"), inner)
    return Group(line(story.title, "bold"), grid)
