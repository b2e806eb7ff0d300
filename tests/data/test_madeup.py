"""Rows made up from a table's own: what they are made of."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from steerage.data import dataset_from_arrays
from steerage.data import madeup as module
from steerage.data.madeup import NEIGHBOURS, made_up
from steerage.data.tabular import TablePreprocess

RNG = np.random.default_rng(0)
ROWS = 300


def of(x: torch.Tensor, **options: int) -> tuple[torch.Tensor, torch.Tensor]:
    return made_up(x, torch.arange(x.shape[1]), **{"times": 2, "seed": 0, **options})


def test_there_are_so_many_for_each_row_and_a_seed_gives_the_same() -> None:
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    rows, origin = of(x)
    assert rows.shape == (100, 4) and origin.tolist() == [*range(50), *range(50)]
    assert torch.equal(rows, of(x)[0]) and not torch.equal(rows, of(x, seed=1)[0])


def test_a_row_keeps_most_of_itself_and_takes_the_rest_from_one_row() -> None:
    x = torch.randn(200, 30, generator=torch.Generator().manual_seed(0))
    rows, origin = of(x)
    own = rows == x[origin]
    assert 0.6 < own.float().mean() < 0.8
    for row, kept in zip(rows, own, strict=True):
        assert any(torch.equal(row[~kept], other[~kept]) for other in x)


def test_only_the_nearest_rows_are_mixed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARE", 1.0)
    line = torch.arange(100.0).unsqueeze(1)
    rows, origin = of(line, times=20)
    apart = (rows[:, 0] - origin).abs()
    assert apart.min() >= 1  # never the row itself
    assert apart[(origin > 5) & (origin < 94)].max() <= (NEIGHBOURS + 1) // 2


def test_neighbours_are_looked_for_among_some_of_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARE", 1.0)
    monkeypatch.setattr(module, "AMONG", 40)
    monkeypatch.setattr(module, "CHUNK", 7)
    rows, origin = of(torch.arange(100.0).unsqueeze(1), times=20)
    assert len({*rows[:, 0].tolist()}) <= 40
    assert ((rows[:, 0] - origin) != 0).all()


def test_features_of_one_column_stay_together() -> None:
    frame = pd.DataFrame(
        {
            "colour": RNG.choice(["red", "green", "blue"], ROWS),
            "size": np.where(RNG.random(ROWS) < 0.3, np.nan, RNG.normal(size=ROWS)),
            "weight": RNG.normal(size=ROWS),
        }
    )
    data = dataset_from_arrays(frame, np.arange(ROWS) % 2, name="things")
    preprocess = data.preprocess
    assert isinstance(preprocess, TablePreprocess)
    told = [preprocess.columns[at].name for at in preprocess.feature_columns]
    assert all(feature.startswith(name) for feature, name in zip(preprocess.features, told, strict=True))
    rows, _ = made_up(data.x, torch.tensor(preprocess.feature_columns), times=4, seed=0)
    of_colour = [at for at, name in enumerate(told) if name == "colour"]
    assert len(of_colour) == 3 and (rows[:, of_colour].sum(dim=1) == 1).all()
    value, missing = (at for at, name in enumerate(told) if name == "size")
    filled = data.x[data.x[:, missing] == 1, value].unique()
    assert len(filled) == 1 and (rows[rows[:, missing] == 1, value] == filled).all()


def test_one_row_has_nothing_to_be_mixed_with() -> None:
    with pytest.raises(ValueError, match="two of them, got 1"):
        of(torch.zeros(1, 3))
    rows, _ = of(torch.tensor([[0.0], [1.0]]))
    assert {*rows[:, 0].tolist()} <= {0.0, 1.0}
