"""The loss that a network would have if it were no surer of itself than it should be.

A network that goes on with rows it knows by heart becomes too sure of itself, and its loss rises while it tells classes
apart no worse, or better. What is left of the loss once that is put right by one factor for all outputs ("temperature
scaling", Guo et al., arXiv 1706.04599) says how well it tells them apart, and is the better guide to how long it is
trained (Berta, Holzmueller, Jordan & Bach, "Rethinking early stopping: refine, then calibrate", arXiv 2501.19195).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

LEAST, MOST = 0.02, 50.0  # times the outputs
HALVINGS = 24  # of the interval between them, on a scale of logarithms


def refined_loss(outputs: Tensor, y: Tensor, weights: Tensor | None = None) -> float:
    """Cross-entropy of ``outputs`` (n, classes) times the best factor, for codes ``y`` (n,), or labels (n, classes).

    The factor is at most 1: what is not sure enough has yet to learn, and that is no fault of the measure. Rows count
    as much as ``weights`` (n,) say.
    """
    scaled, shares = min(1.0, best_factor(outputs, y, weights)) * outputs.double(), _shares(y, weights)
    if y.ndim == 2:
        return float(shares @ F.binary_cross_entropy_with_logits(scaled, y.double(), reduction="none").mean(dim=1))
    return float(shares @ F.cross_entropy(scaled, y, reduction="none"))


def best_factor(outputs: Tensor, y: Tensor, weights: Tensor | None = None) -> float:
    """By what ``outputs`` have to be multiplied for the lowest cross-entropy; below 1 for what is too sure of itself.

    Arguments as for ``refined_loss``.
    """
    outputs, shares, labels = outputs.double(), _shares(y, weights), y.ndim == 2
    truth = y.double() if labels else F.one_hot(y, outputs.shape[1]).double()

    def slope(factor: float) -> float:
        told = (factor * outputs).sigmoid() if labels else (factor * outputs).softmax(dim=1)
        return float(shares @ ((told - truth) * outputs).sum(dim=1))

    low, high = math.log(LEAST), math.log(MOST)  # the loss is convex in the factor
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(math.exp(middle)) > 0.0 else (middle, high)
    return math.exp((low + high) / 2)


def _shares(y: Tensor, weights: Tensor | None) -> Tensor:
    """What each row counts, all together 1: float64 (n,)."""
    counts = torch.ones(len(y), dtype=torch.float64) if weights is None else weights.double()
    return counts / counts.sum()
