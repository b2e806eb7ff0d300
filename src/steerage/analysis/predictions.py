"""What a network predicts on rows that it has not learnt from, and where it is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from steerage.analysis.pictures import png
from steerage.data.dataset import Dataset

HARDEST = 12
BINS = 10  # of confidence
PAIRS = 400  # of a regression's values that are drawn, beside those of the hardest rows
MOST_CLASSES = 100  # of which a table of confusions is kept


def predictions(outputs: Tensor, dataset: Dataset, x: Tensor, y: Tensor) -> dict[str, Any]:
    """Figures of a network whose ``outputs`` (n, outputs) are for rows ``x`` with targets ``y`` (n,), n > 0, for JSON.

    Classification: ``confusion`` (classes, classes), rows are the true ones; ``confidence``, for ten equal bins of the
    largest probability those that have rows: ``rows``, mean ``confidence``, share ``right``; ``hardest``: the rows of
    the largest loss. Regression: ``pairs`` of true and predicted values in the target's units, of 400 rows at even
    distances and of the hardest, and the ``hardest``; of several targets a list ``targets``, each with its ``name`` and
    ``pairs``. Labels that are on or off: a list ``labels``, each with ``name``, rows where it is ``on``, where it was
    ``named``, and where both.
    A hardest row has its place ``row`` in ``x``, and a ``picture`` (PNG in base64) where it is one.
    """
    if dataset.spec.task == "regression":
        return _of_regression(dataset, x, y, outputs)
    if dataset.spec.task == "multilabel":
        return _of_labels(dataset, y > 0.5, outputs > 0.0)
    probabilities = outputs.double().softmax(dim=1)
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


def _of_labels(dataset: Dataset, on: Tensor, named: Tensor) -> dict[str, Any]:
    counts = zip(dataset.classes, on.sum(0).tolist(), named.sum(0).tolist(), (on & named).sum(0).tolist(), strict=True)
    labels = [{"name": name, "on": there, "named": said, "both": both} for name, there, said, both in counts]
    return {"rows": len(on), "labels": labels}


def _of_regression(dataset: Dataset, x: Tensor, y: Tensor, outputs: Tensor) -> dict[str, Any]:
    mean, std = (torch.as_tensor(one, dtype=torch.float64) for one in (dataset.target_mean, dataset.target_std))
    trues, outs = ((one.reshape(len(y), -1).double() * std + mean).numpy().astype(float) for one in (y, outputs))
    some = np.linspace(0, len(trues) - 1, min(PAIRS, len(trues))).round().astype(int)
    worst = _largest(np.abs(trues - outs)[:, 0]) if trues.shape[1] == 1 else []
    some = np.unique([*some, *worst])
    pairs = np.stack([trues[some], outs[some]], axis=2)  # (rows, targets, 2)
    if trues.shape[1] > 1:
        names = (dataset.target_name or "").split(",")
        names = names if len(names) == trues.shape[1] else [str(place) for place in range(trues.shape[1])]
        targets = [{"name": name.strip(), "pairs": pairs[:, at].tolist()} for at, name in enumerate(names)]
        return {"rows": len(trues), "targets": targets}
    true, named = trues[:, 0], outs[:, 0]
    return {
        "rows": len(true),
        "pairs": pairs[:, 0].tolist(),
        "hardest": [
            {"row": row, "true": float(true[row]), "predicted": float(named[row]), **_picture(dataset, x[row])}
            for row in worst
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
