"""What training rows say about each column of a table: scale, tails, categories, whether it is of any use."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from steerage.data.columns import category_texts, is_category, numbers
from steerage.data.raw import listed, notice
from steerage.data.tabular import Column, TablePreprocess, category_codes
from steerage.errors import BadData

ONE_HOT_MAX = 32  # categories
INDICATOR_SHARE = 0.01  # of rows missing, above which being missing is a feature of its own
HEAVY_SKEW = 2.0


def fit_table(frame: pd.DataFrame) -> TablePreprocess:
    """What to do with each column, decided from training rows alone.

    Columns that are constant, empty, or text that differs in every row are left out, with a warning.
    Raises: BadData when no column is left, or for text in a column of numbers.
    """
    source = tuple(str(name) for name in frame.columns)
    frame = frame.set_axis(list(source), axis=1)
    twice = [name for name in source if source.count(name) > 1] if len(set(source)) < len(source) else []
    if twice:
        raise BadData(f"column names must be unique, got {listed(dict.fromkeys(twice))} more than once; rename them")
    fitted = {name: fit_column(name, frame[name]) for name in source}
    dropped = [f"{name!r} ({reason})" for name, reason in fitted.items() if isinstance(reason, str)]
    columns = tuple(column for column in fitted.values() if isinstance(column, Column))
    if not columns:
        raise BadData(f"the table must have a column to learn from, got {listed(dropped)}; check the target column")
    if dropped:
        notice(f"columns left out: {listed(dropped, width=400)}")
    return TablePreprocess(source, columns)


def fit_column(name: str, series: pd.Series) -> Column | str:
    """The treatment of one column, or why it is of no use. Raises: BadData for text in a column of numbers."""
    return _fit_category(name, series) if is_category(series) else _fit_number(name, series)


def _fit_number(name: str, series: pd.Series) -> Column | str:
    values = numbers(series)
    known = values[~np.isnan(values)].astype(np.float64)
    if known.size == 0:
        return "empty"
    missing = 1 - known.size / max(1, values.size)
    indicator = missing > INDICATOR_SHARE
    if known.min() == known.max():
        if not indicator:
            return "constant"
        known = np.append(known, known[0] - 1.0)  # only being missing says something; scale is arbitrary
    # Float32, as the module computes: a median between two neighbouring values would round to one of them anyway.
    fill = float(np.float32(np.median(known)))
    log_unit = _log_unit(known)
    shaped = np.sign(known) * np.log1p(np.abs(known) / log_unit) if log_unit else known
    return Column(
        name,
        "number",
        fill,
        log_unit=log_unit,
        mean=_short(shaped.mean()),
        std=max(_short(shaped.std()), 1e-30),
        indicator=indicator,
    )


def _short(value: np.floating[Any]) -> float:
    """The shortest decimal that rounds to the same float32, as which the module takes it: half the bytes to store."""
    return float(str(np.float32(value)))


def _log_unit(known: np.ndarray) -> float:
    """Median size of the non-zero values where a signed logarithm in that unit makes a heavy tail lighter, else 0."""
    before = abs(_skew(known))
    if before <= HEAVY_SKEW:
        return 0.0
    sizes = np.abs(known[known != 0])
    unit = float(np.float32(np.median(sizes)))
    after = abs(_skew(np.sign(known) * np.log1p(np.abs(known) / unit)))
    return unit if after < 0.75 * before else 0.0


def _skew(values: np.ndarray) -> float:
    deviation = values - values.mean()
    scale = deviation.std()
    return float(((deviation / scale) ** 3).mean()) if scale > 0 else 0.0


def _fit_category(name: str, series: pd.Series) -> Column | str:
    texts = category_texts(series)  # None = missing
    counts = texts.dropna().value_counts()
    missing = 1 - int(counts.sum()) / max(1, len(texts))
    count = len(counts)
    if count == 0:
        return "empty"
    if count == 1 and missing == 0:
        return "constant"
    if count > ONE_HOT_MAX:
        if counts.iloc[0] == 1:
            return "another text in every row"
        # Most frequent first; the name decides between equals, so that the order is the same everywhere.
        ranked = tuple(sorted(map(str, counts.index), key=lambda text: (-int(counts[text]), text)))
        codes = category_codes(series, ranked)
        known = codes[~np.isnan(codes)].astype(np.float64)
        mean, std, fill = _short(known.mean()), _short(known.std()), float(np.median(known))
        return Column(name, "category", fill, ranked, mean=mean, std=std, indicator=missing > INDICATOR_SHARE)
    categories = tuple(sorted(map(str, counts.index)))
    if count == 1:
        return Column(name, "category", 1.0, categories)  # the feature is 1 where the value is missing
    if count == 2 and missing == 0:
        return Column(name, "category", float(counts[categories[1]] / counts.sum()), categories)
    if missing > 0:
        return Column(name, "category", float(count), categories, one_hot=count + 1)
    return Column(name, "category", -1.0, categories, one_hot=count)
