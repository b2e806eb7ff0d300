"""Tables: how each column becomes numbers, learnt from training rows, and the same for every row that comes later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from steerage.data.columns import category_texts, numbers
from steerage.data.raw import as_array, listed
from steerage.errors import BadData
from steerage.store import plain

CLIP = 8.0  # standard deviations; what lies further out is an outlier whose exact distance says nothing

# Fields of a column that are told one by one though all are alike: one list of categories would look like that.
ALWAYS_LISTED = ("name", "categories")

ColumnKind = Literal["number", "category"]


@dataclass(frozen=True)
class Column:
    """One column of the table and what is done with it.

    Encoded: a number as it is; a category as its index in ``categories``; NaN = missing or unknown.
    Then ``fill`` replaces NaN. ``one_hot`` > 0: that many 0/1 features, all zero for ``fill = -1``. Else one feature,
    ``clip((f(value) - mean) / std)``, where ``f(v) = sign(v) log(1 + |v| / log_unit)``, or ``v`` for ``log_unit = 0``;
    and ``indicator`` adds a feature that is 1 where the value was missing.
    """

    name: str
    kind: ColumnKind
    fill: float
    categories: tuple[str, ...] = ()
    one_hot: int = 0
    log_unit: float = 0.0
    mean: float = 0.0
    std: float = 1.0
    indicator: bool = False


@dataclass(frozen=True)
class TablePreprocess:
    """Treatment of every used column. ``source``: all feature columns of the training table, used or not, in order."""

    source: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (len(self.columns),)

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (sum(column.one_hot or 1 + column.indicator for column in self.columns),)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the network's inputs: values, then missing-indicators, then one-hot features."""
        values = [column.name for column in self.columns if not column.one_hot]
        missing = [f"{column.name} is missing" for column in self.columns if column.indicator]
        hot = [
            f"{column.name} = {(*column.categories, 'missing')[code]}"
            for column in self.columns
            for code in range(column.one_hot)
        ]
        return (*values, *missing, *hot)

    @property
    def feature_columns(self) -> tuple[int, ...]:
        """Index in ``columns`` of the one that each of the ``features`` tells of."""
        values = [at for at, column in enumerate(self.columns) if not column.one_hot]
        missing = [at for at, column in enumerate(self.columns) if column.indicator]
        hot = [at for at, column in enumerate(self.columns) for _ in range(column.one_hot)]
        return (*values, *missing, *hot)

    def encode(self, raw: Any) -> Tensor:
        """Rows -> float32 ``(n, columns)``: numbers, category codes, NaN for missing, infinite or unknown.

        ``raw``: a DataFrame with the training columns (in any order; others are ignored), or a 2-d array or tensor
        with as many columns as the training table had features.
        Raises: BadData naming missing columns, or a cell with text in a column of numbers.
        """
        frame = self._frame(raw)
        absent = [column.name for column in self.columns if column.name not in frame.columns]
        if absent:
            raise BadData(f"the table must have the columns {listed(absent)}; it has {listed(frame.columns)}")
        twice = [column.name for column in self.columns if list(frame.columns).count(column.name) > 1]
        if twice:
            raise BadData(f"column names must be unique, got {listed(twice)} more than once; rename them")
        encoded = np.empty((len(frame), len(self.columns)), dtype=np.float32)
        for at, column in enumerate(self.columns):
            series = frame[column.name]
            encoded[:, at] = numbers(series) if column.kind == "number" else category_codes(series, column.categories)
        return torch.from_numpy(encoded)

    def _frame(self, raw: Any) -> pd.DataFrame:
        if isinstance(raw, pd.DataFrame):
            return raw.set_axis([str(name) for name in raw.columns], axis=1)
        array = as_array(raw, "rows")
        if array.ndim != 2 or array.shape[1] != len(self.source):
            raise BadData(
                f"rows must have shape (n, {len(self.source)}), one column per feature of the training data, "
                f"got {array.shape}"
            )
        return pd.DataFrame(array, columns=list(self.source))

    def module(self) -> nn.Module:
        """Encoded rows float32 (n, columns) -> network inputs float32 (n, features), in the order of ``features``."""
        return _TableModule(self.columns)

    def to_json(self) -> dict[str, Any]:
        """Few bytes for a table of many columns: each field of ``Column`` with a list of what it is in each of them,
        or with what it is in all of them, and left out where that is the usual; ``source`` is, where it is the names.
        """
        columns: dict[str, Any] = {}
        for field in fields(Column):
            values = [getattr(column, field.name) for column in self.columns]
            different = {*values}
            if different != {field.default}:
                alike = len(different) == 1 and field.name not in ALWAYS_LISTED
                columns[field.name] = values[0] if alike else plain(values)
        source = {} if [*self.source] == columns["name"] else {"source": [*self.source]}
        return {"kind": "table", **source, "columns": columns}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> TablePreprocess:
        """Inverse of ``to_json``; columns may also be a list of objects, one each, as they were until version 2.

        Raises: KeyError, TypeError or ValueError when something is missing or wrong.
        """
        told = document["columns"]
        columns = tuple(
            Column(**{**column, "categories": tuple(map(str, column.get("categories", ())))})
            for column in (told if isinstance(told, list) else _each_of(told))
        )
        for column in columns:
            numbers_ok = np.isfinite([column.fill, column.log_unit, column.mean, column.std]).all()
            hot = type(column.one_hot) is int and 0 <= column.one_hot <= len(column.categories) + 1
            known = column.kind in ("number", "category") and isinstance(column.name, str)
            if not (known and hot and numbers_ok and column.std > 0 and isinstance(column.indicator, bool)):
                raise ValueError(f"column {column.name!r} is not well formed")
        return cls(tuple(map(str, document.get("source", [column.name for column in columns]))), columns)


def _each_of(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Fields of each column, of the lists that ``TablePreprocess.to_json`` makes."""
    if not isinstance(told["name"], list):
        raise TypeError("columns must have a list of their names")
    count = len(told["name"])
    spread = {name: value if isinstance(value, list) else [value] * count for name, value in told.items()}
    if any(len(values) != count for values in spread.values()):
        raise ValueError("lists of what columns are must be equally long")
    return [dict(zip(spread, one, strict=True)) for one in zip(*spread.values(), strict=True)]


class _TableModule(nn.Module):
    """Impute, then scaled values | missing-indicators | one-hot features; index tensors make it one pass each."""

    def __init__(self, columns: tuple[Column, ...]) -> None:
        super().__init__()
        values = [(at, column) for at, column in enumerate(columns) if not column.one_hot]
        hot = [(at, code) for at, column in enumerate(columns) for code in range(column.one_hot)]
        self._add("fill", [column.fill for column in columns])
        self._add("value_at", [at for at, _ in values], torch.int64)
        self._add("mean", [column.mean for _, column in values])
        self._add("std", [column.std for _, column in values])
        self._add("is_log", [column.log_unit > 0 for _, column in values], torch.bool)
        self._add("log_unit", [column.log_unit or 1.0 for _, column in values])
        self._add("missing_at", [at for at, column in enumerate(columns) if column.indicator], torch.int64)
        self._add("hot_at", [at for at, _ in hot], torch.int64)
        self._add("hot_code", [code for _, code in hot])
        self.any_log = any(column.log_unit > 0 for _, column in values)

    fill: Tensor
    value_at: Tensor
    mean: Tensor
    std: Tensor
    is_log: Tensor
    log_unit: Tensor
    missing_at: Tensor
    hot_at: Tensor
    hot_code: Tensor

    def _add(self, name: str, values: list[Any], dtype: torch.dtype = torch.float32) -> None:
        self.register_buffer(name, torch.tensor(values, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        missing = torch.isnan(x)  # (n, columns)
        x = torch.where(missing, self.fill, x)
        parts = []
        if self.value_at.numel():
            values = x[:, self.value_at]
            if self.any_log:
                values = torch.where(self.is_log, values.sign() * (values.abs() / self.log_unit).log1p(), values)
            parts.append(((values - self.mean) / self.std).clamp(-CLIP, CLIP))
        if self.missing_at.numel():
            parts.append(missing[:, self.missing_at].to(x.dtype))
        if self.hot_at.numel():
            parts.append((x[:, self.hot_at] == self.hot_code).to(x.dtype))
        return torch.cat(parts, dim=1)  # (n, features)


def category_codes(series: pd.Series, categories: tuple[str, ...]) -> np.ndarray:
    """float32 (n,): index of each row's text in ``categories``, NaN where missing or not among them."""
    code = {text: float(at) for at, text in enumerate(categories)}
    return category_texts(series).map(code).to_numpy(dtype=np.float32, na_value=np.nan)
