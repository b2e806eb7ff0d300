"""What both estimators share: hyperparameters, the synthesis, and how the network that it delivers is kept."""

from __future__ import annotations

import copy
import operator
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.random import RandomState
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

from steerage.bundle import Network, load_network, packed, unpacked
from steerage.bundle.network import BATCH_ROWS
from steerage.cost.budget import Budget
from steerage.cost.device import Device
from steerage.data.build import build_dataset, raw_from_arrays, take
from steerage.data.dataset import Dataset, Kind, Task
from steerage.errors import BadArgument, BadData
from steerage.estimator.inputs import Counted, Rows, groups_of, rows_of, targets_of, weights_of
from steerage.estimator.progress import printer
from steerage.synthesis.main import Interrupted, synthesize
from steerage.templates import TEMPLATES, Template
from steerage.templates.registry import load_template

BOUNDS = ("max_params", "max_macs", "max_flash", "max_ram")  # whole numbers of the budget


class Synthesizer(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Base of the estimators; see there."""

    network_: Network
    summary_: dict[str, Any]
    _fitted_template: str | Template

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
        random_state: int | RandomState | None = None,
        out: str | Path | None = None,
        verbose: int = 0,
    ) -> None:
        self.max_params = max_params
        self.max_macs = max_macs
        self.max_flash = max_flash
        self.max_ram = max_ram
        self.max_latency_ms = max_latency_ms
        self.device = device
        self.int8 = int8
        self.minutes = minutes
        self.trials = trials
        self.epochs = epochs
        self.kind = kind
        self.template = template
        self.scheme = scheme
        self.patience = patience
        self.distill = distill
        self.straighten = straighten
        self.metric = metric
        self.random_state = random_state
        self.out = out
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.three_d_array = True
        return tags

    def _checked(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        groups: Any,
    ) -> tuple[NDArray[Any], Counted]:
        """Labels of the rows that count, and those rows. Raises: ValueError, TypeError."""
        rows = rows_of(X, least=2)
        validate_data(self, rows, y, skip_check_array=True)
        labels, weights = targets_of(y, len(rows)), weights_of(sample_weight, len(rows))
        counted = np.flatnonzero(weights)
        known = None if groups is None else groups_of(groups, len(rows))[counted]
        return labels[counted], Counted(take(rows, counted), weights[counted], known)

    def _dataset(
        self,
        counted: Counted,
        y: pd.Series | NDArray[Any],
        task: Task,
        names: tuple[str, ...] = (),
    ) -> Dataset:
        """Data without a test part. Raises: ValueError for rows that there is nothing to learn from."""
        try:
            raw = raw_from_arrays("data", counted.rows, y, kind=self.kind)
            raw = replace(raw, class_names=names, weights=counted.weights, groups=counted.groups)
            return build_dataset(raw, task=task, hold_out=False)
        except BadData as error:
            raise ValueError(str(error)) from error

    def _synthesize(self, dataset: Dataset) -> None:
        """Set ``network_`` and ``summary_``."""
        template = _own(self.template)
        with self._folder() as folder:
            try:
                result = synthesize(
                    dataset,
                    budget=Budget(**{name: self._whole(name) for name in BOUNDS}),
                    device=self.device,
                    max_latency_ms=self.max_latency_ms,
                    int8=self.int8,
                    minutes=self.minutes,
                    trials=self._whole("trials"),
                    epochs=self._whole("epochs"),
                    seed=self._seed(),
                    template=self.template if template is None else template,
                    scheme=self.scheme,
                    patience=self._whole("patience"),
                    distill=bool(self.distill),
                    straighten=self.straighten,
                    metric=self.metric,
                    out=folder,
                    listener=printer(self.verbose),
                )
                self.network_, self.summary_ = result.network, result.summary
            except Interrupted as stop:
                self.network_ = network = self._best_so_far(stop, template)
                self.summary_ = {"task": dataset.spec.task, **network.error, **network.cost.to_json()}
        self._fitted_template = self.template

    def _best_so_far(self, stop: Interrupted, template: Template | None) -> Network:
        """The network that a stop leaves, with a warning.

        Raises: KeyboardInterrupt if there is none yet, or BadArgument if the minutes were too few for one.
        """
        folder = stop.folder / "network"
        why = "the minutes of the fit are over" if stop.rests else "the fit was stopped"
        if not folder.is_dir():
            if stop.rests:
                raise BadArgument(
                    f"minutes={self.minutes} were over before a network was trained; allow more"
                ) from None
            raise KeyboardInterrupt from None
        going_on = "" if self.out is None else f"; another fit goes on in {self.out}, if random_state is a number"
        warnings.warn(f"{why}: network_ is the best so far{going_on}", stacklevel=4)
        return load_network(folder, template=template)

    def _whole(self, name: str) -> int | None:
        """A hyperparameter that is a whole number of any type, as searches draw them. Raises: BadArgument."""
        value = getattr(self, name)
        try:
            return None if value is None else operator.index(value)
        except TypeError:
            raise BadArgument(f"{name} must be a whole number, got {value!r}") from None

    def _seed(self) -> int:
        if isinstance(self.random_state, Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        if self.out is not None:
            yield Path(self.out)
            return
        with tempfile.TemporaryDirectory(prefix="steerage-", ignore_cleanup_errors=True) as folder:
            yield Path(folder) / "run"

    def _outputs(self, X: Any) -> NDArray[np.float64]:
        """What the network returns for ``X``: (n, outputs). Raises: NotFittedError, ValueError, TypeError."""
        check_is_fitted(self, "network_")
        rows = rows_of(X)
        validate_data(self, rows, skip_check_array=True, reset=False)
        try:
            return outputs(self.network_, rows)
        except BadData as error:
            raise ValueError(str(error)) from error

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = {**super().__getstate__()}
        if "network_" in state:
            state["network_"] = packed(self.network_, template=_own(self._fitted_template))
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "network_" in state:
            self.network_ = unpacked(state["network_"], template=_own(self._fitted_template))


def outputs(network: Network, rows: Rows) -> NDArray[np.float64]:
    """What ``network`` returns for ``rows``: (n, outputs). Raises: BadData.

    Tables go through it in float64: in float32 the last digits of a row depend on the rows beside it. They are those
    of ``Network.scores`` up to rounding.
    """
    encoded = network.preprocess.encode(rows)
    if network.spec.kind == "image":
        scores: NDArray[np.float64] = network.scores(encoded).double().numpy()
        return scores
    model = nn.Sequential(network.preprocess.module(), copy.deepcopy(network.model)).double().eval()
    with torch.inference_mode():
        parts = [model(part.double()) for part in torch.split(encoded, BATCH_ROWS)]
    return np.concatenate([part.numpy() for part in parts])


def _own(template: str | Template) -> Template | None:
    """The template that ``template`` is or names, if it is not one of steerage's. Raises: BadArgument."""
    if isinstance(template, str):
        return None if template in ("auto", *TEMPLATES) else load_template(template)
    return template
