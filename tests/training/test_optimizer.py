"""The update rules are those of torch.optim."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from steerage.training.muon import orthogonal, suits
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


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this PyTorch has no Muon to compare with")
def test_muon_is_that_of_torch_on_matrices() -> None:
    layers = (nn.Linear(12, 5), nn.Linear(5, 30), nn.Linear(30, 5), nn.Linear(5, 2))
    ours, theirs = (
        nn.Sequential(*layers),
        nn.Sequential(*(nn.Linear(one.in_features, one.out_features) for one in layers)),
    )
    theirs.load_state_dict(ours.state_dict())
    before = [parameter.detach().clone() for parameter in ours.parameters()]
    mine = Optimizer(ours, Recipe(optimizer="muon", lr=0.02, weight_decay=0.1))
    matrices = [theirs[index].weight for index in range(3)]
    muon = torch.optim.Muon(matrices, lr=0.02, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    rest = [theirs[3].weight, *(one.bias for one in theirs)]
    adam = torch.optim.AdamW(
        [{"params": rest[:1], "weight_decay": 0.1}, {"params": rest[1:], "weight_decay": 0.0}],
        lr=0.02,
        betas=(0.9, 0.99),
    )
    mine.lr = 0.02
    draw = torch.Generator().manual_seed(0)
    for _ in range(3):
        for own, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            own.grad = torch.randn(own.shape, generator=draw)
            other.grad = own.grad.clone()
        for optimizer in (mine, muon, adam):
            optimizer.step()
    for own, other, first in zip(ours.parameters(), theirs.parameters(), before, strict=True):
        assert (own - other).norm() < 0.05 * (other - first).norm()  # theirs are made orthogonal in bfloat16


def test_orthogonal_matrices_have_singular_values_of_about_one() -> None:
    matrices = torch.randn(3, 8, 50, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonal(matrices))
    assert float(values.min()) > 0.6 and float(values.max()) < 1.3
    torch.testing.assert_close(orthogonal(matrices.mT).mT, orthogonal(matrices))


def test_muon_leaves_filters_and_the_last_layer_to_adamw() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 2, 1), nn.Linear(2, 2))
    assert [tuple(weight.shape) for weight in suits(model)] == [(4, 3, 3, 3), (2, 4, 1, 1)]
    state = Optimizer(model, Recipe(optimizer="muon")).state
    assert {name for one in suits(model) for name in state[one]} == {"momentum"}
    assert set(state[model[3].weight]) == {"exp_avg", "exp_avg_sq"}
