"""One column of a table: is it numbers or categories, and which."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from pandas.api import types

from steerage.data.raw import MISSING, text_of
from steerage.errors import BadData

TEXT_SHARE = 0.05  # of known cells; with more text than this, a column that also has numbers is one of categories

_MISSING = frozenset(MISSING)
_EPOCH = pd.Timestamp("2000-01-01")
# ISO 8601 alone: in other spellings the day and the month cannot be told apart.
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?")


def is_category(series: pd.Series) -> bool:
    """Whether the cells are names rather than numbers: bool, category, or text that is not numbers.

    Raises: BadData naming the first cell, for a column of numbers or dates with a little text in it.
    """
    if isinstance(series.dtype, pd.CategoricalDtype) or types.is_bool_dtype(series.dtype):
        return True
    if _plain_number(series) or _dates(series) is not None:
        return False
    if types.infer_dtype(series, skipna=True) == "boolean":
        return True
    values, text = _parsed(series)
    known = int((~np.isnan(values) | text).sum())
    share = int(text.sum()) / max(1, known)
    if 0 < share <= TEXT_SHARE:
        raise _text_among_numbers(series, text)
    return share > 0


def numbers(series: pd.Series) -> np.ndarray:
    """float32 (n,): the cells as numbers; NaN where missing or infinite; dates as days since 2000-01-01 (UTC).

    Raises: BadData naming the first cell that is text.
    """
    if _plain_number(series) or types.is_bool_dtype(series.dtype):
        values = series.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        dates = _dates(series)
        if dates is not None:
            values = dates
        else:
            if isinstance(series.dtype, pd.CategoricalDtype):
                series = series.astype(object)
            values, text = _parsed(series)
            if text.any():
                raise _text_among_numbers(series, text)
    with np.errstate(over="ignore"):
        small = values.astype(np.float32)
    return np.where(np.isfinite(small), small, np.float32(np.nan))


def is_date(series: pd.Series) -> bool:
    """Whether the cells are dates, moments or durations; as text in ISO 8601 (2026-01-31, 2026-01-31T12:30:00Z).

    Raises: BadData naming the first cell, for a column of dates with a little other text in it.
    """
    if isinstance(series.dtype, pd.CategoricalDtype) or types.is_bool_dtype(series.dtype):
        return False
    return not _plain_number(series) and _dates(series) is not None


def category_texts(series: pd.Series) -> pd.Series:
    """The cells as texts in one spelling (see ``text_of``), None where missing; index as given, object dtype.

    Raises: BadData for cells that are neither numbers nor text.
    """
    try:
        codes, uniques = pd.factorize(series, use_na_sentinel=True)
    except TypeError as error:  # lists, dictionaries
        kind = type(series.dropna().iloc[0]).__name__
        raise BadData(f"column {series.name!r} must be numbers or text, got {kind}; split or remove it") from error
    texts = np.array([*(_category_text(value) for value in uniques), None], dtype=object)
    return pd.Series(texts[codes], index=series.index, dtype=object)  # code -1 = missing = the last text


def _category_text(value: object) -> str | None:
    text = text_of(value)
    return None if text in _MISSING else text


def is_missing_text(value: object) -> bool:
    """Whether a cell is a text that stands for a missing value."""
    return isinstance(value, str) and value.strip() in _MISSING


def _plain_number(series: pd.Series) -> bool:
    kind = series.dtype
    if types.is_complex_dtype(kind):
        raise BadData(f"column {series.name!r} must be numbers or text, got complex numbers; split or remove it")
    return types.is_numeric_dtype(kind) and not types.is_bool_dtype(kind)


def _dates(series: pd.Series) -> np.ndarray | None:
    """float64 (n,) days, or None for a column that is not one of dates or durations."""
    if types.is_timedelta64_dtype(series.dtype):
        return np.asarray(pd.to_timedelta(series).dt.total_seconds(), dtype=np.float64) / 86_400
    kind = "datetime64" if types.is_datetime64_any_dtype(series.dtype) else types.infer_dtype(series, skipna=True)
    if kind == "string":
        return _dates_in_text(series)
    return _days(series) if kind in ("date", "datetime", "datetime64") else None


def _days(series: pd.Series, **how: str) -> np.ndarray:
    moments = pd.to_datetime(series, utc=True, errors="coerce", **how).dt.tz_localize(None)  # type: ignore[call-overload]
    return np.asarray((moments - _EPOCH).dt.total_seconds(), dtype=np.float64) / 86_400


def _dates_in_text(series: pd.Series) -> np.ndarray | None:
    """Days of a column whose known cells are dates in ISO 8601; None where more than a little is other text."""
    cells = series.astype(object).map(lambda cell: cell.strip() if isinstance(cell, str) else None)
    cells = cells.where(~cells.map(is_missing_text).to_numpy(dtype=bool), None)
    known = cells.dropna()
    if not known.iloc[:100].map(_looks_like_date).any():  # most columns of text are told by their first cells
        return None
    days = _days(cells.where(cells.map(_looks_like_date), None), format="ISO8601")
    other = np.isnan(days) & cells.notna().to_numpy()
    if other.sum() > TEXT_SHARE * len(known):
        return None
    if other.any():
        at = int(np.argmax(other))
        raise BadData(
            f"column {series.name!r} must be dates, got {series.iloc[at]!r} in row {series.index[at]}; "
            f"mend the cell, or leave it empty for a missing value"
        )
    return days


def _looks_like_date(cell: object) -> bool:
    return isinstance(cell, str) and _ISO_DATE.fullmatch(cell) is not None


def _parsed(series: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Cells as float64 (NaN where missing or text), and where they are text."""
    cells = series.astype(object).map(lambda cell: cell.strip() if isinstance(cell, str) else cell)
    known = cells.notna().to_numpy() & ~cells.map(is_missing_text).to_numpy(dtype=bool)
    values = pd.to_numeric(cells.where(known, None), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return values, known & np.isnan(values)


def _text_among_numbers(series: pd.Series, text: np.ndarray) -> BadData:
    at = int(np.argmax(text))
    return BadData(
        f"column {series.name!r} must be numbers, got {series.iloc[at]!r} in row {series.index[at]}; "
        f"mend the cell, or leave it empty for a missing value"
    )
