"""What a run is about, in a line, and what it delivered, in the documented form of summary.json."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from steerage.cost.count import Cost
from steerage.cost.device import Device
from steerage.cost.latency import Latency
from steerage.data.dataset import Dataset
from steerage.metrics import metric_named, unit
from steerage.report.text import bounded, counted
from steerage.training.evaluate import Scores

VERSION = 1
CODE = {"flash": "flash_bytes", "ram": "ram_bytes", "instructions": "instructions"}  # costs of it, as they are told


def title_of(dataset: Dataset, bounds: Mapping[str, float | None]) -> str:
    """``digits: 1,437 training rows, 10 classes; at most 1,500 parameters``."""
    several = f" of {dataset.spec.outputs} targets" if dataset.spec.outputs > 1 else ""
    noun = "labels" if dataset.spec.task == "multilabel" else "classes"
    kind = f"regression{several}" if dataset.spec.task == "regression" else f"{dataset.spec.outputs} {noun}"
    given = [bounded(name, bound) for name, bound in bounds.items() if bound is not None]
    within = f"; at most {' and '.join(given)}" if given else ""
    return f"{dataset.name}: {counted(dataset.spec.rows, 'training row')}, {kind}{within}"


def errors(dataset: Dataset, *, validation: Scores | None, test: Scores | None) -> dict[str, Any]:
    """``error`` by part as fractions in [0, 1]; for regression ``r2`` and ``rmse`` instead, in the target's units; of
    several targets in standard deviations.

    And the figure of the metric that networks were compared by, under its name, where that is another.
    """
    parts: Mapping[str, Scores | None] = {"validation": validation, "test": test}
    known = {part: scores for part, scores in parts.items() if scores is not None and scores.rows > 0}
    usual = {part: one.error if one.usual is None else one.usual for part, one in known.items()}
    metric = metric_named(dataset.metric, dataset.spec.task)
    asked = {part: metric.figure(one.error, dataset.target_std) for part, one in known.items()}
    if dataset.spec.task != "regression":
        figures = {"error": usual}
    else:
        rmse = {part: math.sqrt(one.loss) * unit(dataset.target_std) for part, one in known.items()}
        figures = {"r2": {part: 1.0 - error for part, error in usual.items()}, "rmse": rmse}
    figures.setdefault(metric.name, asked)
    return {name: {part: values.get(part) for part in parts} for name, values in figures.items()}


def entry(
    dataset: Dataset,
    cost: Cost,
    *,
    epochs: float,
    validation: Scores | None,
    test: Scores | None,
    latency: Latency | None = None,
    device: Device | None = None,
) -> dict[str, Any]:
    """Errors and costs of one network; those of code are null where it has no C form, ``latency`` only where measured.

    ``latency_ms`` of a board with a clock is estimated. ``epochs``: of the last training, so that a network that had
    little time is not taken for the best of its kind.
    """
    counts = {name: value for name, value in cost.to_json().items() if name not in CODE}
    code = {name: getattr(cost, field) for field, name in CODE.items()}
    measured = errors(dataset, validation=validation, test=test)
    times: dict[str, Any] = {}
    if latency is not None:
        times = {"latency_ms": latency.median_ms, "latency": latency.to_json()}
    elif device is not None and cost.instructions is not None and device.mhz is not None:
        times = {"latency_ms": device.milliseconds(cost.instructions)}
    return {**measured, **counts, **code, **times, "epochs": round(epochs, 2)}
