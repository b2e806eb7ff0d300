"""The loss of a classifier that is no surer of itself than it should be."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from steerage.data.objective import with_objective
from steerage.training.evaluate import scores_of
from steerage.training.refinement import best_factor, refined_loss
from tasks import numbers, table


def told(rows: int = 400, classes: int = 3) -> tuple[Tensor, Tensor]:
    """Outputs whose probabilities are right, and classes drawn by them."""
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(rows, classes, generator=generator)
    return outputs, torch.multinomial(outputs.softmax(dim=1), 1, generator=generator)[:, 0]


def test_being_too_sure_of_oneself_makes_no_difference() -> None:
    outputs, y = told()
    losses = [refined_loss(factor * outputs, y) for factor in (2.0, 4.0, 9.0)]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)
    assert losses[0] <= F.cross_entropy(outputs, y).item() < F.cross_entropy(4.0 * outputs, y).item()
    assert best_factor(4.0 * outputs, y) == pytest.approx(best_factor(outputs, y) / 4.0, rel=1e-4)
    best = min(F.cross_entropy(factor * outputs, y).item() for factor in torch.linspace(0.5, 2.0, 301).tolist())
    assert losses[0] == pytest.approx(best, abs=1e-5)


def test_what_is_not_sure_enough_has_yet_to_learn() -> None:
    outputs, y = told()
    assert refined_loss(0.2 * outputs, y) == pytest.approx(F.cross_entropy(0.2 * outputs, y).item(), rel=1e-5)


def test_how_well_it_tells_classes_apart_does() -> None:
    outputs, y = told()
    noise = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(1))
    assert refined_loss(outputs + noise, y) > refined_loss(outputs, y) + 0.05


def test_rows_count_by_their_weights() -> None:
    outputs, y = told()
    weights = torch.arange(len(y)).remainder(3).float()
    repeated = torch.arange(len(y)).repeat_interleave(weights.int())
    assert refined_loss(outputs, y, weights) == pytest.approx(refined_loss(outputs[repeated], y[repeated]))


def test_labels_have_one_too_and_what_is_told_by_chance_is_no_better_than_a_coin() -> None:
    outputs, y = told()
    labels = F.one_hot(y, 3).float()
    losses = [refined_loss(factor * outputs, labels) for factor in (2.0, 3.0)]
    assert losses == pytest.approx([losses[0]] * 2, rel=1e-5)
    assert losses[0] < F.binary_cross_entropy_with_logits(3.0 * outputs, labels).item()
    against = refined_loss(-outputs, y)  # the best is to say nothing
    assert against == pytest.approx(torch.tensor(3.0).log().item(), abs=0.02)


def test_scores_are_compared_by_it() -> None:
    outputs, y = told(classes=2)
    data = table()
    sure, modest = scores_of(9.0 * outputs, y, data), scores_of(2.0 * outputs, y, data)
    assert sure.loss > 1.5 * modest.loss and sure.telling == pytest.approx(modest.telling, rel=1e-5)
    assert sure.objective == pytest.approx(modest.objective, rel=1e-5)
    balanced = with_objective(data, metric=None, balanced=True)
    assert balanced.class_factors is not None
    assert scores_of(outputs, y, balanced).refined == pytest.approx(refined_loss(outputs, y, balanced.class_factors[y]))
    regression = scores_of(outputs[:, :1], outputs[:, :1] + 1.0, numbers())
    assert regression.refined is None and regression.telling == regression.loss
