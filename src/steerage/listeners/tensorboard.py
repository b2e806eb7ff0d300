"""Runs in TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from steerage import events
from steerage.errors import MissingDependency
from steerage.listeners.figures import figures

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter


@final
class TensorBoard:
    """Listener that writes what a run does into ``folder``, for ``tensorboard --logdir FOLDER``.

    Curves of the search by trial, of the predictor by trial, and of each longer training by thousandths of it; what was
    asked and what came out as text. Raises: MissingDependency without the package tensorboard.
    """

    def __init__(self, folder: str | Path) -> None:
        try:
            import tensorboard  # noqa: F401
        except ImportError as error:
            raise MissingDependency("it needs TensorBoard: pip install 'steerage-nn[tensorboard]'") from error
        self.folder = Path(folder)
        self._writer: SummaryWriter | None = None
        self._last: dict[str, int] = {}  # step of each curve

    def __call__(self, event: object) -> None:
        """Take in an event. Raises: OSError where the folder cannot be written to."""
        writer = self._opened()
        if isinstance(event, events.RunStarted):
            writer.add_text("run/settings", _table(event.settings))
        for figure in figures(event):
            if self._last.get(figure.name) != figure.step:  # signs of life come more often than they differ
                writer.add_scalar(figure.name, figure.value, figure.step)
                self._last[figure.name] = figure.step
        if isinstance(event, events.TrialFinished):
            writer.add_text("search/values", _table(event.values), event.number)
        if not isinstance(event, events.Training):
            writer.flush()

    def close(self) -> None:
        """Write what is left. A run that follows goes on in the same folder."""
        if self._writer is not None:
            self._writer.close()
        self._writer = None
        self._last.clear()

    def _opened(self) -> SummaryWriter:
        if self._writer is None:
            from torch.utils.tensorboard.writer import SummaryWriter

            self._writer = SummaryWriter(str(self.folder))
        return self._writer


def _table(values: Mapping[str, Any]) -> str:
    """Names and values in Markdown."""
    rows = [f"| {name} | {value} |" for name, value in values.items() if value is not None]
    return "\n".join(["| name | value |", "|---|---|", *rows])
