from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss, mean_squared_error, r2_score
from torch import nn

from steerage.data import Dataset
from steerage.training import evaluate as module
from steerage.training.evaluate import Scores, evaluate, evaluating, predict, scores_of
from tasks import convolutional, numbers, perceptron, pictures, table


def test_the_error_is_one_minus_the_accuracy_of_sklearn() -> None:
    data, model = table(), perceptron()
    outputs = predict(model, data, data.x)
    scores = evaluate(model, data, data.x, data.y)
    assert scores.error == pytest.approx(1 - accuracy_score(data.y, outputs.argmax(1)))
    assert scores.loss == pytest.approx(log_loss(data.y, outputs.double().softmax(1)), rel=1e-5)
    assert scores.rows == len(data.y)


def test_the_error_of_a_regression_is_one_minus_the_r2_of_sklearn() -> None:
    data, model = numbers(), perceptron(outputs=1)
    outputs = predict(model, data, data.x_test)[:, 0]
    scores = evaluate(model, data, data.x_test, data.y_test)
    assert scores.error == pytest.approx(1 - r2_score(data.y_test, outputs), rel=1e-5)
    assert scores.loss == pytest.approx(mean_squared_error(data.y_test, outputs), rel=1e-5)


WEIGHTS = torch.arange(120) % 4


@pytest.mark.parametrize(("data", "outputs"), [(table(), 3), (numbers(), 1)], ids=["classes", "a number"])
def test_whole_weights_score_as_repeated_rows_do(data: Dataset, outputs: int) -> None:
    model, rows = perceptron(outputs=outputs), torch.arange(120).repeat_interleave(WEIGHTS)
    repeated = evaluate(model, data, data.x[rows], data.y[rows])
    scores = evaluate(model, data, data.x, data.y, 0.7 * WEIGHTS)
    assert (scores.error, scores.loss) == pytest.approx((repeated.error, repeated.loss), rel=1e-5)
    kept = WEIGHTS > 0
    assert evaluate(model, data, data.x[kept], data.y[kept], WEIGHTS[kept] / 3).loss == pytest.approx(scores.loss)


def test_weighted_errors_are_those_of_sklearn() -> None:
    data, model = numbers(), perceptron(outputs=1)
    scores = evaluate(model, data, data.x, data.y, WEIGHTS)
    expected = r2_score(data.y, predict(model, data, data.x)[:, 0], sample_weight=WEIGHTS)
    assert scores.error == pytest.approx(1 - expected, rel=1e-5)


def test_weights_tell_as_much_as_so_many_rows_of_equal_weight() -> None:
    data, outputs = table(), torch.zeros(120, 3)
    assert scores_of(outputs, data.y, data, torch.full((120,), 0.3)).rows == 120
    assert scores_of(outputs, data.y, data, (torch.arange(120) < 30).float()).rows == 30
    one = torch.full((120,), 1e-6)
    one[3] = 1.0
    assert scores_of(outputs, data.y, data, one).rows == 1


def test_a_target_without_spread_has_a_finite_error() -> None:
    data = numbers()
    assert math.isfinite(scores_of(torch.zeros(5, 1), torch.ones(5), data).error)
    assert math.isfinite(scores_of(torch.zeros(5, 1), torch.ones(5), data, torch.ones(5)).error)


def test_losses_part_what_errors_cannot() -> None:
    sure, unsure, wrong = Scores(0.1, 0.2, 50), Scores(0.1, 0.9, 50), Scores(0.12, 0.1, 50)
    assert sure.objective < unsure.objective
    assert sure.objective < wrong.objective
    assert math.isnan(Scores(0.1, math.nan, 50).objective)


def test_the_standard_error_is_that_of_repeated_samples() -> None:
    rng = np.random.default_rng(0)
    shares = rng.binomial(400, 0.1, size=20_000) / 400
    assert Scores(0.1, 0.3, 400).standard_error(regression=False) == pytest.approx(shares.std(), rel=0.03)
    squares = (0.3 * rng.standard_normal((5_000, 400)) ** 2).mean(axis=1)
    assert Scores(0.3, 0.3, 400).standard_error(regression=True) == pytest.approx(squares.std(), rel=0.05)
    assert Scores(0.1, 0.3, 0).standard_error(regression=False) == 0.0


def test_long_data_are_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    data, model = pictures(), convolutional()
    whole = predict(model, data, data.x)
    monkeypatch.setattr(module, "CHUNK", 7)
    assert torch.allclose(predict(model, data, data.x), whole, atol=1e-6)


def test_no_rows_have_no_outputs() -> None:
    data = table()
    assert predict(perceptron(), data, data.x[:0]).shape == (0, 3)


@pytest.mark.parametrize("training", [False, True])
def test_evaluation_leaves_the_network_as_it_was(training: bool) -> None:
    data, model = pictures(), convolutional().train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    predict(model, data, data.x)
    assert model.training is training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_mode_comes_back_after_an_error() -> None:
    model = nn.Linear(2, 2)
    with pytest.raises(RuntimeError), evaluating(model):
        model(torch.zeros(1, 3))
    assert model.training
