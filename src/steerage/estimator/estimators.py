"""``SteerageClassifier`` and ``SteerageRegressor``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
import pandas as pd
import torch
from numpy.random import RandomState
from numpy.typing import NDArray
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from steerage.cost.device import Device
from steerage.data.dataset import Kind
from steerage.data.raw import text_of
from steerage.data.weights import balance, class_weighted
from steerage.errors import BadArgument
from steerage.estimator.inputs import Counted, class_factors
from steerage.estimator.synthesizer import Synthesizer
from steerage.templates import Template


@final
class SteerageClassifier(ClassifierMixin, Synthesizer):  # type: ignore[misc]
    """Classification by the smallest, most accurate network that a synthesis finds inside a budget.

    Parameters: ``max_params``, ``max_macs``, ``max_flash``, ``max_ram``: the budget, bounds on parameters that are not
    zero, on multiplications per row, and on the bytes of generated C code; ``max_latency_ms``: on the time for a row;
    ``device``: the board or core that these are for (``steerage.cost.device``), ``int8``: in 8-bit integers.
    ``minutes``: how long ``fit`` may take (10 if nothing else is given); or ``trials`` and ``epochs``, with which the
    result depends on ``random_state`` alone, and ``minutes`` beside ``epochs`` end it early. ``kind``: "signal" for
    arrays that are signals over time. ``template``: a name
    ("mlp", "cnn", ...), "file.py:Class", or a ``Template``; "auto" goes by the data. ``scheme``, ``patience``,
    ``distill``, ``straighten``, ``metric``: as for ``steerage.synthesize``.
    ``class_weight``: by label (1 for missing ones), or "balanced".
    ``random_state``: a seed, or a generator that one is drawn from. ``out``: the folder of the run, which is kept, and
    goes on where the same fit was stopped; None for one that is removed. ``verbose``: 1 prints phases, 2 trials too; 0
    shows a live view in a notebook and nothing elsewhere, -1 nothing anywhere.

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
        max_latency_ms: float | None = None,
        device: str | Device | None = None,
        int8: bool = False,
        minutes: float | None = None,
        trials: int | None = None,
        epochs: int | None = None,
        kind: Kind | None = None,
        template: str | Template = "auto",
        scheme: str = "auto",
        patience: int | None = None,
        distill: bool = True,
        straighten: bool | None = None,
        metric: str | None = None,
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
            max_latency_ms=max_latency_ms,
            device=device,
            int8=int8,
            minutes=minutes,
            trials=trials,
            epochs=epochs,
            kind=kind,
            template=template,
            scheme=scheme,
            patience=patience,
            distill=distill,
            straighten=straighten,
            metric=metric,
            random_state=random_state,
            out=out,
            verbose=verbose,
        )
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> SteerageClassifier:
        """Synthesize a network for the rows ``X`` and their labels ``y``, (n,), or (n, labels) of 1 and 0.

        ``X``: a DataFrame of pandas or polars, of numbers, text, categories, dates, and missing values; an array (n,
        columns); or images (n, h, w), (n, h, w, c) or (n, c, h, w); or, with ``kind="signal"``, signals (n, channels,
        length), (n, length, channels) or (n, length). ``sample_weight``: (n,), not negative; a weight of 3 is the same
        as three equal rows, and one of 0 as none. ``groups``: (n,), which rows belong together (windows of one
        recording): a group is held out for validation as a whole, or not at all. On Ctrl-C the best network so far is
        kept, with a warning; if there is none yet, KeyboardInterrupt goes on.
        Raises: ValueError for data that cannot be learnt from; InfeasibleBudget; BadArgument; RunConflict if ``out``
        belongs to another run.
        """
        labels, counted = self._checked(X, y, sample_weight, groups)
        check_classification_targets(labels)
        if labels.ndim == 2:
            return self._fit_labels(counted, labels)
        classes, codes = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"there must be at least two classes, got only one class: {classes.tolist()[0]!r}")
        names = tuple(label if isinstance(label, str) else text_of(label) for label in classes.tolist())
        target = pd.Series(codes, name=getattr(y, "name", None))
        dataset = self._dataset(counted, target, "classification", names)
        if isinstance(self.class_weight, Mapping):
            dataset = class_weighted(dataset, class_factors(self.class_weight, classes))
        elif self.class_weight == "balanced":
            dataset = class_weighted(dataset, balance(dataset))
        elif self.class_weight is not None:
            raise BadArgument(f"class_weight must be a dict, 'balanced' or None, got {self.class_weight!r}")
        self._synthesize(dataset)
        self.classes_ = classes
        return self

    def _fit_labels(self, counted: Counted, labels: NDArray[Any]) -> SteerageClassifier:
        """Several labels, each on or off: (n, labels), 1 or 0."""
        if self.class_weight is not None:
            raise BadArgument(f"class_weight is for one label per row, got {self.class_weight!r} and {labels.shape}")
        self._synthesize(self._dataset(counted, labels, "multilabel"))
        self.classes_ = np.arange(labels.shape[1])
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """The label of each row: (n,), as in ``classes_``; of several labels 1 for each that is on, (n, labels).

        Raises: NotFittedError; ValueError for other columns.
        """
        if self._several():
            on: NDArray[Any] = (self._outputs(X) > 0).astype(np.int64)
            return on
        best = self._outputs(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[best]
        return labels

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probability of each class, or label, in the order of ``classes_``: (n, classes). Raises: as ``predict``."""
        outputs = self._outputs(X)
        probabilities: NDArray[np.float64] = expit(outputs) if self._several() else softmax(outputs, axis=1)
        return probabilities

    def _several(self) -> bool:
        """Whether labels are on or off by themselves."""
        check_is_fitted(self, "network_")
        return self.network_.spec.task == "multilabel"

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


@final
class SteerageRegressor(RegressorMixin, Synthesizer):  # type: ignore[misc]
    """Regression by the smallest, most accurate network that a synthesis finds inside a budget.

    Parameters and what there is after ``fit``: as for ``SteerageClassifier``, without classes.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> SteerageRegressor:
        """Synthesize a network for the rows ``X`` and the numbers ``y``, (n,) or (n, targets).

        As ``SteerageClassifier.fit``.
        """
        values, counted = self._checked(X, y, sample_weight, groups)
        target: Any = values.astype(np.float64)
        if target.ndim == 1:
            target = pd.Series(target, name=getattr(y, "name", None))
        self._synthesize(self._dataset(counted, target, "regression"))
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        """A number for each row, in the units of ``y``: (n,), or (n, targets).

        Raises: NotFittedError; ValueError for other columns.
        """
        outputs = torch.from_numpy(self._outputs(X))
        values: NDArray[np.float64] = self.network_.in_units(outputs).numpy()
        return values[:, 0] if self.network_.spec.outputs == 1 else values

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
