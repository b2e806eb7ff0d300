"""What events have to plot: numbers with a name and a step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

from steerage import events
from steerage.metrics import METRICS

PER_MILLE = 1000  # steps of a training, whose length may be one of time
COSTS = ("params", "dense_params", "macs", "dense_macs", "flash_bytes", "ram_bytes", "latency_ms")
PREDICTOR = ("tau", "spearman", "rmse", "coverage", "gain")


@final
@dataclass(frozen=True)
class Figure:
    """One point of a curve. ``name``: like ``search/best``; ``step``: trials, or thousandths of a training."""

    name: str
    value: float
    step: int


def figures(event: object) -> Iterator[Figure]:
    """The points that ``event`` adds; none for one without numbers. Losses of trials are left out: there are many."""
    if isinstance(event, events.TrialFinished):
        yield Figure("search/objective", event.error, event.number)
        yield Figure("search/best", event.best_error, event.number)
        for name, value in event.metrics.items():
            yield Figure(f"search/{name}", value, event.number)
    elif isinstance(event, events.RoundFinished):
        for name in PREDICTOR:
            if (value := getattr(event, name)) is not None:
                yield Figure(f"predictor/{name}", value, event.trials)
    elif isinstance(event, events.Training) and not event.name.startswith("trial "):
        yield Figure(f"{event.name}/loss", event.loss, _step(event.progress))
    elif isinstance(event, events.NetworkEdited):
        yield Figure(f"{event.name}/connections", event.after, _step(event.progress))
        yield Figure(f"{event.name}/units", event.units_after, _step(event.progress))
        if event.error is not None:
            yield Figure(f"{event.name}/error", event.error, _step(event.progress))
    elif isinstance(event, events.NetworkTrained):
        yield Figure(f"{event.name}/error", event.error, PER_MILLE)
        yield Figure(f"{event.name}/params", event.params, PER_MILLE)
    elif isinstance(event, events.RunFinished):
        for name, value in delivered(event.summary):
            yield Figure(f"delivered/{name}", value, 0)


def delivered(summary: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Costs and figures of quality of the network that a run delivers: ``params``, ``error/test`` and others."""
    for name in COSTS:
        if summary.get(name) is not None:
            yield name, summary[name]
    for name in METRICS:
        for part, value in (summary.get(name) or {}).items():
            if value is not None:
                yield f"{name}/{part}", value


def _step(progress: float) -> int:
    return round(PER_MILLE * progress)
