"""A finished network with everything that is needed to use it on raw rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from steerage.cost.count import Cost
from steerage.data.dataset import Preprocess, Scale, TaskSpec
from steerage.errors import BadArgument
from steerage.nn.program import Graph
from steerage.space import Values

BATCH_ROWS = 1024


@dataclass(frozen=True)
class FromTemplate:
    """Built by the template called ``template`` at ``values``; units may have been added or removed since."""

    template: str
    values: Values


@dataclass(frozen=True)
class FromFactory:
    """Built by the user's own code, named for the reader (``"my_model.py:Net"``) and never run from here."""

    factory: str


@dataclass(frozen=True)
class FromProgram:
    """Built from the steps of an exported program, which are data; units may have been added or removed since."""

    program: Graph


Architecture: TypeAlias = FromTemplate | FromFactory | FromProgram


@final
@dataclass(frozen=True, eq=False)
class Network:
    """A trained ``model`` with the preprocessing before it and the meaning of its outputs.

    ``model``: (n, *spec.input_shape) -> (n, spec.outputs), put into eval mode. ``masks``: by parameter name, True =
    active. ``classes``: name per output, ``()`` for regression, where an output in the user's units is
    ``output * target_std + target_mean``; several targets have a mean and a std each. ``error``: measured
    figures by part (``"validation"``, ``"test"``). ``group_name``: column that kept rows together when parts were made
    (``steerage.data.groups``).
    """

    model: nn.Module
    architecture: Architecture
    spec: TaskSpec
    preprocess: Preprocess
    cost: Cost
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    target_name: str | None = None
    target_mean: Scale = 0.0
    target_std: Scale = 1.0
    error: Mapping[str, object] = field(default_factory=dict)
    group_name: str | None = None

    def __post_init__(self) -> None:
        self.model.eval()

    def predict(self, X: Any) -> NDArray[Any]:
        """One label, or value in the target's units, per row of ``X`` as the user has it: (n,), or (n, targets).

        Labels are ints where every class is written as one, else strings; values are float64; of labels that are on or
        off, int64 (n, labels), 1 or 0. Raises: BadData when the rows are not like those of the training data.
        """
        scores = self.scores(self.preprocess.encode(X))
        if self.spec.task == "regression":
            values: NDArray[np.float64] = self.in_units(scores).numpy()
            return values[:, 0] if self.spec.outputs == 1 else values
        if self.spec.task == "multilabel":
            on: NDArray[np.int64] = (scores > 0).numpy().astype(np.int64)
            return on
        labels: NDArray[Any] = self.labels[scores.argmax(1).numpy()]
        return labels

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probability of each class: (n, classes), rows sum to 1, in the order of ``labels``.

        Of several labels the probability of each by itself.

        Raises: BadData as ``predict``; BadArgument for regression.
        """
        if self.spec.task == "regression":
            raise BadArgument("predict_proba needs classes, and this network predicts a number; use predict")
        scores = self.scores(self.preprocess.encode(X)).double()
        likely = scores.sigmoid() if self.spec.task == "multilabel" else scores.softmax(1)
        probabilities: NDArray[np.float64] = likely.numpy()
        return probabilities

    def scores(self, encoded: Tensor) -> Tensor:
        """What the model returns for encoded rows (``preprocess.encode``): float32 (n, outputs)."""
        if len(encoded) == 0:
            return torch.zeros(0, self.spec.outputs)
        with torch.inference_mode():
            starts = range(0, len(encoded), BATCH_ROWS)
            batches = [self.model(self._prepare(encoded[start : start + BATCH_ROWS])) for start in starts]
        return torch.cat(batches)

    def in_units(self, scores: Tensor) -> Tensor:
        """Scores of a regression (n, outputs) in the units of the target: float64, of the same shape."""
        mean, std = self._scales
        return scores.double() * std + mean

    def standardized(self, y: Tensor) -> Tensor:
        """Targets of a regression in their units, (n,) or (n, targets), as the scores have them: float64."""
        mean, std = self._scales
        return (y.double() - mean) / std

    @cached_property
    def _scales(self) -> tuple[Tensor, Tensor]:
        mean, std = (torch.tensor(scale, dtype=torch.float64) for scale in (self.target_mean, self.target_std))
        return mean, std

    @cached_property
    def labels(self) -> NDArray[Any]:
        """Classes as ``predict`` returns them: (classes,)."""
        short = all(len(name) < 19 for name in self.classes)  # what an int64 can hold
        whole = short and all(name.removeprefix("-").isdecimal() and name == str(int(name)) for name in self.classes)
        return np.array([int(name) for name in self.classes] if whole else list(self.classes))

    @cached_property
    def _prepare(self) -> nn.Module:
        return self.preprocess.module().eval()
