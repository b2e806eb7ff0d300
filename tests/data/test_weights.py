"""Weights of rows: equal rows are one, whole weights are repetitions, and classes can be heard alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from steerage.data import Dataset, dataset_from_arrays
from steerage.data.weights import LEAST, MOST, balance, class_weighted, weighted
from steerage.errors import BadArgument, BadData
from tasks import clouds, numbers, table

ROWS = 120
RNG = np.random.default_rng(0)
REPEATS = RNG.integers(0, 4, ROWS)


def mixed() -> tuple[pd.DataFrame, np.ndarray]:
    frame = pd.DataFrame(
        {
            "number": np.where(RNG.random(ROWS) < 0.2, np.nan, RNG.normal(size=ROWS)),
            "text": RNG.choice(["a", "b", None], ROWS),
            "kind": pd.Categorical(RNG.choice(["u", "v", "w"], ROWS)),
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(RNG.integers(0, 9, ROWS), unit="D"),
            "flag": RNG.random(ROWS) < 0.5,
        }
    )
    return frame, np.where(RNG.random(ROWS) < 0.5, "yes", "no")


def images() -> tuple[np.ndarray, np.ndarray]:
    return RNG.integers(0, 255, (ROWS, 5, 5), dtype=np.uint8), np.arange(ROWS) % 3


def measured() -> tuple[np.ndarray, np.ndarray]:
    x = RNG.normal(size=(ROWS, 3))
    return x, 100 + x[:, 0]


def built(x: Any, y: Any, weights: Any, **options: Any) -> Dataset:
    return dataset_from_arrays(x, y, weights=weights, **{"hold_out": False, **options})


def at(x: Any, rows: np.ndarray) -> Any:
    return x.iloc[rows] if isinstance(x, pd.DataFrame) else x[rows]


@pytest.mark.parametrize("make", [mixed, images, measured])
def test_whole_weights_are_the_same_as_repeated_rows(make: Any) -> None:
    x, y = make()
    data = built(x, y, REPEATS)
    repeated, shuffled = np.arange(ROWS).repeat(REPEATS), RNG.permutation(ROWS)
    other = built(at(x, repeated), y[repeated], np.ones(len(repeated)))
    assert data.weights is not None and other.weights is not None
    assert torch.equal(data.x, other.x) and torch.equal(data.y, other.y) and torch.equal(data.weights, other.weights)
    assert data.preprocess == other.preprocess
    assert (data.target_mean, data.fingerprint) == (other.target_mean, other.fingerprint)
    assert data.spec.rows == len(data.x) == (REPEATS > 0).sum()
    assert built(at(x, shuffled), y[shuffled], REPEATS[shuffled]).fingerprint == data.fingerprint


def test_rows_of_weight_zero_leave_no_trace() -> None:
    x, y = mixed()
    weights = np.where(np.arange(ROWS) < 20, 0.0, 1.5)
    x.loc[:19, "number"], x.loc[:19, "text"], y[:19] = 1e9, "never seen", "perhaps"
    data = built(x, y, weights)
    assert data.classes == ("no", "yes")
    assert data.fingerprint == built(x.iloc[20:], y[20:], weights[20:]).fingerprint


def test_weights_have_a_mean_of_one_and_their_own_ratios() -> None:
    x, y = measured()
    weights = RNG.random(ROWS) + 0.1
    data = built(x, y, weights * 1e300)
    assert data.weights is not None and data.weights.dtype == torch.float32
    assert data.weights.mean().item() == pytest.approx(1.0)
    assert np.allclose(np.sort(data.weights.numpy()), np.sort(weights / weights.mean()), rtol=1e-5)
    assert data.fingerprint != built(x, y, np.ones(ROWS)).fingerprint


def test_weights_that_are_all_the_same_are_none() -> None:
    x, y = measured()
    assert built(x, y, np.full(ROWS, 0.3)).weights is None
    assert built(x, y, np.full(ROWS, 0.3)).fingerprint == built(x, y, [7] * ROWS).fingerprint


def test_in_a_table_of_counts_copies_stay_apart() -> None:
    x, y = np.array([[0.0], [1.0], [2.0]]), np.array([0, 1, 1])
    data = built(x, y, [100, 3, 40])
    assert data.weights is not None
    totals = {value: data.weights[data.x[:, 0] == value].sum().item() for value in data.x[:, 0].unique().tolist()}
    assert sorted((data.x[:, 0] == value).sum().item() for value in totals) == [4, MOST, MOST]
    shares = np.array(sorted(totals.values())) / sum(totals.values())
    assert np.allclose(shares, np.array([3, 40, 100]) / 143, rtol=1e-5)
    order = np.random.default_rng(1).permutation(143)
    assert built(x.repeat([100, 3, 40], 0)[order], y.repeat([100, 3, 40])[order], 1 + 0 * order).fingerprint == (
        data.fingerprint
    )


def test_weights_with_a_common_factor_are_no_counts() -> None:
    x, y = measured()
    assert len(built(x, y, np.full(ROWS, 60)).x) == ROWS


def test_few_kinds_of_rows_are_as_many_rows_as_a_training_needs() -> None:
    data = built(np.array([[0.0], [1.0]]).repeat(9, axis=0), np.array([0, 1]).repeat(9), np.ones(18))
    assert len(data.x) == LEAST
    assert data.weights is None


def test_a_test_part_keeps_its_rows_and_weights() -> None:
    x, y = clouds(100)
    weights = np.where(y == 0, 2.0, 1.0)
    plain, data = dataset_from_arrays(x, y), dataset_from_arrays(x, y, weights=weights)
    assert torch.equal(data.y_test, plain.y_test)
    assert data.weights_test is not None
    heavy, light = (data.weights_test[kind] for kind in (data.y_test == 0, data.y_test > 0))
    assert torch.allclose(heavy, 2 * light[0]) and torch.allclose(light, light[0])
    given = dataset_from_arrays(x, y, weights=weights, x_test=x[:5], y_test=y[:5])
    assert given.weights_test is None and given.weights is not None


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0] * (ROWS - 1), r"shape \(120,\), got \(119,\)"),
        ([-1.0] + [1.0] * (ROWS - 1), "not negative, got -1 for row 0"),
        ([1.0] * (ROWS - 1) + [np.inf], "finite and not negative, got inf for row 119"),
        (["heavy"] * ROWS, "weights must be numbers"),
        ([1.0] * 9 + [0.0] * (ROWS - 9), "at least 10 rows with a label and a weight that is not zero, got 9"),
    ],
)
def test_weights_that_make_no_sense_are_refused(weights: Any, message: str) -> None:
    with pytest.raises(BadData, match=message):
        built(*measured(), weights)


def test_cells_that_cannot_be_read_are_refused_as_without_weights() -> None:
    frame, y = mixed()
    with pytest.raises(BadData, match="column 'list' must be numbers or text, got list"):
        built(frame.assign(list=[[1, 2]] * ROWS), y, REPEATS)


def test_ten_repetitions_are_ten_rows() -> None:
    x, y = measured()
    assert len(built(x[:4], y[:4], [3, 3, 3, 1]).x) >= LEAST


def test_classes_weigh_the_same_in_all_once_they_are_balanced() -> None:
    x, y = clouds(120)
    data = built(x[20:], np.minimum(y[20:], 1), np.linspace(0.1, 2.0, 100))
    balanced = class_weighted(data, balance(data))
    assert balanced.weights is not None and data.weights is not None
    assert [balanced.weights[balanced.y == code].sum().item() for code in range(2)] == pytest.approx([50.0] * 2)
    ratios = balanced.weights / data.weights
    assert all(torch.allclose(ratios[data.y == code], ratios[data.y == code][0]) for code in range(2))
    assert balanced.fingerprint != data.fingerprint


def test_class_weights_multiply_the_weights_of_rows() -> None:
    data = table()
    heavy = class_weighted(data, [3.0, 1.0, 1.0])
    assert heavy.weights is not None
    assert torch.allclose(heavy.weights[data.y == 0], 3 * heavy.weights[data.y == 1][0])
    again = class_weighted(heavy, [2.0, 6.0, 6.0])
    assert again.weights is not None
    assert torch.allclose(again.weights, torch.ones(120))


def test_factors_that_fit_no_classes_are_refused() -> None:
    with pytest.raises(BadArgument, match="one for each of 3 classes, got 2"):
        class_weighted(table(), [1.0, 2.0])
    with pytest.raises(BadArgument, match="one for each of 0 classes"):
        class_weighted(numbers(), [])
    with pytest.raises(BadArgument, match="positive and finite, got 0"):
        class_weighted(table(), [0.0, 1.0, 1.0])
    with pytest.raises(BadArgument, match=r"weights_test must be one number per row, shape \(30,\), got \(1,\)"):
        weighted(table(), np.ones(120), [1.0])
