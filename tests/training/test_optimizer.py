"""The update rules are those of torch.optim."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from steerage.training.optimizer import Optimizer
from steerage.training.recipe import Recipe


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_updates_are_those_of_torch(name: str) -> None:
    ours, theirs = nn.Linear(5, 3), nn.Linear(5, 3)
    theirs.load_state_dict(ours.state_dict())
    recipe = Recipe(
        optimizer="adamw" if name == "adamw" else "sgd", lr=0.05, weight_decay=0.1 if name == "adamw" else 0.0
    )
    mine = Optimizer(ours, recipe)
    groups = [
        {"params": [theirs.weight], "weight_decay": recipe.weight_decay},
        {"params": [theirs.bias], "weight_decay": 0.0},
    ]
    other: torch.optim.Optimizer
    if name == "adamw":
        other = torch.optim.AdamW(groups, lr=0.05, betas=(0.9, 0.99))
    else:
        other = torch.optim.SGD(groups, lr=0.05, momentum=0.9, nesterov=True)
    x = torch.randn(16, 5, generator=torch.Generator().manual_seed(0))
    for step in range(20):
        lr = 0.05 / (1 + step)
        mine.lr = lr
        for group in other.param_groups:
            group["lr"] = lr
        for model, optimizer in ((ours, mine), (theirs, other)):
            optimizer.zero_grad()
            model(x).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours.weight, theirs.weight)
    torch.testing.assert_close(ours.bias, theirs.bias)


def test_a_parameter_without_a_gradient_stays() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    before = model[1].weight.detach().clone()
    optimizer = Optimizer(model, Recipe(weight_decay=0.5))
    model[0](torch.ones(2, 3)).sum().backward()
    optimizer.step()
    assert torch.equal(model[1].weight, before)


def test_weight_decay_spares_biases() -> None:
    model = nn.Linear(3, 2)
    bias = model.bias.detach().clone()
    optimizer = Optimizer(model, Recipe(weight_decay=0.5))
    (0.0 * model(torch.ones(2, 3))).sum().backward()
    weight = model.weight.detach().clone()
    optimizer.step()
    assert torch.equal(model.bias, bias)
    assert bool((model.weight.abs() < weight.abs()).all())
