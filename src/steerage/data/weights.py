"""Rows that count more than others: weights in a data set, and equal rows as one that weighs as much as they all do."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from pandas.api import types
from torch import Tensor

from steerage.data.dataset import Dataset, fingerprint
from steerage.data.raw import Labels
from steerage.errors import BadArgument

# A table whose rows come this often on average is one of counts, not of cases.
OFTEN = 3
MOST = 20  # rows that stand for one that comes often: enough for any share of them to be held out
LEAST = 10  # rows that there are in the end, however few kinds: some are held out, and no batch may be of one row


def weighted(dataset: Dataset, weights: ArrayLike, weights_test: ArrayLike | None = None) -> Dataset:
    """``dataset`` whose rows count as much as ``weights`` (n,) say, in losses and in errors.

    Positive numbers, of which the ratios alone matter; those of the test part are 1 if they are not given.
    Raises: BadArgument.
    """
    train = _scaled(weights, len(dataset.y), "weights")
    test = None if weights_test is None else _scaled(weights_test, len(dataset.y_test), "weights_test")
    known = [one for one in (train, test) if one is not None]
    mark = fingerprint(known, dataset.fingerprint, train is None) if known else dataset.fingerprint
    return replace(dataset, weights=train, weights_test=test, fingerprint=mark)


def class_weighted(dataset: Dataset, factors: Sequence[float] | NDArray[np.float64]) -> Dataset:
    """``dataset`` whose rows count so many times as much as before; ``factors``: one positive number per class.

    The test part stays as it is. Raises: BadArgument, also for regression.
    """
    if len(factors) != len(dataset.classes) or not dataset.classes:
        raise BadArgument(f"class weights must be one for each of {len(dataset.classes)} classes, got {len(factors)}")
    return weighted(dataset, _weights(dataset) * np.asarray(factors)[dataset.y.numpy()], dataset.weights_test)


def balance(dataset: Dataset) -> NDArray[np.float64]:
    """Factors (classes,) by which each class weighs the same in all, and a row 1 on average."""
    weights = _weights(dataset)
    totals = np.bincount(dataset.y.numpy(), weights=weights, minlength=len(dataset.classes))
    balanced: NDArray[np.float64] = weights.sum() / (len(totals) * totals)
    return balanced


def _weights(dataset: Dataset) -> NDArray[np.float64]:
    given = torch.ones(len(dataset.y)) if dataset.weights is None else dataset.weights
    weights: NDArray[np.float64] = given.double().numpy()
    return weights


def _scaled(weights: ArrayLike, rows: int, name: str) -> Tensor | None:
    """Weights with a mean of 1, float32 (n,); None where all are the same."""
    array = np.asarray(weights, dtype=np.float64)
    if array.shape != (rows,):
        raise BadArgument(f"{name} must be one number per row, shape ({rows},), got {array.shape}")
    if not (np.isfinite(array) & (array > 0)).all():
        at = int(np.argmin(np.isfinite(array) & (array > 0)))
        raise BadArgument(f"{name} must be positive and finite, got {array[at]:g} for row {at}")
    if rows == 0 or (array == array[0]).all():
        return None
    array = array / array.max()  # sums of the largest numbers would be infinite
    return torch.from_numpy((array / array.mean()).astype(np.float32))


def merged(
    x: pd.DataFrame | np.ndarray, y: Labels, weights: NDArray[np.float64], groups: NDArray[np.object_] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Different rows, by position, in an order that their contents give; and the sum of the weights of each.

    So a weight of 3 is the same as three equal rows, whatever else happens to the data: a split cannot part them, and
    medians do not see them. ``x``, ``y``: n rows and labels; ``weights``: (n,), positive. ``groups``: (n,), rows of
    different ones are different. A table of counts, where a row comes ``OFTEN`` times on average by weights that are
    whole numbers, keeps up to ``MOST`` rows of each kind; and there are ``LEAST`` rows in any case.
    """
    _, first, kind = np.unique(row_marks(x, y, groups), return_index=True, return_inverse=True)
    totals: NDArray[np.float64] = np.bincount(kind, weights=weights).astype(np.float64)
    copies = _copies(totals)
    return np.repeat(first, copies), np.repeat(totals / copies, copies)


def appearances(weights: NDArray[np.float64]) -> int:
    """How many rows they stand for: their sum where all are whole numbers, else how many they are."""
    return int(weights.sum()) if _whole(weights) else len(weights)


def _copies(totals: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many rows of each kind to keep."""
    least = np.full(len(totals), -(-LEAST // len(totals)))
    if not _whole(totals):
        return least
    counts = totals.astype(np.int64)
    counts //= np.gcd.reduce(counts)
    return np.clip(counts, least, MOST) if counts.mean() >= OFTEN else least


def _whole(weights: NDArray[np.float64]) -> bool:
    return bool((weights == np.round(weights)).all() and weights.sum() < 2**53)


def row_marks(
    x: pd.DataFrame | np.ndarray, y: Labels | None = None, groups: NDArray[np.object_] | None = None
) -> NDArray[np.bytes_]:
    """A digest of each row, with its label and its group where there are some, the same for equal ones: (n,)."""
    targets = [] if y is None else [y] if isinstance(y, pd.Series) else [y.iloc[:, at] for at in range(y.shape[1])]
    labels = [_bits(target) for target in [*targets, *([] if groups is None else [pd.Series(groups)])]]
    if isinstance(x, pd.DataFrame):
        columns = [_bits(x.iloc[:, at]) for at in range(x.shape[1])]
        cells = np.stack([*columns, *labels], axis=1)  # (n, columns + 1)
        rows = [hashlib.blake2b(row, digest_size=16).digest() for row in cells]
    else:
        pixels = np.ascontiguousarray(x).reshape(len(x), -1)
        own = np.stack(labels, axis=1) if labels else np.empty((len(x), 0), dtype=np.uint64)
        rows = [
            hashlib.blake2b(row.tobytes() + label.tobytes(), digest_size=16).digest()
            for row, label in zip(pixels, own, strict=True)
        ]
    return np.array(rows, dtype="S16")


def _bits(series: pd.Series) -> NDArray[np.uint64]:
    """Cells as 64 bits, equal for equal ones: numbers as they are, others by their hash."""
    kind = series.dtype
    if types.is_numeric_dtype(kind) and not types.is_complex_dtype(kind):
        values = series.to_numpy(dtype=np.float64, na_value=np.nan) + 0.0  # no -0.0
        return np.where(np.isnan(values), np.nan, values).view(np.uint64)
    try:
        return np.asarray(pd.util.hash_pandas_object(series, index=False, categorize=False), dtype=np.uint64)
    except (TypeError, ValueError):  # cells of several values, which are refused with a better message later
        return np.zeros(len(series), dtype=np.uint64)
