"""What a network can be judged by: names, and how figures are written. They are computed in ``training.measure``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, final

from steerage.errors import BadArgument

Form = Literal["share", "complement", "units"]
CLASSES, NUMBERS = ("classification", "multilabel"), ("regression",)  # tasks


@final
@dataclass(frozen=True)
class Metric:
    """One way to judge a network. Inside the program each is an error: at least 0, and lower is better.

    ``form``: the figure that users see is that error as a share of rows ("share"), 1 minus it ("complement"), or it
    times the standard deviation of the target ("units"; of several targets it stays in their standard
    deviations). ``title``: what the figure is called. ``by_class``: whether it is a mean over classes, so that rare
    classes count as much as frequent ones.
    """

    name: str
    tasks: tuple[str, ...]
    title: str
    form: Form
    by_class: bool = False

    def figure(self, error: float, target_std: float | tuple[float, ...] = 1.0) -> float:
        """The figure that users see."""
        if self.form == "units":
            return error * unit(target_std)
        return 1.0 - error if self.form == "complement" else error

    def written(self, figure: float) -> str:
        """``4.10 %`` of a share of rows, ``0.9817`` of others, ``52,346`` of large ones."""
        return f"{100.0 * figure:.2f} %" if self.form == "share" else plain(figure)

    @property
    def error_title(self) -> str:
        """What the error itself is called."""
        if self.form == "complement":
            return f"1 - {self.title}"
        return f"{self.title}, in standard deviations" if self.form == "units" else self.title


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("error", CLASSES, "error", "share"),
        Metric("balanced_error", CLASSES, "balanced error", "share", by_class=True),
        Metric("f1", CLASSES, "F1", "complement", by_class=True),
        Metric("auroc", CLASSES, "AUROC", "complement", by_class=True),
        Metric("r2", NUMBERS, "R²", "complement"),
        Metric("rmse", NUMBERS, "RMSE", "units"),
        Metric("mae", NUMBERS, "MAE", "units"),
    )
}
USUAL: Mapping[str, Metric] = {  # by task
    "classification": METRICS["error"],
    "multilabel": METRICS["error"],
    "regression": METRICS["r2"],
}


def plain(value: float) -> str:
    """Four digits, and whole numbers with thousands set apart from 10,000 to a million million."""
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e12 else f"{value:.4g}"


def unit(target_std: float | tuple[float, ...]) -> float:
    """What errors in standard deviations are to be multiplied by: several targets have no common unit, so 1."""
    return 1.0 if isinstance(target_std, tuple) else target_std


def metric_named(name: str | None, task: str) -> Metric:
    """The metric called ``name``, or the usual one of the task. Raises: BadArgument for a name that is not of it."""
    if name is None:
        return USUAL[task]
    fitting = [metric.name for metric in METRICS.values() if task in metric.tasks]
    if name not in fitting:
        raise BadArgument(f"there is no metric {name!r} for {task}; choose one of {', '.join(fitting)}")
    return METRICS[name]
