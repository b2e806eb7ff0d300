"""A table's training and test rows, the same for all methods: those of ``steerage synth``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from common import SHARED
from numpy.typing import NDArray

from steerage.data.build import drop_unlabelled, split_rows
from steerage.data.columns import is_category, numbers
from steerage.data.sources import load_raw
from steerage.data.target import read_target

DATA = ("letter", "satellite", "dna", "vowel", "soybean", "credit_g", "california_housing")


def path_of(name: str) -> str:
    """File of one of ``DATA``."""
    return str(SHARED / "tabular" / f"{name}.csv.gz")


@dataclass(frozen=True, eq=False)
class Table:
    """``x``: columns of numbers, or of pandas categories. ``y``: class codes, or numbers in their own units."""

    x: pd.DataFrame
    y: NDArray[np.generic]
    x_test: pd.DataFrame
    y_test: NDArray[np.generic]
    classes: int  # 0: regression

    def error(self, predicted: NDArray[np.generic]) -> float:
        """Of predictions for the test rows: the share of wrong ones, or the root mean squared error."""
        if self.classes:
            return float((predicted != self.y_test).mean())
        return float(np.sqrt(np.square(predicted - self.y_test).mean()))


def load(path: str) -> Table:
    """The table in a file whose last column is the target."""
    raw = load_raw(path)
    assert raw.y is not None
    x, labels = drop_unlabelled(raw.x, raw.y)
    assert isinstance(x, pd.DataFrame)
    target = read_target(labels, task=None)
    typed = pd.DataFrame(
        {name: x[name].astype("category") if is_category(x[name]) else numbers(x[name]) for name in x.columns}
    )
    train, test = split_rows(labels, bool(target.classes))
    y = target.values
    return Table(typed.iloc[train], y[train], typed.iloc[test], y[test], len(target.classes))
