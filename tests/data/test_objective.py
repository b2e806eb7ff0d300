"""What a network is to be good at: the metric that is minimized, and classes that weigh the same in the loss alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from steerage.data import Dataset, dataset_from_arrays
from steerage.data.objective import with_objective
from steerage.data.weights import weighted
from steerage.errors import BadArgument
from steerage.training.evaluate import evaluate, predict, scores_of
from steerage.training.measure import measured
from tasks import clouds, numbers, perceptron, table


def uneven() -> Dataset:
    x, y = clouds(300)
    kept = (y < 2) | (torch.arange(300) % 30 == 2).numpy()
    return dataset_from_arrays(x[kept], y[kept], name="uneven")


def test_the_losses_of_all_classes_weigh_the_same() -> None:
    data = with_objective(uneven(), balanced=True)
    weights = data.loss_weights(torch.arange(len(data.y)))
    assert weights is not None
    sums = torch.zeros(3).index_add_(0, data.y, weights)
    assert torch.allclose(sums, sums[:1].expand(3))
    assert float(weights.mean()) == pytest.approx(1.0)


def test_weights_of_rows_are_balanced_too() -> None:
    data = uneven()
    data = with_objective(weighted(data, torch.arange(1, len(data.y) + 1)), balanced=True)
    weights = data.loss_weights(torch.arange(len(data.y)))
    assert weights is not None
    sums = torch.zeros(3).index_add_(0, data.y, weights)
    assert torch.allclose(sums, sums[:1].expand(3), rtol=1e-4)


def test_balance_chooses_the_balanced_error_unless_told_otherwise() -> None:
    assert with_objective(uneven(), balanced=True).metric == "balanced_error"
    assert with_objective(uneven(), balanced=True, metric="auroc").metric == "auroc"
    assert with_objective(uneven()).metric is None


def test_balance_changes_the_loss_and_no_error() -> None:
    plain, model = uneven(), perceptron()
    data = replace(with_objective(plain, balanced=True), metric="error")
    before, after = evaluate(model, plain, plain.x, plain.y), evaluate(model, data, data.x, data.y)
    assert after.error == before.error
    losses = F.cross_entropy(predict(model, plain, plain.x), plain.y, reduction="none")
    means = [float(losses[plain.y == code].mean()) for code in range(3)]
    assert after.loss == pytest.approx(sum(means) / 3, rel=1e-5)


@pytest.mark.parametrize("metric", ["balanced_error", "f1", "auroc"])
def test_scores_are_of_the_metric_and_keep_the_usual_error(metric: str) -> None:
    plain, model = uneven(), perceptron()
    data = with_objective(plain, metric=metric)
    outputs = predict(model, data, data.x)
    scores, usual = scores_of(outputs, data.y, data), scores_of(outputs, plain.y, plain)
    assert scores.error == measured(metric, outputs, data.y)
    assert (scores.usual, usual.usual) == (usual.error, None)
    assert scores.rows < usual.rows
    assert scores.loss == usual.loss


def test_metrics_of_a_number_are_in_standard_deviations() -> None:
    data, model = with_objective(numbers(), metric="mae"), perceptron(outputs=1)
    outputs = predict(model, data, data.x)
    assert evaluate(model, data, data.x, data.y).error == pytest.approx(float((outputs[:, 0] - data.y).abs().mean()))


def test_a_balanced_data_set_is_another_one() -> None:
    one, again = with_objective(uneven(), balanced=True), with_objective(uneven(), balanced=True)
    assert one.fingerprint == again.fingerprint != uneven().fingerprint


@pytest.mark.parametrize(("data", "metric"), [(table(), "mae"), (numbers(), "f1"), (table(), "accuracy")])
def test_metrics_of_other_tasks_are_refused(data: Dataset, metric: str) -> None:
    with pytest.raises(BadArgument, match=r"there is no metric .* for .*; choose one of "):
        with_objective(data, metric=metric)


def test_numbers_have_no_classes_to_balance() -> None:
    with pytest.raises(BadArgument, match="balance needs classes"):
        with_objective(numbers(), balanced=True)
