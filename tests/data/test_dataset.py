"""Tasks, targets and fingerprints of data sets made from memory."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
import torch

from steerage.data import dataset_from_arrays, load_dataset
from steerage.data.dataset import fingerprint
from steerage.errors import BadData

X = np.random.default_rng(0).normal(size=(200, 3))


@pytest.mark.parametrize(
    ("y", "task", "outputs"),
    [
        (np.arange(200) % 2, "classification", 2),
        (np.arange(200) % 20, "classification", 20),
        (np.arange(200) % 21, "regression", 1),
        (np.arange(200) % 2 + 0.5, "regression", 1),
        ((np.arange(200) % 3).astype(float), "classification", 3),
        (np.arange(200) % 2 == 0, "classification", 2),
        (np.array(["x", "y"] * 100), "classification", 2),
        (np.array([f"{at}.5" for at in range(200)]), "regression", 1),
    ],
)
def test_the_task_is_told_from_the_labels(y: np.ndarray, task: str, outputs: int) -> None:
    spec = dataset_from_arrays(X, y).spec
    assert (spec.task, spec.outputs) == (task, outputs)


def test_the_task_can_be_set() -> None:
    assert dataset_from_arrays(X, np.arange(200) % 30, task="classification").spec.outputs == 30
    assert dataset_from_arrays(X, np.arange(200) % 5, task="regression").spec.outputs == 1
    with pytest.raises(BadData, match="must be numbers for regression, got 'a'"):
        dataset_from_arrays(X, np.array(["a", "b"] * 100), task="regression")


def test_a_little_text_in_a_regression_target_names_the_cell() -> None:
    y = pd.Series([f"{at}.5" for at in range(200)], name="load")
    y[17] = "high"
    with pytest.raises(BadData, match="target 'load' must be numbers, got 'high' in row 17"):
        dataset_from_arrays(X, y)


def test_regression_targets_are_standardized_by_training_rows() -> None:
    y = 1000 + 50 * X[:, 0]
    data = dataset_from_arrays(X, y)
    assert abs(float(data.y.mean())) < 1e-5 and abs(float(data.y.std(correction=0)) - 1) < 1e-4
    everything = torch.cat([data.y, data.y_test]) * data.target_std + data.target_mean
    assert np.allclose(np.sort(everything.numpy()), np.sort(y), rtol=1e-5)


def test_infinite_targets_are_no_labels() -> None:
    y = X[:, 0].copy()
    y[:5] = np.inf
    with pytest.warns(UserWarning, match="5 of 200 rows have no label"):
        assert dataset_from_arrays(X, y).spec.rows == 156


def test_a_constant_target_is_refused() -> None:
    with pytest.raises(BadData, match="must vary"):
        dataset_from_arrays(X, np.full(200, 1.5))
    with pytest.raises(BadData, match="at least two classes"):
        dataset_from_arrays(X, np.ones(200))


def test_hold_out_false_trains_on_every_row() -> None:
    data = dataset_from_arrays(X, np.arange(200) % 2, hold_out=False)
    assert (data.spec.rows, len(data.x_test), len(data.y_test)) == (200, 0, 0)


def test_classes_only_in_the_test_part_are_classes_all_the_same() -> None:
    data = dataset_from_arrays(X, np.arange(200) % 2, x_test=X[:3], y_test=np.array([0, 1, 2]))
    assert data.classes == ("0", "1", "2") and data.y_test.tolist() == [0, 1, 2]


def test_labels_must_be_one_per_row() -> None:
    assert dataset_from_arrays(X, (np.arange(200) % 2)[:, None]).spec.outputs == 2
    with pytest.raises(BadData, match="argmax"):
        dataset_from_arrays(X, np.eye(2)[np.arange(200) % 2])


def test_tensors_and_frames_are_as_good_as_arrays() -> None:
    y = np.arange(200) % 2
    expected = dataset_from_arrays(X, y).x
    assert torch.equal(dataset_from_arrays(torch.from_numpy(X), torch.from_numpy(y)).x, expected)
    assert torch.equal(dataset_from_arrays(pd.DataFrame(X), pd.Series(y, name="y")).x, expected)


def test_rows_of_unlike_length_are_refused() -> None:
    with pytest.raises(BadData, match="x must be an array with rows of equal length"):
        dataset_from_arrays([[1], [1, 2]] * 20, ["a", "b"] * 20)


def test_the_callers_arrays_are_left_alone() -> None:
    x, y = X.copy(), np.arange(200) % 2
    dataset_from_arrays(x, y)
    assert np.array_equal(x, X)


def test_the_fingerprint_follows_the_contents() -> None:
    y = np.arange(200) % 2
    first = dataset_from_arrays(X, y).fingerprint
    changed = X.copy()
    changed[3, 1] += 0.5
    assert dataset_from_arrays(X, y, name="other").fingerprint == first
    assert dataset_from_arrays(changed, y).fingerprint != first
    assert dataset_from_arrays(X, 1 - y).fingerprint != first


def test_the_fingerprint_is_the_same_in_every_process() -> None:
    mark = fingerprint([torch.arange(3), torch.zeros(0, 2)], {"b": 1.5, "a": ["x"]})
    assert mark == "3ccf5b2d0a0c2c2f76f0707130af91ea1a13ab7e9f4ebcc8fd1543f8fff5ef33"


def test_a_data_set_can_be_sent_to_another_process() -> None:
    data = load_dataset("digits")
    prepared = data.prepare(data.x)
    again = pickle.loads(pickle.dumps(data))
    assert torch.equal(again.prepare(again.x), prepared)
