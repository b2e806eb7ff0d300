"""Rows that belong together, such as the windows of one recording or the visits of one person, are never parted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from steerage.data.columns import category_texts
from steerage.data.raw import as_array
from steerage.errors import BadData

LEAST = 2  # groups that learn: one to train on, one to choose by


def group_texts(values: Any, rows: int, *, name: str = "groups", least: int = LEAST) -> NDArray[np.object_]:
    """The group of each row as text, one spelling per group: (rows,).

    ``values``: (rows,) numbers, texts or dates; ``name``: for messages. ``least``: how many groups there must be.
    Raises: BadData for another shape, a missing group, or fewer than ``least``.
    """
    series = values if isinstance(values, pd.Series) else None
    if series is None:
        array = as_array(values, name)
        if array.ndim != 1:
            raise BadData(f"{name} must be one value per row, shape ({rows},), got {array.shape}")
        series = pd.Series(array, name=name)
    if len(series) != rows:
        raise BadData(f"{name} must be one value per row, got {len(series)} for {rows} rows")
    texts = category_texts(series)
    missing = texts.isna().to_numpy()
    if missing.any():
        row = series.index[int(np.argmax(missing))]
        raise BadData(f"{name} must have a value in every row, got none in row {row}; fill it in, or leave the row out")
    if texts.nunique() < least:
        raise BadData(f"{name} must tell at least {least} groups apart, got only {texts.iloc[0]!r}; leave it out")
    found: NDArray[np.object_] = texts.to_numpy(dtype=object)
    return found


def held_groups(
    groups: NDArray[Any],
    labels: NDArray[np.int64] | None,
    *,
    share: float,
    rng: np.random.Generator,
    least: int = 1,
) -> NDArray[np.bool_]:
    """Which rows are held out, bool (n,): whole groups, about ``share`` of the rows, and of each class where they can.

    Groups are looked at in random order, and held out where that brings the rows of each class nearer to their share
    (by the sum of squared distances over the rows of the class). ``groups``, ``labels``: (n,), class codes or None.
    ``least``: how many groups are not held out. A class is never held out as a whole.
    Raises: BadData where that leaves nothing to hold out.
    """
    _, codes = np.unique(groups, return_inverse=True)
    count = int(codes.max()) + 1
    if count <= least:
        raise BadData(f"there must be at least {least + 1} groups, to train and to judge by, got {count}; add rows")
    classes = np.zeros(len(codes), dtype=np.int64) if labels is None else labels
    rows = np.zeros((count, int(classes.max()) + 1))  # (groups, classes)
    np.add.at(rows, (codes, classes), 1.0)
    totals = rows.sum(axis=0)
    wanted, scale = share * totals, np.maximum(totals, 1.0)

    def distance(held: NDArray[np.float64]) -> float:
        return float(((held - wanted) ** 2 / scale).sum())

    taken, chosen, closest = np.zeros_like(totals), np.zeros(count, dtype=bool), distance(np.zeros_like(totals))
    nearest: tuple[float, int] | None = None
    for group in rng.permutation(count):
        after = taken + rows[group]
        if ((after >= totals) & (totals > 0)).any() or chosen.sum() >= count - least:
            continue
        away = distance(after)
        if away < closest:
            taken, closest = after, away
            chosen[group] = True
        elif not chosen.any() and (nearest is None or away < nearest[0]):
            nearest = (away, int(group))
    if not chosen.any():
        if nearest is None:
            raise BadData("groups cannot be parted: each has all rows of a class; give more groups, or other ones")
        chosen[nearest[1]] = True  # larger than the share, as all are
    held: NDArray[np.bool_] = chosen[codes]
    return held
