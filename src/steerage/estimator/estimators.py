"""``SteerageClassifier`` and ``SteerageRegressor``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
import pandas as pd
from numpy.random import RandomState
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets

from steerage.cost.device import Device
from steerage.data.raw import text_of
from steerage.data.weights import balance, class_weighted
from steerage.errors import BadArgument
from steerage.estimator.inputs import class_factors
from steerage.estimator.synthesizer import Synthesizer
from steerage.templates import Template


@final
class SteerageClassifier(ClassifierMixin, Synthesizer):  # type: ignore[misc]
    """Classification by the smallest, most accurate network that a synthesis finds inside a budget.

    Parameters: ``max_params``, ``max_macs``, ``max_flash``, ``max_ram``: the budget, bounds on parameters that are not
    zero, on multiplications per row, and on the bytes of generated C code; ``device``: the board or core that is for
    (``steerage.cost.device``). ``minutes``: how long ``fit`` may take (10 if nothing else is given); or ``trials`` and
    ``epochs``, with which the result depends on ``random_state`` alone, and ``minutes`` beside ``epochs`` end it early.
    ``template``: a name ("mlp", "cnn", ...), "file.py:Class", or a ``Template``; "auto" goes by the data. ``scheme``,
    ``patience``: as for ``steerage.synthesize``. ``class_weight``: by label (1 for those that are missing), or
    "balanced".
    ``random_state``: a seed, or a generator that one is drawn from. ``out``: the folder of the run, which is kept, and
    goes on where the same fit was stopped; None for one that is removed. ``verbose``: 1 prints phases, 2 trials too.

    After ``fit``: ``classes_`` (classes,), ``network_`` (a ``steerage.Network``), ``summary_`` (as in summary.json; of
    a fit that was stopped the errors and costs alone), ``n_features_in_``, and ``feature_names_in_`` where rows came
    with names.
    """

    classes_: NDArray[Any]

    def __init__(
        self,
        *,
        max_params: int | None = None,
        max_macs: int | None = None,
        max_flash: int | None = None,
        max_ram: int | None = None,
        device: str | Device | None = None,
        minutes: float | None = None,
        trials: int | None = None,
        epochs: int | None = None,
        template: str | Template = "auto",
        scheme: str = "auto",
        patience: int | None = None,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        random_state: int | RandomState | None = None,
        out: str | Path | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            max_params=max_params,
            max_macs=max_macs,
            max_flash=max_flash,
            max_ram=max_ram,
            device=device,
            minutes=minutes,
            trials=trials,
            epochs=epochs,
            template=template,
            scheme=scheme,
            patience=patience,
            random_state=random_state,
            out=out,
            verbose=verbose,
        )
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> SteerageClassifier:
        """Synthesize a network for the rows ``X`` and their labels ``y`` (n,).

        ``X``: a DataFrame of pandas or polars, of numbers, text, categories, dates, and missing values; an array
        (n, columns); or images (n, h, w), (n, h, w, c) or (n, c, h, w). ``sample_weight``: (n,), not negative; a weight
        of 3 is the same as three equal rows, and one of 0 as none. On Ctrl-C the best network so far is kept, with a
        warning; if there is none yet, KeyboardInterrupt goes on.
        Raises: ValueError for data that cannot be learnt from; InfeasibleBudget; BadArgument; RunConflict if ``out``
        belongs to another run.
        """
        rows, labels, weights = self._checked(X, y, sample_weight)
        check_classification_targets(labels)
        classes, codes = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"there must be at least two classes, got only one class: {classes.tolist()[0]!r}")
        names = tuple(label if isinstance(label, str) else text_of(label) for label in classes.tolist())
        target = pd.Series(codes, name=getattr(y, "name", None))
        dataset = self._dataset(rows, target, weights, "classification", names)
        if isinstance(self.class_weight, Mapping):
            dataset = class_weighted(dataset, class_factors(self.class_weight, classes))
        elif self.class_weight == "balanced":
            dataset = class_weighted(dataset, balance(dataset))
        elif self.class_weight is not None:
            raise BadArgument(f"class_weight must be a dict, 'balanced' or None, got {self.class_weight!r}")
        self._synthesize(dataset)
        self.classes_ = classes
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """The label of each row: (n,), as in ``classes_``. Raises: NotFittedError; ValueError for other columns."""
        best = self._outputs(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[best]
        return labels

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probability of each class, in the order of ``classes_``: (n, classes). Raises: as ``predict``."""
        probabilities: NDArray[np.float64] = softmax(self._outputs(X), axis=1)
        return probabilities


@final
class SteerageRegressor(RegressorMixin, Synthesizer):  # type: ignore[misc]
    """Regression by the smallest, most accurate network that a synthesis finds inside a budget.

    Parameters and what there is after ``fit``: as for ``SteerageClassifier``, without classes.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> SteerageRegressor:
        """Synthesize a network for the rows ``X`` and the numbers ``y`` (n,); as ``SteerageClassifier.fit``."""
        rows, values, weights = self._checked(X, y, sample_weight)
        target = pd.Series(values.astype(np.float64), name=getattr(y, "name", None))
        self._synthesize(self._dataset(rows, target, weights, "regression"))
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        """A number for each row, in the units of ``y``: (n,). Raises: NotFittedError; ValueError for other columns."""
        outputs = self._outputs(X)
        values: NDArray[np.float64] = outputs[:, 0] * self.network_.target_std + self.network_.target_mean
        return values
