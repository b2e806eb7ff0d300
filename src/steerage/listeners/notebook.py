"""The live view in a notebook."""

from __future__ import annotations

import io
import sys
import time
from typing import TYPE_CHECKING, Any, final

from steerage import events
from steerage.listeners.several import Listener
from steerage.listeners.story import Story, minutes
from steerage.metrics import METRICS, metric_named

if TYPE_CHECKING:
    from rich.console import RenderableType

REFRESH_SECONDS = 0.5
COLUMNS = 80
PAGE = '<pre style="line-height: 1.3; margin: 0; white-space: pre">{code}</pre>'

_places: dict[int, Any] = {}  # of the display of the cell that runs now, by its number


def of_notebook() -> tuple[Listener, ...]:
    """A listener for the notebook that this process belongs to; none in a script, on a terminal, or in a worker."""
    return () if _kernel() is None else (Notebook(),)


def _kernel() -> Any:
    """IPython's shell, where it belongs to a notebook. IPython is not imported: in a notebook it is there."""
    module = sys.modules.get("IPython")
    shell = None if module is None else module.get_ipython()
    return shell if getattr(shell, "kernel", None) is not None else None


@final
class Notebook:
    """Listener that shows what a run does below the cell; several runs of one cell share the place, one by one."""

    def __init__(self) -> None:
        self._story: Story | None = None
        self._shown = 0.0
        self._end = "stopped"

    def __call__(self, event: object) -> None:
        if isinstance(event, events.RunStarted):
            self._story, self._end = story_of(event), "stopped"
        if self._story is None:
            return
        self._story.hear(event)
        if isinstance(event, events.RunFinished):
            self._end = _in_short(event)
        elif isinstance(event, events.RunStarted | events.PhaseStarted) or self._due():
            from steerage.listeners.view import view

            self._show(view(self._story))

    def close(self) -> None:
        """Leave two lines: what it was, and what came of it."""
        if self._story is None:
            return
        from rich.console import Group
        from rich.text import Text

        title = Text(self._story.title, style="bold", no_wrap=True, overflow="ellipsis")
        self._show(Group(title, Text(f"{self._end} ({minutes(self._story.clock())})")))
        self._story = None

    def _due(self) -> bool:
        return time.monotonic() - self._shown >= REFRESH_SECONDS

    def _show(self, content: RenderableType) -> None:
        self._shown = time.monotonic()
        html = sys.modules["IPython"].display.HTML(as_html(content))
        cell = getattr(_kernel(), "execution_count", 0)
        if cell in _places:
            _places[cell].update(html)
            return
        _places.clear()
        _places[cell] = sys.modules["IPython"].display.display(html, display_id=True)


def story_of(event: events.RunStarted) -> Story:
    """The state of a run that begins, or goes on."""
    asked, began = event.settings, time.monotonic() - event.used
    down = " down" if asked.get("front") or asked.get("max_loss") is not None else ""
    story = Story(f"{asked['kind']}{down}", event.title, clock=lambda: time.monotonic() - began, seconds=event.seconds)
    story.metric, story.target_std = metric_named(asked.get("metric"), asked["task"]), event.target_std
    story.wanted = asked.get("trials")
    story.recall(event.earlier)
    return story


def as_html(content: RenderableType) -> str:
    """What rich would print, as HTML that needs nothing else."""
    from rich.console import Console

    console = Console(file=io.StringIO(), record=True, width=COLUMNS, highlight=False, force_jupyter=False)
    console.print(content)
    return console.export_html(inline_styles=True, code_format=PAGE)


def _in_short(event: events.RunFinished) -> str:
    """``validation error 1.2 %, test error 1.3 %, 1,480 parameters``."""
    summary = event.summary
    metric = METRICS[summary["metric"]]
    known = {part: value for part, value in (summary.get(metric.name) or {}).items() if value is not None}
    parts = [f"{part} {metric.title} {metric.written(value)}" for part, value in known.items()]
    return ", ".join([*parts, f"{summary['params']:,} parameters"])
