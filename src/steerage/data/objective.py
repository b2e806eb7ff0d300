"""What of a data set a network is to be good at: the metric, and whether classes count alike."""

from __future__ import annotations

from dataclasses import replace

import torch

from steerage.data.dataset import Dataset, fingerprint
from steerage.data.weights import balance
from steerage.errors import BadArgument
from steerage.metrics import metric_named


def with_objective(dataset: Dataset, *, metric: str | None = None, balanced: bool = False) -> Dataset:
    """``dataset`` with networks to be compared by ``metric``, and the losses of all classes to weigh the same.

    ``balanced``: each row counts in the loss by the inverse frequency of its class in the training part, 1 on average;
    the metric is then the balanced error where none is given. Errors are those of the rows as they are.
    Raises: BadArgument for a metric that is not of the task, and for ``balanced`` without classes.
    """
    if balanced and dataset.spec.task != "classification":
        raise BadArgument(f"balance needs classes, and this is {dataset.spec.task}; leave it out")
    chosen = metric or ("balanced_error" if balanced else dataset.metric)
    metric_named(chosen, dataset.spec.task)
    if not balanced:
        return replace(dataset, metric=chosen)
    factors = torch.from_numpy(balance(dataset)).float()
    mark = fingerprint([factors], dataset.fingerprint)
    return replace(dataset, metric=chosen, class_factors=factors, fingerprint=mark)
