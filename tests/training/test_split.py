from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from steerage.data import Dataset, dataset_from_arrays
from steerage.training.split import MAX_VALIDATION_ROWS, validation_split
from tasks import numbers, table


def labelled(y: list[int]) -> Dataset:
    return dataset_from_arrays(np.arange(2 * len(y)).reshape(-1, 2) % 7, np.array(y), hold_out=False)


def many_rows(rows: int) -> Dataset:
    data = numbers()
    return replace(data, x=torch.zeros(rows, 6), y=torch.linspace(-1, 1, rows))


@pytest.mark.parametrize("data", [table(), numbers()], ids=["classes", "numbers"])
def test_every_row_is_in_one_part_and_a_fifth_is_held_out(data: Dataset) -> None:
    train, validation = validation_split(data, 0)
    assert torch.equal(torch.cat([train, validation]).sort().values, torch.arange(len(data.y)))
    assert len(validation) == round(0.2 * len(data.y))


def test_the_seed_chooses_the_rows() -> None:
    data = table()
    assert all(torch.equal(a, b) for a, b in zip(validation_split(data, 3), validation_split(data, 3), strict=True))
    assert not torch.equal(validation_split(data, 3)[1], validation_split(data, 4)[1])


def test_classes_keep_their_shares() -> None:
    data = labelled([0] * 100 + [1] * 50 + [2] * 10)
    assert data.y[validation_split(data, 0)[1]].bincount().tolist() == [20, 10, 2]


def test_no_more_rows_are_held_out_than_it_takes() -> None:
    train, validation = validation_split(many_rows(40_000), 0)
    assert (len(train), len(validation)) == (40_000 - MAX_VALIDATION_ROWS, MAX_VALIDATION_ROWS)


@pytest.mark.parametrize(
    "labels",
    [[0] * 19 + [1], [0, 1] * 5, [0, 1, 2, 3, 4] * 2, [*range(9), 0]],
    ids=["a class of one row", "ten rows", "more classes than rows to hold out", "almost a class a row"],
)
def test_tiny_data_are_split_too(labels: list[int]) -> None:
    train, validation = validation_split(labelled(labels), 0)
    assert len(validation) >= 1
    assert len(train) + len(validation) == len(labels)
