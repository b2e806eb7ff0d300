"""What a reader hands over: rows as they stand in the source, before anything is decided about them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
import torch

from steerage.errors import BadData

# Cells that mean "not known", besides what a parquet file marks as null.
MISSING = ("", "?", "NA", "N/A", "n/a", "NaN", "nan", "<NA>", "NULL", "null")

Labels: TypeAlias = pd.Series | pd.DataFrame  # one target, or several side by side

_WHOLE_NUMBER = re.compile(r"[+-]?\d+\.0*")


@dataclass(frozen=True, eq=False)
class Raw:
    """Rows and labels of one source.

    x: DataFrame of features, images uint8 | float32 (n, c, h, w), or signals float32 (n, channels, length). y:
    one label per row, or None where the source has none; missing labels are still in it. Several targets are the
    columns of a DataFrame, two at least. ``class_names``: names of the
    integer labels 0, 1, ... where known.
    ``weights``: float64 (n,), how much each row counts, not negative; None where all count alike. ``groups``,
    ``groups_test``: text (n,), to which group each row belongs (``steerage.data.groups``); None where rows are
    independent. ``group_name``: the column that says so.
    """

    name: str
    kind: Literal["table", "image", "signal"]
    x: pd.DataFrame | np.ndarray
    y: Labels | None
    x_test: pd.DataFrame | np.ndarray | None = None
    y_test: Labels | None = None
    class_names: tuple[str, ...] = ()
    target_name: str | None = None
    weights: np.ndarray | None = None
    groups: np.ndarray | None = None
    groups_test: np.ndarray | None = None
    group_name: str | None = None


def together(*parts: Labels) -> Labels:
    """Labels of several parts, one after the other."""
    joined: Labels = pd.concat(parts, ignore_index=True)  # type: ignore[arg-type]  # parts are of one kind
    return joined


def notice(message: str) -> None:
    """Tells the user about something that was decided for them (a ``UserWarning``)."""
    warnings.warn(message, UserWarning, stacklevel=3)


def listed(names: Iterable[object], limit: int = 10, *, width: int = 60) -> str:
    """``a, b, c and 4 more``: at most ``limit``, and as many as fit into ``width`` characters, but one at least."""
    all_names = [str(name) for name in names]
    shown = all_names[:limit]
    while len(shown) > 1 and len(", ".join(shown)) > width:
        shown.pop()
    left = len(all_names) - len(shown)
    return f"{', '.join(shown)} and {left} more" if left else ", ".join(shown)


def as_array(values: Any, name: str) -> np.ndarray:
    """A tensor, array, or nested list as an array. Raises: BadData for lists of unlike lengths."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        return np.asarray(values.float() if values.dtype == torch.bfloat16 else values)
    try:
        return np.asarray(values)
    except ValueError as error:
        raise BadData(
            f"{name} must be an array with rows of equal length, got rows of unlike lengths; cut them alike"
        ) from error


def text_of(value: object) -> str:
    """One spelling per value, so that 1, 1.0 and "1.0", or True and "TRUE", are the same category or class.

    A column of a few rows may be read as numbers where the whole column was read as text, and the other way round.
    """
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return str(int(value)) if np.isfinite(value) and float(value).is_integer() else repr(float(value))
    text = str(value).strip()
    if text.lower() in ("true", "false"):
        return text.capitalize()
    return text.split(".")[0] if _WHOLE_NUMBER.fullmatch(text) else text
