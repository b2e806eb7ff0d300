"""Boosted trees in the form of network outputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from steerage.data import Dataset, dataset_from_arrays
from steerage.training.measure import by_target
from steerage.training.trees import KINDS, fit_trees
from tasks import clouds, numbers, table, waves

X, _ = waves(400)
PAIR = dataset_from_arrays(X, np.stack([X[:, 0], X[:, 1] ** 2], axis=1), task="regression", name="pair")
LABELS = dataset_from_arrays(X, np.stack([X[:, 0] > 0, X[:, 1] > 0.5], axis=1).astype(int), name="labels")
LABELS = replace(LABELS, spec=replace(LABELS.spec, task="multilabel"))
TWO = dataset_from_arrays(clouds(400)[0], clouds(400)[1] > 0, name="two")


def rows_of(data: Dataset) -> torch.Tensor:
    return torch.arange(len(data.y))


@pytest.mark.parametrize("data", [table(400), TWO], ids=["three classes", "two"])
def test_classes_have_probabilities(data: Dataset) -> None:
    told = fit_trees(data, rows_of(data), rounds=40)(data.x_test)
    assert told.shape == (len(data.y_test), data.spec.outputs) and told.dtype == torch.float32
    assert torch.allclose(told.sum(dim=1), torch.ones(len(told)), atol=1e-5) and (told >= 0).all()
    assert (told.argmax(dim=1) == data.y_test).float().mean() > 0.8


@pytest.mark.parametrize("data", [numbers(400), PAIR], ids=["one target", "two"])
def test_targets_are_told_in_standardized_units(data: Dataset) -> None:
    told = fit_trees(data, rows_of(data), rounds=40)(data.x_test)
    target = by_target(data.y_test)
    assert told.shape == target.shape
    assert ((told - target).square().mean(dim=0) < 0.4 * target.var(dim=0)).all()


def test_labels_have_a_probability_each() -> None:
    told = fit_trees(LABELS, rows_of(LABELS), rounds=40)(LABELS.x_test)
    assert told.shape == LABELS.y_test.shape and ((told >= 0) & (told <= 1)).all()
    assert ((told > 0.5) == (LABELS.y_test > 0.5)).float().mean() > 0.9


def test_rows_that_count_for_nothing_teach_nothing() -> None:
    data = table(400)
    half = torch.arange(len(data.y)) < len(data.y) // 2
    y = torch.where(half, data.y, (data.y + 1) % 3)  # the other half is labelled wrongly
    weighted = replace(data, y=y, weights=2.0 * half.float())
    right = [
        (fit_trees(one, rows_of(one), rounds=30)(data.x_test).argmax(dim=1) == data.y_test).float().mean()
        for one in (weighted, replace(data, y=y))
    ]
    assert right[0] > 0.8 and right[0] > right[1] + 0.1


def test_they_are_the_same_again_and_end_when_it_is_enough() -> None:
    data, asked = table(400), []

    def enough() -> bool:
        asked.append(True)
        return len(asked) == 7

    trees = fit_trees(data, rows_of(data), enough=enough)
    assert trees.rounds == 7
    again = fit_trees(data, rows_of(data), rounds=7)
    assert torch.equal(trees(data.x), again(data.x))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_learns_and_none_is_like_another(kind: str) -> None:
    data = table(400)
    told = {one: fit_trees(data, rows_of(data), kind=one, rounds=40)(data.x_test) for one in KINDS}
    assert (told[kind].argmax(dim=1) == data.y_test).float().mean() > 0.8
    assert not any(torch.equal(told[kind], others) for one, others in told.items() if one != kind)
    assert torch.equal(told[kind], fit_trees(data, rows_of(data), kind=kind, rounds=40)(data.x_test))
