"""How good a network is on some rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from steerage.data.dataset import Dataset
from steerage.metrics import metric_named
from steerage.training.measure import by_target, measured, telling_rows
from steerage.training.refinement import refined_loss

CHUNK = 4096  # rows per forward pass; bounds memory


@dataclass(frozen=True)
class Scores:
    """``error``: by the metric of the data set (``steerage.metrics``), at least 0, lower is better.

    It is the share of wrong rows, or of wrong labels, or for regression 1 - R² (the mean over several targets), unless
    another metric is asked for; ``usual`` is that then, and None otherwise. ``loss``: mean cross-entropy in nats, or
    mean squared error of the standardized target, with classes counting as they do in training. ``rows``: how many;
    where they have weights, or the metric is a mean over classes, how many rows of equal weight in classes of equal
    size would tell as much. ``refined``: the loss of a classifier once it is put right how sure it is of itself
    (``steerage.training.refinement``).
    """

    error: float
    loss: float
    rows: int
    usual: float | None = None
    refined: float | None = None

    @property
    def telling(self) -> float:
        """The loss that networks are compared by: without what comes of being too sure of oneself."""
        return self.loss if self.refined is None else self.refined

    @property
    def objective(self) -> float:
        """What searches minimize: the error, with the loss as a tie-breaker worth less than the error's own noise.

        On few rows many candidates share one error; their losses still tell them apart.
        """
        return self.error + 0.02 * min(self.telling, 5.0)

    def standard_error(self, *, regression: bool) -> float:
        """Of ``error``: by the binomial distribution, or for Gaussian residuals. 0 without rows.

        Of a mean of shares over classes, or of other errors of a regression, it is about that, and rather more.
        """
        if self.rows == 0:
            return 0.0
        variance = 2.0 * self.error**2 if regression else self.error * (1.0 - self.error)
        return math.sqrt(variance / self.rows)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; the mode before is restored."""
    mode = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(mode)


def predict(model: nn.Module, dataset: Dataset, x: Tensor) -> Tensor:
    """Scores (n, outputs), float32, of encoded rows ``x`` (as in ``dataset.x``)."""
    with evaluating(model):
        parts = [model(dataset.prepare(part)).float() for part in torch.split(x, CHUNK)]
        return torch.cat(parts) if parts else torch.zeros(0, dataset.spec.outputs)


def evaluate(model: nn.Module, dataset: Dataset, x: Tensor, y: Tensor, weights: Tensor | None = None) -> Scores:
    """Scores of ``model`` on encoded rows ``x`` with targets ``y``, each counting as much as ``weights`` (n,) say."""
    return scores_of(predict(model, dataset, x), y, dataset, weights)


def scores_of(outputs: Tensor, y: Tensor, dataset: Dataset, weights: Tensor | None = None) -> Scores:
    """Scores of network outputs (n, outputs) against targets (n,); ``weights`` (n,) are positive or zero, not all."""
    scores = _usual_scores(outputs, y, dataset, weights)
    counting = weights
    if dataset.class_factors is not None:
        counting = dataset.class_factors[y].double() * (1.0 if weights is None else weights.double())
        loss = F.cross_entropy(outputs, y, reduction="none").double()
        scores = replace(scores, loss=float(counting @ loss / counting.sum()))
    if dataset.spec.task != "regression" and len(y) > 0:
        scores = replace(scores, refined=refined_loss(outputs, y, counting))
    metric = metric_named(dataset.metric, dataset.spec.task)
    if metric == metric_named(None, dataset.spec.task):
        return scores
    error = measured(metric.name, outputs, y, weights)
    rows = telling_rows(y, dataset.spec.outputs, weights) if metric.by_class else scores.rows
    return replace(scores, error=error, rows=rows, usual=scores.error)


def _usual_scores(outputs: Tensor, y: Tensor, dataset: Dataset, weights: Tensor | None) -> Scores:
    if weights is not None:
        return _weighted_scores(outputs, y, dataset, weights)
    if dataset.spec.task == "classification":
        wrong = int((outputs.argmax(dim=1) != y).sum())
        return Scores(wrong / len(y), F.cross_entropy(outputs, y).item(), len(y))
    if dataset.spec.task == "multilabel":
        missed = ((outputs > 0) != (y > 0.5)).double().mean().item()
        return Scores(missed, F.binary_cross_entropy_with_logits(outputs, y).item(), len(y))
    target = by_target(y)
    squared = (outputs - target).square().mean(dim=0)  # (targets,)
    # The variance of these very rows, as sklearn.metrics.r2_score has it.
    spread = (target - target.mean(dim=0)).square().mean(dim=0).clamp_min(1e-12)
    return Scores((squared / spread).mean().item(), squared.mean().item(), len(y))


def _weighted_scores(outputs: Tensor, y: Tensor, dataset: Dataset, weights: Tensor) -> Scores:
    share = weights.double() / weights.double().sum()
    rows = max(1, round(1.0 / share.square().sum().item()))  # Kish's effective sample size

    def mean(values: Tensor) -> float:
        return float(share @ values.double())

    if dataset.spec.task == "classification":
        wrong = outputs.argmax(dim=1) != y
        return Scores(mean(wrong), mean(F.cross_entropy(outputs, y, reduction="none")), rows)
    if dataset.spec.task == "multilabel":
        wrong = ((outputs > 0) != (y > 0.5)).double().mean(dim=1)
        loss = F.binary_cross_entropy_with_logits(outputs, y, reduction="none").mean(dim=1)
        return Scores(mean(wrong), mean(loss), rows)
    target = by_target(y).double()
    squared = share @ (outputs - target).square()  # (targets,)
    spread = (share @ (target - share @ target).square()).clamp_min(1e-12)
    return Scores(float((squared / spread).mean()), float(squared.mean()), rows)
