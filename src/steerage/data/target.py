"""The column to be predicted: classification or regression, and as which numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.api import types

from steerage.data.columns import is_missing_text
from steerage.data.dataset import Task
from steerage.data.raw import Labels, listed, text_of
from steerage.errors import BadArgument, BadData

# A whole-number target with more values than this, and than this share of the rows, is measured rather than counted.
MANY_VALUES = 20
MANY_SHARE = 0.05
_SWITCH = {"0": 0.0, "1": 1.0, "False": 0.0, "True": 1.0}


@dataclass(frozen=True, eq=False)
class Target:
    """Labels as numbers. ``values``: int64 class codes (n,), or float64 in original units, (n,) or (n, targets);
    or 1 and 0, float64 (n, labels), for labels that are on or off.

    ``classes``: names of codes or labels; () = regression.
    """

    values: np.ndarray
    classes: tuple[str, ...]

    @property
    def task(self) -> Task:
        if not self.classes:
            return "regression"
        return "classification" if self.values.ndim == 1 else "multilabel"


def known_labels(labels: Labels) -> np.ndarray:
    """bool (n,): where there is a label; null, NaN, infinite and texts such as "?" are none. Of several, all count."""
    if isinstance(labels, pd.DataFrame):
        every = [known_labels(labels.iloc[:, at]) for at in range(labels.shape[1])]
        return np.asarray(np.logical_and.reduce(every))
    known = labels.notna().to_numpy(dtype=bool)
    if types.is_float_dtype(labels.dtype):
        known = known & np.isfinite(labels.to_numpy(dtype=np.float64, na_value=np.nan))
    elif not types.is_numeric_dtype(labels.dtype):
        known = known & ~labels.astype(object).map(is_missing_text).to_numpy(dtype=bool)
    return known


def read_target(labels: Labels, *, task: Task | None, class_names: tuple[str, ...] = ()) -> Target:
    """Labels without missing ones -> codes or numbers; ``task=None`` decides by the values.

    Several columns are numbers all, or labels all, which are 1 or 0, or true or false ("multilabel").

    Codes follow the sort order of the labels themselves, so splits stratified by code equal those by label.
    ``class_names``: names of the integer labels 0, 1, ... .
    Raises: BadData for one value only, text where numbers are needed, or nearly as many classes as rows.
    """
    if task not in (None, "classification", "regression", "multilabel"):
        raise BadArgument(f"task must be 'classification', 'regression' or 'multilabel', got {task!r}")
    if isinstance(labels, pd.DataFrame):
        return _read_targets(labels, task)
    if task == "multilabel":
        raise BadData(f"target {_named(labels)}must be several columns for multilabel; name them with commas between")
    numeric = _as_numbers(labels)
    if task == "regression" or (task is None and not class_names and numeric is not None and _measured(numeric)):
        if numeric is None or np.isnan(numeric).any():
            raise _not_a_number(labels, numeric)
        if numeric.min() == numeric.max():
            raise BadData(f"target {_named(labels)}must vary, got only {numeric[0]:g}; choose another target column")
        return Target(numeric, ())
    values, codes = sorted_labels(labels)
    if len(values) < 2:
        raise BadData(
            f"target {_named(labels)}must have at least two classes, got only {listed(values)!r}; "
            "choose another target column, or add rows of other classes"
        )
    if len(values) > max(MANY_VALUES, len(labels) / 2):
        raise BadData(
            f"target {_named(labels)}must have few classes, got {len(values)} in {len(labels)} rows; "
            f"choose another target column, or regression if they are quantities"
        )
    names = tuple(class_name(value, class_names) for value in values)
    return Target(codes.astype(np.int64), names)


def _read_targets(labels: pd.DataFrame, task: Task | None) -> Target:
    if task == "classification":
        raise BadData(
            f"several targets ({listed(labels)}) must be numbers, or labels that are 0 or 1; name one column of classes"
        )
    columns = [labels.iloc[:, at] for at in range(labels.shape[1])]
    if task == "regression" or (task is None and not all(map(_is_switch, columns))):
        return Target(np.stack([read_target(one, task="regression").values for one in columns], axis=1), ())
    on = switched(labels)
    if task is None and (on.sum(axis=1) == 1).all():
        raise BadData(
            f"targets must be one column of classes, got {on.shape[1]} of which each row has one that is 1; "
            "use argmax on one-hot labels, or say multilabel"
        )
    for name, column in zip(labels.columns, on.T, strict=True):
        if column.min() == column.max():
            raise BadData(f"target {name!r} must be 1 in some rows and 0 in others, got {column[0]:g}; leave it out")
    return Target(on, tuple(map(str, labels.columns)))


def _is_switch(labels: pd.Series) -> bool:
    return set(map(text_of, labels.unique())) <= _SWITCH.keys()


def switched(labels: pd.DataFrame) -> np.ndarray:
    """float64 (n, labels): 1 where a label is on. Raises: BadData naming a cell that is neither 0 nor 1."""
    found = []
    for at in range(labels.shape[1]):
        texts = labels.iloc[:, at].map(text_of)
        strange = ~texts.isin(_SWITCH)
        if strange.any():
            raise BadData(
                f"target {labels.columns[at]!r} must be 0 or 1, or true or false, got {texts[strange].iloc[0]!r}; "
                "mend the cell, or choose regression"
            )
        found.append(texts.map(_SWITCH).to_numpy(dtype=np.float64))
    return np.stack(found, axis=1)


def sorted_labels(labels: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Different labels in their own order (numbers by size), and the index of each row's label among them."""
    array = np.asarray(labels.astype(object) if isinstance(labels.dtype, pd.CategoricalDtype) else labels)
    try:
        values, codes = np.unique(array, return_inverse=True)
    except TypeError:  # numbers and text in one column have no order of their own
        values, codes = np.unique(np.array([text_of(value) for value in array], dtype=object), return_inverse=True)
    return values, codes


def codes_for(labels: pd.Series, classes: tuple[str, ...]) -> np.ndarray:
    """int64 (n,): labels without missing ones as codes of known ``classes``, by name. Raises: BadData for others."""
    code = {text_of(name): at for at, name in enumerate(classes)} | {name: at for at, name in enumerate(classes)}
    values, inverse = sorted_labels(labels)
    found = [code.get(str(value), code.get(text_of(value))) for value in values]
    strange = [value for value, at in zip(values, found, strict=True) if at is None]
    if strange:
        raise BadData(
            f"target {_named(labels)}must have the classes {listed(classes)}, got {listed(strange)}; "
            f"check the target column"
        )
    return np.asarray(np.array(found, dtype=np.int64)[inverse])


def quantities(labels: Labels) -> np.ndarray:
    """float64 (n,) or (n, targets): labels without missing ones as numbers. Raises: BadData naming one that is text."""
    if isinstance(labels, pd.DataFrame):
        return np.stack([quantities(labels.iloc[:, at]) for at in range(labels.shape[1])], axis=1)
    numeric = _as_numbers(labels)
    if numeric is None or np.isnan(numeric).any():
        raise _not_a_number(labels, numeric)
    return numeric


def _as_numbers(labels: pd.Series) -> np.ndarray | None:
    """float64 (n,), NaN where text; None when more than 5% are text, or for bools."""
    if types.is_bool_dtype(labels.dtype):
        return None
    if types.is_numeric_dtype(labels.dtype):
        return np.asarray(labels, dtype=np.float64)
    values = pd.to_numeric(labels.astype(object), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return values if np.isnan(values).mean() <= 0.05 else None


def _measured(values: np.ndarray) -> bool:
    known = values[~np.isnan(values)]
    if not (known == np.round(known)).all():
        return True
    return len(np.unique(known)) > max(MANY_VALUES, MANY_SHARE * len(known))


def _not_a_number(labels: pd.Series, numeric: np.ndarray | None) -> BadData:
    if numeric is None:
        example = next((value for value in labels if not isinstance(value, int | float)), labels.iloc[0])
        return BadData(f"target {_named(labels)}must be numbers for regression, got {example!r}; choose classification")
    at = int(np.argmax(np.isnan(numeric)))
    return BadData(
        f"target {_named(labels)}must be numbers, got {labels.iloc[at]!r} in row {labels.index[at]}; "
        f"mend the cell, or choose classification"
    )


def class_name(value: object, names: tuple[str, ...]) -> str:
    """Name of a label: one of ``names`` where it is an index into them, else its text."""
    if names and _is_code(value, len(names)):
        return names[int(value)]  # type: ignore[call-overload]
    return value if isinstance(value, str) else text_of(value)


def _is_code(value: object, count: int) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and 0 <= int(value) < count


def _named(labels: pd.Series) -> str:
    return f"{labels.name!r} " if labels.name is not None else ""
