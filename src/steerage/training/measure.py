"""The metrics as numbers, each as an error that is at least 0 and lower the better; scikit-learn's definitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Measure = Callable[[Tensor, Tensor, Tensor], float]


def _error(outputs: Tensor, y: Tensor, weights: Tensor) -> float:
    """1 - ``accuracy_score``; of labels ``hamming_loss``."""
    if y.ndim == 2:
        return _mean_over_labels(_error, outputs, y, weights)
    return _mean(outputs.argmax(dim=1) != y, weights)


def _balanced_error(outputs: Tensor, y: Tensor, weights: Tensor) -> float:
    """1 - ``balanced_accuracy_score``: the mean over the classes that there are of the share of their rows missed.

    Of labels, the mean over them.
    """
    if y.ndim == 2:
        return _mean_over_labels(_balanced_error, outputs, y, weights)
    missed = (outputs.argmax(dim=1) != y).double() * weights
    total = _sums(y, weights, outputs.shape[1])
    there = total > 0
    return float((_sums(y, missed, outputs.shape[1])[there] / total[there]).mean())


def _one_minus_f1(outputs: Tensor, y: Tensor, weights: Tensor) -> float:
    """1 - ``f1_score(average="macro")``: the mean over classes that are there, or are predicted; over all labels."""
    if y.ndim == 2:
        on, predicted = y > 0.5, outputs > 0
        sizes = weights @ (on.double() + predicted.double())
        return 1.0 - float((2.0 * (weights @ (on & predicted).double()) / sizes.clamp_min(1e-300)).mean())
    classes, predicted = outputs.shape[1], outputs.argmax(dim=1)
    hits = _sums(y, weights * (predicted == y), classes)
    sizes = _sums(y, weights, classes) + _sums(predicted, weights, classes)
    there = sizes > 0
    return 1.0 - float((2.0 * hits[there] / sizes[there]).mean())


def _one_minus_auroc(outputs: Tensor, y: Tensor, weights: Tensor) -> float:
    """1 - ``roc_auc_score``; of more than two classes ``multi_class="ovr"``, the mean over one against all others.

    Of labels, the mean over them. Classes without rows, or with all of them, have no curve; where none has one, it is
    0.5.
    """
    if y.ndim == 2:
        areas = [_area(outputs[:, at].double(), y[:, at] > 0.5, weights) for at in range(y.shape[1])]
    elif outputs.shape[1] == 2:
        areas = [_area(outputs[:, 1].double() - outputs[:, 0].double(), y == 1, weights)]
    else:
        shares = outputs.double().softmax(dim=1)
        areas = [_area(shares[:, code], y == code, weights) for code in range(outputs.shape[1])]
    known = [area for area in areas if area is not None]
    return 1.0 - (sum(known) / len(known) if known else 0.5)


def _mean_over_labels(measure: Measure, outputs: Tensor, y: Tensor, weights: Tensor) -> float:
    """A label by itself is two classes, of which the first has a score of 0."""
    none = torch.zeros(len(y))
    each = (measure(torch.stack([none, outputs[:, at]], 1), y[:, at].long(), weights) for at in range(y.shape[1]))
    return sum(each) / y.shape[1]


def _area(score: Tensor, positive: Tensor, weights: Tensor) -> float | None:
    """Chance that a positive row has a higher score than a negative one, ties counting half; None without either."""
    values, place = torch.unique(score, return_inverse=True)
    above = _sums(place, weights * positive, len(values))
    below = _sums(place, weights * ~positive, len(values))
    pairs = above.sum() * below.sum()
    if pairs == 0:
        return None
    return float((above * (below.cumsum(0) - 0.5 * below)).sum() / pairs)


def _one_minus_r2(outputs: Tensor, y: Tensor, weights: Tensor) -> float:
    """1 - ``r2_score``: by the variance of these very rows; the mean over several targets, as of the two below."""
    target = by_target(y).double()
    spread = weights @ (target - weights @ target).square()  # (targets,)
    return float((weights @ (outputs - target).square() / spread.clamp_min(1e-12)).mean())


def _rmse(outputs: Tensor, y: Tensor, weights: Tensor) -> float:
    return float((weights @ (outputs - by_target(y).double()).square()).sqrt().mean())


def _mae(outputs: Tensor, y: Tensor, weights: Tensor) -> float:
    return float((weights @ (outputs - by_target(y).double()).abs()).mean())


def by_target(y: Tensor) -> Tensor:
    """Numbers of one target (n,), or of several (n, targets), as columns: (n, targets)."""
    return y.reshape(len(y), -1)


MEASURES: Mapping[str, Measure] = {
    "error": _error,
    "balanced_error": _balanced_error,
    "f1": _one_minus_f1,
    "auroc": _one_minus_auroc,
    "r2": _one_minus_r2,
    "rmse": _rmse,
    "mae": _mae,
}


def measured(name: str, outputs: Tensor, y: Tensor, weights: Tensor | None = None) -> float:
    """Error by the metric called ``name`` of network outputs (n, outputs) against targets (n,).

    Targets: class codes; numbers in the units of the outputs, (n, outputs) of several; labels (n, outputs), 1 or 0.
    ``weights``: (n,), positive or zero, not all zero.
    """
    counted = torch.ones(len(y), dtype=torch.float64) if weights is None else weights.double()
    return MEASURES[name](outputs, y, counted / counted.sum())


def telling_rows(y: Tensor, classes: int, weights: Tensor | None = None) -> int:
    """How many rows, in classes of equal size, a mean over the classes is as sure on as on these.

    The variance of a mean of shares is the mean of their variances over the number of classes; rare classes rule it.
    Of labels, the least that one of them has.
    """
    if y.ndim == 2:
        return min(telling_rows(column.long(), 2, weights) for column in y.T)
    counted = torch.ones(len(y), dtype=torch.float64) if weights is None else weights.double()
    total, squares = _sums(y, counted, classes), _sums(y, counted.square(), classes)
    there = total > 0
    rows = total[there].square() / squares[there]  # Kish's effective size of each class
    return max(1, round(float(len(rows) ** 2 / rows.reciprocal().sum())))


def _mean(values: Tensor, shares: Tensor) -> float:
    """``shares`` sum to 1."""
    return float(shares @ values.double())


def _sums(codes: Tensor, values: Tensor, count: int) -> Tensor:
    """Sum of the values of each code: (count,)."""
    return torch.zeros(count, dtype=torch.float64).index_add_(0, codes, values.double())
