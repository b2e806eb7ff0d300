"""Every metric is scikit-learn's, with weights and without, and with classes that are missing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn
from torch import Tensor

from steerage.metrics import METRICS
from steerage.training.measure import MEASURES, measured, telling_rows

ROWS = 300
RNG = np.random.default_rng(0)


def outputs(classes: int) -> Tensor:
    """Quarters, so that there are ties."""
    return torch.tensor((4 * RNG.normal(size=(ROWS, classes))).round() / 4, dtype=torch.float32)


def expected(name: str, scores: Tensor, y: np.ndarray, weights: np.ndarray | None) -> float:
    labels, shares = scores.argmax(1).numpy(), scores.double().softmax(1).numpy()
    if name == "error":
        return 1 - sklearn.accuracy_score(y, labels, sample_weight=weights)
    if name == "balanced_error":
        return 1 - sklearn.balanced_accuracy_score(y, labels, sample_weight=weights)
    if name == "f1":
        return 1 - sklearn.f1_score(y, labels, average="macro", sample_weight=weights)
    if name == "auroc":
        shares = shares[:, 1] if shares.shape[1] == 2 else shares
        return 1 - sklearn.roc_auc_score(y, shares, multi_class="ovr", sample_weight=weights)
    values = scores[:, 0].numpy()
    if name == "r2":
        return 1 - sklearn.r2_score(y, values, sample_weight=weights)
    if name == "mae":
        return float(sklearn.mean_absolute_error(y, values, sample_weight=weights))
    return float(sklearn.root_mean_squared_error(y, values, sample_weight=weights))


def test_every_metric_has_a_measure() -> None:
    assert set(METRICS) == set(MEASURES)


@pytest.mark.parametrize("weights", [None, RNG.random(ROWS), RNG.integers(0, 3, ROWS)], ids=["plain", "real", "whole"])
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("name", ["error", "balanced_error", "f1", "auroc"])
def test_metrics_of_classes_are_those_of_sklearn(name: str, classes: int, weights: np.ndarray | None) -> None:
    scores, y = outputs(classes), RNG.choice(classes, ROWS, p=np.arange(1, classes + 1) / sum(range(classes + 1)))
    given = None if weights is None else torch.as_tensor(weights)
    assert measured(name, scores, torch.as_tensor(y), given) == pytest.approx(expected(name, scores, y, weights))


@pytest.mark.parametrize("weights", [None, RNG.random(ROWS)], ids=["plain", "weighted"])
@pytest.mark.parametrize("name", ["r2", "rmse", "mae"])
def test_metrics_of_numbers_are_those_of_sklearn(name: str, weights: np.ndarray | None) -> None:
    scores, y = outputs(1), RNG.normal(size=ROWS)
    given = None if weights is None else torch.as_tensor(weights)
    assert measured(name, scores, torch.as_tensor(y), given) == pytest.approx(expected(name, scores, y, weights))


@pytest.mark.parametrize("name", ["balanced_error", "f1"])
def test_classes_without_rows_count_as_sklearn_counts_them(name: str) -> None:
    y = RNG.integers(0, 2, ROWS)
    scores = torch.cat([outputs(2), torch.full((ROWS, 2), -9.0)], dim=1)
    assert measured(name, scores, torch.as_tensor(y)) == pytest.approx(expected(name, scores, y, None))
    scores[:20, 3] = 9.0  # predicted, though no row is of it
    if name == "f1":
        assert measured(name, scores, torch.as_tensor(y)) == pytest.approx(expected(name, scores, y, None))


def test_the_area_of_a_single_class_is_that_of_chance() -> None:
    assert measured("auroc", outputs(3), torch.ones(ROWS, dtype=torch.int64)) == 0.5


def test_classes_without_rows_have_no_area() -> None:
    y = torch.as_tensor(RNG.integers(0, 2, ROWS))
    perfect = torch.nn.functional.one_hot(y, 3).float()
    assert measured("auroc", perfect, y) == 0.0


def test_a_mean_over_classes_is_as_sure_as_its_rare_classes_let_it_be() -> None:
    even, uneven = torch.arange(300) % 3, torch.cat([torch.zeros(270), torch.ones(15), 2 * torch.ones(15)]).long()
    assert telling_rows(even, 3) == 300
    missed = np.stack([RNG.binomial(size, 0.2, 20_000) / size for size in (270, 15, 15)]).mean(axis=0)
    assert missed.std() == pytest.approx(np.sqrt(0.2 * 0.8 / telling_rows(uneven, 3)), rel=0.03)
    assert telling_rows(uneven, 5) == telling_rows(uneven, 3)


def test_weights_lower_what_rows_tell() -> None:
    y = torch.arange(100) % 2
    assert telling_rows(y, 2, torch.full((100,), 0.3)) == 100
    assert telling_rows(y, 2, (torch.arange(100) < 40).float()) == 40
