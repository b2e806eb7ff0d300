"""Grow-and-prune of any network in memory."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

import steerage
from steerage import Budget
from steerage.cost import count
from steerage.errors import BadArgument, InfeasibleBudget, TrainingFailed
from steerage.growprune.schemes import Connections, destructive
from steerage.training.recipe import Recipe
from tasks import Branched, convolutional, numbers, perceptron, pictures, table

DATA = table()


@pytest.mark.parametrize(
    ("model", "data", "budget"),
    [
        (perceptron(), DATA, Budget(max_params=120)),
        (convolutional(), pictures(), Budget(max_params=150)),
        (Branched(), DATA, Budget(max_macs=60)),
        (perceptron(outputs=1), numbers(), Budget(max_params=100)),
    ],
)
def test_any_network_comes_back_inside_the_budget(model: nn.Module, data: steerage.Dataset, budget: Budget) -> None:
    before = copy.deepcopy(model.state_dict())
    grown = steerage.grow_and_prune(model, data, budget=budget, epochs=8)
    assert budget.violation(grown.cost) == 0
    assert count(grown.model, data.spec.input_shape, masks=grown.masks) == grown.cost
    assert grown.edits and grown.scores.rows > 0
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items()), "given, and left alone"


def test_a_scheme_and_a_recipe_of_ones_own() -> None:
    scheme = (Connections(0.3, 0.5, exchange=0.2), Connections(0.6, 1.0))
    grown = steerage.grow_and_prune(
        perceptron(), DATA, budget=Budget(max_params=200), scheme=scheme, epochs=10, recipe=Recipe(lr=1e-2)
    )
    assert len(grown.edits) == 2 and 196 <= grown.cost.params <= 200
    again = steerage.grow_and_prune(
        perceptron(),
        DATA,
        budget=Budget(max_params=200),
        scheme=destructive(rounds=3),
        epochs=10,
        recipe=Recipe(lr=1e-2),
    )
    assert len(again.edits) == 3 and sum(edit.grown for edit in again.edits) > 0


@pytest.mark.parametrize("scheme", ["auto", "A", "B", "C"])
def test_schemes_by_name(scheme: str) -> None:
    grown = steerage.grow_and_prune(perceptron(), DATA, budget=Budget(max_params=200), scheme=scheme, epochs=12)
    assert 190 <= grown.cost.params <= 200
    assert all(edit.error is not None for edit in grown.edits)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"budget": Budget(max_params=100), "scheme": "Z"}, BadArgument, "auto, A, B, C"),
        ({"budget": Budget()}, BadArgument, "budget with a bound"),
        ({"budget": Budget(max_params=3)}, InfeasibleBudget, "max_params=3"),
        ({"budget": Budget(max_params=100), "epochs": 3, "minutes": 1.0}, BadArgument, "minutes or epochs"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        steerage.grow_and_prune(perceptron(), DATA, **{"epochs": 2, **options})


def test_a_network_for_other_data_is_refused_with_both_shapes() -> None:
    with pytest.raises((BadArgument, TrainingFailed), match="fails on inputs"):
        steerage.grow_and_prune(nn.Linear(5, 3), DATA, budget=Budget(max_params=10), epochs=1)
