from __future__ import annotations

from typing import cast

import pytest
import torch
from torch import Tensor, nn

from steerage.nn import FeedForward, PiecewiseLinear, Reduce, fit_inputs


def rows() -> tuple[Tensor, Tensor]:
    """Inputs of 12 columns: the class shifts 7 and 2, and 4 holds two values only."""
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(3, (200,), generator=generator)
    x = torch.randn(200, 12, generator=generator)
    x[:, 7] += 3.0 * y
    x[:, 2] -= 2.0 * (y == 1)
    x[:, 4] = (x[:, 4] > 0).float()
    return x, y


def encoded(*, skips: bool) -> tuple[nn.Sequential, PiecewiseLinear, FeedForward]:
    encoding, net = PiecewiseLinear(12, 3), FeedForward([6, 5], inputs=12 * 4, outputs=3, skips=skips)
    return nn.Sequential(encoding, net), encoding, net


def test_reductions_are_fitted_to_flattened_inputs() -> None:
    x, y = rows()
    model = nn.Sequential(nn.Flatten(), Reduce(12, 2, method="select"))
    fit_inputs(model, x.reshape(-1, 1, 3, 4), y, seed=0)
    assert cast(Tensor, model[1].index).tolist() == [2, 7]


@pytest.mark.parametrize("skips", [True, False])
def test_weights_of_dead_bins_alone_are_zero(skips: bool) -> None:
    x, y = rows()
    model, encoding, net = encoded(skips=skips)
    fit_inputs(model, x, y, seed=0)
    dead = [12 + 4 * 3 + t for t in range(3)]
    assert (~encoding.live).nonzero().flatten().tolist() == [column - 12 for column in dead]
    linears = [module for module in net.modules() if isinstance(module, nn.Linear)]
    for layer in linears if skips else linears[:1]:
        assert (layer.weight == 0).any(dim=0).nonzero().flatten().tolist() == dead
        assert layer.weight[:, dead].count_nonzero() == 0
    assert skips or all(layer.weight.count_nonzero() == layer.weight.numel() for layer in linears[1:])


def test_weights_of_dead_bins_stay_zero_in_training() -> None:
    x, y = rows()
    model, _, net = encoded(skips=True)
    fit_inputs(model, x, y, seed=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x + 0.1 * torch.randn_like(x)), y).backward()
        optimizer.step()
    assert all(layer.weight[:, 24:27].count_nonzero() == 0 for layer in net.readers())


def test_a_network_without_fixed_inputs_is_left_alone() -> None:
    x, y = rows()
    model = nn.Sequential(nn.Flatten(), FeedForward([6], inputs=12, outputs=3))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fit_inputs(model, x, y, seed=0)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
