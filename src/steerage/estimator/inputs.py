"""What users of scikit-learn pass, checked in its words: rows, labels, and weights."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils import assert_all_finite, check_array, column_or_1d

from steerage.data.groups import group_texts
from steerage.errors import BadData

Rows = pd.DataFrame | NDArray[Any]


@dataclass(frozen=True)
class Counted:
    """Rows with a weight that is not zero, their weights (n,), and their groups (n,), None where they have none."""

    rows: Rows
    weights: NDArray[np.float64]
    groups: NDArray[np.object_] | None


def rows_of(X: Any, *, least: int = 1) -> Rows:
    """``X`` as a DataFrame if it is one of pandas or polars, else as an array (n, columns), or of 3 or 4 axes: images.

    NaN, None and infinite numbers are missing values. Raises: ValueError for less than ``least`` rows, a sparse matrix,
    complex numbers, or one axis; TypeError for cells that hold several values.
    """
    frame = X if isinstance(X, pd.DataFrame) else _from_polars(X)
    if frame is not None:
        if len(frame) < least:
            raise ValueError(
                f"Found {len(frame)} sample(s) (shape={frame.shape}) while a minimum of {least} is required."
            )
        return frame
    array: NDArray[Any] = check_array(
        X, dtype=None, ensure_all_finite=False, allow_nd=True, ensure_min_samples=least, input_name="X"
    )
    if array.dtype == object:
        strange = {type(cell) for cell in array.flat if isinstance(cell, Collection) and not isinstance(cell, str)}
        for kind in strange:
            raise TypeError(f"A cell of X as an argument must be a string or a number, got {kind.__name__}")
    return array


def _from_polars(X: Any) -> pd.DataFrame | None:
    """A polars DataFrame as one of pandas, names and categories kept; None for anything else."""
    polars = sys.modules.get("polars")  # whoever has a DataFrame has imported its package
    if polars is None:
        return None
    if isinstance(X, polars.LazyFrame):
        raise TypeError("X must be a DataFrame, got a LazyFrame; call its collect() first")
    return X.to_pandas() if isinstance(X, polars.DataFrame) else None


def labels_of(y: Any, rows: int) -> NDArray[Any]:
    """Labels, or numbers, of ``rows`` rows: (n,). Raises: ValueError for missing ones, or another number of them."""
    labels: NDArray[Any] = column_or_1d(y, warn=True)
    assert_all_finite(labels, input_name="y")
    if labels.dtype.kind == "c":
        raise ValueError("Complex data not supported: y must be numbers or text")
    if pd.isna(labels).any():
        raise ValueError("Input y contains NaN.")
    if len(labels) != rows:
        raise ValueError(f"X and y must have the same number of rows, got {rows} and {len(labels)}")
    return labels


def targets_of(y: Any, rows: int) -> NDArray[Any]:
    """Numbers of ``rows`` rows: (n,), or (n, targets) of two targets or more. Raises: as ``labels_of``."""
    array = np.asarray(y)
    if array.ndim != 2 or array.shape[1] < 2:
        return labels_of(y, rows)
    values: NDArray[np.float64] = check_array(y, dtype=np.float64, input_name="y")
    if len(values) != rows:
        raise ValueError(f"X and y must have the same number of rows, got {rows} and {len(values)}")
    return values


def weights_of(sample_weight: Any, rows: int) -> NDArray[np.float64]:
    """Weights of ``rows`` rows: (n,); all 1 for None, all the same for a number.

    Raises: ValueError for weights that are negative, not finite, all zero, or not one per row.
    """
    if sample_weight is None:
        return np.ones(rows)
    if isinstance(sample_weight, Number):
        sample_weight = np.full(rows, sample_weight)
    weights: NDArray[np.float64] = check_array(
        sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight"
    )
    if weights.shape != (rows,):
        raise ValueError(f"sample_weight must be one number per row, shape ({rows},), got {weights.shape}")
    if (weights < 0).any():
        raise ValueError(f"sample_weight must not be negative, got {weights.min():g}")
    if not weights.any():
        raise ValueError("sample_weight must have a number that is not zero")
    return weights


def groups_of(groups: Any, rows: int) -> NDArray[np.object_]:
    """Groups of ``rows`` rows as texts: (n,). Raises: ValueError for missing ones, a single one, or not one per row."""
    if not isinstance(groups, pd.Series):
        groups = column_or_1d(groups)
    try:
        return group_texts(groups, rows)
    except BadData as error:
        raise ValueError(str(error)) from error


def class_factors(class_weight: Mapping[Any, float], classes: NDArray[Any]) -> NDArray[np.float64]:
    """The weight of each of ``classes``, 1 where there is none for it: (classes,). Raises: ValueError."""
    factors = np.array([float(class_weight.get(label, 1.0)) for label in classes.tolist()])
    if not (np.isfinite(factors) & (factors > 0)).all():
        raise ValueError(f"class_weight must have positive numbers, got {factors.min():g}")
    return factors
