"""What a network predicts, and where it is wrong."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import confusion_matrix

from steerage.analysis import predictions
from steerage.data.build import dataset_from_arrays
from steerage.data.dataset import Dataset


def three_classes(rows: int = 60) -> Dataset:
    rng = np.random.default_rng(0)
    return dataset_from_arrays(rng.normal(size=(rows, 4)), np.array(["a", "b", "c"] * (rows // 3)), name="letters")


def test_confusions_are_those_of_scikit_learn() -> None:
    data = three_classes()
    scores = torch.randn(len(data.y), 3, generator=torch.Generator().manual_seed(0))
    found = predictions(scores, data, data.x, data.y)
    assert found["confusion"] == confusion_matrix(data.y, scores.argmax(dim=1)).tolist()
    assert (found["rows"], found["classes"]) == (len(data.y), ["a", "b", "c"])


def test_confidence_is_compared_with_how_often_it_is_right() -> None:
    data = three_classes()
    sure = torch.full((len(data.y), 3), 0.1).log()
    sure[:, 0] = np.log(0.8)  # always "a" with 80 %
    (only,) = predictions(sure, data, data.x, data.y)["confidence"]
    assert only["rows"] == len(data.y)
    assert only["confidence"] == pytest.approx(0.8)
    assert only["right"] == pytest.approx(float((data.y == 0).float().mean()))


def test_the_hardest_row_is_the_most_surely_wrong_one() -> None:
    data = three_classes()
    scores = torch.nn.functional.one_hot(data.y, 3).float() * 5.0
    scores[7] = torch.tensor([0.0, 0.0, 0.0])
    scores[7, (data.y[7] + 1) % 3] = 20.0
    first = predictions(scores, data, data.x, data.y)["hardest"][0]
    assert (first["row"], first["true"]) == (7, data.classes[data.y[7]])
    assert first["predicted"] == data.classes[(int(data.y[7]) + 1) % 3]
    assert "picture" not in first  # a row of a table


def test_images_come_as_pictures() -> None:
    pixels = np.zeros((30, 6, 5), dtype=np.uint8)
    pixels[:, 2, 3] = 9
    data = dataset_from_arrays(pixels, np.arange(30) % 2, name="dots")
    card = predictions(torch.zeros(len(data.y), 2), data, data.x, data.y)["hardest"][0]
    drawn = np.asarray(Image.open(io.BytesIO(base64.b64decode(card["picture"]))))
    assert drawn.shape == (6, 5)
    assert (drawn.argmax(), drawn.max(), drawn.min()) == (2 * 5 + 3, 255, 0)


def test_a_regression_has_pairs_in_its_own_units() -> None:
    rng = np.random.default_rng(0)
    data = dataset_from_arrays(rng.normal(size=(700, 2)), rng.normal(50.0, 9.0, 700), name="r", task="regression")
    found = predictions(torch.zeros(len(data.y), 1), data, data.x, data.y)
    assert 400 <= len(found["pairs"]) <= 412 < len(data.y)
    assert all(named == pytest.approx(data.target_mean) for _, named in found["pairs"])
    assert np.mean([true for true, _ in found["pairs"]]) == pytest.approx(50.0, abs=2.0)
    worst = found["hardest"][0]
    assert abs(worst["true"] - worst["predicted"]) == pytest.approx(
        float(data.y.abs().max()) * data.target_std, rel=1e-5
    )
    assert all([one["true"], one["predicted"]] in found["pairs"] for one in found["hardest"])
