"""What a run delivered, in the documented form of summary.json."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from steerage.cost.count import Cost
from steerage.data.dataset import Dataset
from steerage.training.evaluate import Scores

VERSION = 1


def errors(dataset: Dataset, *, validation: Scores | None, test: Scores | None) -> dict[str, Any]:
    """``error`` by part as fractions in [0, 1]; for regression ``r2`` and ``rmse`` (in the target's units) instead."""
    parts: Mapping[str, Scores | None] = {"validation": validation, "test": test}
    known = {part: scores for part, scores in parts.items() if scores is not None and scores.rows > 0}
    if dataset.spec.task == "classification":
        return {"error": {part: known[part].error if part in known else None for part in parts}}
    return {
        "r2": {part: 1.0 - known[part].error if part in known else None for part in parts},
        "rmse": {part: math.sqrt(known[part].loss) * dataset.target_std if part in known else None for part in parts},
    }


def entry(
    dataset: Dataset, cost: Cost, *, epochs: float, validation: Scores | None, test: Scores | None
) -> dict[str, Any]:
    """Errors and costs of one network; flash and RAM are null where it has no C form.

    ``epochs``: of its last training, so that a network that had little time is not taken for the best of its kind.
    """
    counts = {name: value for name, value in cost.to_json().items() if name not in ("flash", "ram")}
    memory = {"flash_bytes": cost.flash, "ram_bytes": cost.ram}
    measured = errors(dataset, validation=validation, test=test)
    return {**measured, **counts, **memory, "epochs": round(epochs, 2)}
