"""What a network predicts on rows that it has not learnt from, and where it is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from steerage.analysis.pictures import png
from steerage.data.dataset import Dataset
from steerage.training.evaluate import predict

HARDEST = 12
BINS = 10  # of confidence
PAIRS = 400  # of a regression's values that are drawn
MOST_CLASSES = 100  # of which a table of confusions is kept


def predictions(model: nn.Module, dataset: Dataset, x: Tensor, y: Tensor) -> dict[str, Any]:
    """Figures of ``model`` on encoded rows ``x`` with targets ``y`` (n,), n > 0, as JSON takes them.

    Classification: ``confusion`` (classes, classes), rows are the true ones; ``confidence``, for ten equal bins of the
    largest probability those that have rows: ``rows``, mean ``confidence``, share ``right``; ``hardest``: the rows of
    the largest loss. Regression: ``pairs`` of true and predicted values in the target's units, a sample of 400, and
    the ``hardest``. A hardest row has its place ``row`` in ``x``, and a ``picture`` (PNG in base64) where it is one.
    """
    scores = predict(model, dataset, x)
    if dataset.spec.task == "regression":
        return _of_regression(dataset, x, y, scores[:, 0])
    probabilities = scores.double().softmax(dim=1)
    best, named = (one.numpy() for one in probabilities.max(dim=1))
    true = y.numpy()
    losses = -probabilities[torch.arange(len(y)), y].clamp_min(1e-300).log()
    found: dict[str, Any] = {
        "rows": len(true),
        "classes": list(dataset.classes),
        "confidence": _confidence(best, named == true),
        "hardest": [
            {
                "row": row,
                "true": dataset.classes[true[row]],
                "predicted": dataset.classes[named[row]],
                "confidence": float(best[row]),
                **_picture(dataset, x[row]),
            }
            for row in _largest(losses.numpy())
        ],
    }
    classes = dataset.spec.outputs
    if classes <= MOST_CLASSES:
        counts = np.bincount(true * classes + named, minlength=classes * classes)
        found["confusion"] = counts.reshape(classes, classes).tolist()
    return found


def _confidence(best: NDArray[np.float64], right: NDArray[np.bool_]) -> list[dict[str, float]]:
    bins = np.minimum((best * BINS).astype(int), BINS - 1)
    return [
        {"rows": int(inside.sum()), "confidence": float(best[inside].mean()), "right": float(right[inside].mean())}
        for place in range(BINS)
        if (inside := bins == place).any()
    ]


def _of_regression(dataset: Dataset, x: Tensor, y: Tensor, outputs: Tensor) -> dict[str, Any]:
    true, named = (
        (one.double() * dataset.target_std + dataset.target_mean).numpy().astype(float) for one in (y, outputs)
    )
    some = np.linspace(0, len(true) - 1, min(PAIRS, len(true))).round().astype(int)
    return {
        "rows": len(true),
        "pairs": [[float(true[row]), float(named[row])] for row in some],
        "hardest": [
            {"row": row, "true": float(true[row]), "predicted": float(named[row]), **_picture(dataset, x[row])}
            for row in _largest(np.abs(true - named))
        ],
    }


def _largest(values: NDArray[np.float64]) -> list[int]:
    return [int(row) for row in np.argsort(-values, kind="stable")[:HARDEST]]


def _picture(dataset: Dataset, row: Tensor) -> dict[str, str]:
    """An image, its values stretched from black to white."""
    if dataset.spec.kind != "image" or row.ndim != 3 or len(row) not in (1, 3):
        return {}
    pixels = row.numpy().astype(float)
    low, high = pixels.min(), pixels.max()
    bytes_ = (255.0 * (pixels - low) / max(high - low, 1e-12)).round().astype(np.uint8)
    return {"picture": png(bytes_[0] if len(bytes_) == 1 else bytes_.transpose(1, 2, 0))}
