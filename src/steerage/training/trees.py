"""Boosted trees (LightGBM) as a model beside the networks: what they say of rows, in the form of network outputs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from steerage.data.dataset import Dataset
from steerage.training.measure import by_target

ROUNDS = 300
MOST_TREES = 3000  # a round has a tree for each class
# LightGBM's parameters beside its defaults. Trees that see other rows and columns than each other, or split at random,
# are wrong elsewhere, so that a mean may be better than each; whether it is, those say who choose among them.
KINDS: Mapping[str, Mapping[str, Any]] = {
    "usual": {},
    "sampled": {"feature_fraction": 0.5, "bagging_fraction": 0.8, "bagging_freq": 1},
    "slow": {"feature_fraction_bynode": 0.3, "bagging_fraction": 0.8, "bagging_freq": 1, "learning_rate": 0.05},
    "random": {"extra_trees": True, "feature_fraction_bynode": 0.5},
}
REPEATABLE = {"num_threads": 1, "deterministic": True, "force_row_wise": True, "seed": 0, "verbosity": -1}


@final
@dataclass(frozen=True, eq=False)
class Trees:
    """Fitted to a data set's rows; ``rounds`` of boosting, of which there may have been time for fewer than asked."""

    boosters: tuple[Any, ...]
    classes: int
    rounds: int

    def __call__(self, x: Tensor) -> Tensor:
        """Probabilities of classes, or of labels, or standardized targets: float32 (n, outputs)."""
        rows, rounds = x.numpy(), self.rounds
        told = [one.predict(rows, num_iteration=rounds, num_threads=1).astype(np.float32) for one in self.boosters]
        if self.classes == 2:
            return torch.from_numpy(np.stack([1.0 - told[0], told[0]], axis=1))
        return torch.from_numpy(told[0] if self.classes else np.stack(told, axis=1))

    def after(self, rounds: int) -> Trees:
        """What they were after so many of their rounds."""
        return replace(self, rounds=rounds)


def fit_trees(
    dataset: Dataset,
    rows: Tensor,
    *,
    kind: str = "usual",
    rounds: int | None = None,
    enough: Callable[[], bool] = lambda: False,
) -> Trees:
    """Trees for ``rows`` (int64) of a table, of one of ``KINDS``, on one thread.

    ``rounds`` of boosting, or as many as are usual; fewer once ``enough`` says so.
    """
    x, y = dataset.x[rows].numpy(), dataset.y[rows]
    weights = dataset.loss_weights(rows)
    factors = None if weights is None else weights.numpy()
    outputs, classes, objective = dataset.spec.outputs, 0, "binary"
    if dataset.spec.task == "classification":
        classes, targets = outputs, [y.numpy()]
    else:
        targets = list(by_target(y).numpy().T)
    if dataset.spec.task == "regression":
        objective = "regression"
    elif classes > 2:
        objective = "multiclass"
    parameters = {
        "objective": objective,
        **({"num_class": classes} if classes > 2 else {}),
        **KINDS[kind],
        **REPEATABLE,
    }
    asked = min(ROUNDS, max(1, MOST_TREES // outputs)) if rounds is None else rounds
    boosters = []
    for target in targets:
        boosters.append(_boosted(x, target, factors, parameters, asked, enough))
        asked = min(asked, max(1, boosters[-1].current_iteration()))  # the same for all targets
    return Trees(tuple(boosters), classes, asked)


def _boosted(
    x: NDArray[np.float32],
    y: NDArray[Any],
    weights: NDArray[np.float32] | None,
    parameters: dict[str, Any],
    rounds: int,
    enough: Callable[[], bool],
) -> Any:
    import lightgbm

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        booster = lightgbm.Booster(parameters, lightgbm.Dataset(x, y, weight=weights))
        for _ in range(rounds):
            if booster.update() or enough():  # the former: there is nothing left to split
                break
    return booster
