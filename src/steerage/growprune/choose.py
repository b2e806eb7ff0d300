"""Which scheme a name stands for, for the network at hand: its rates come from how far the budget is."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from steerage.cost.budget import Budget
from steerage.cost.count import Masks, count
from steerage.cost.price import Price
from steerage.errors import UnsupportedLayer
from steerage.growprune import masks as masking
from steerage.growprune import schemes, units
from steerage.growprune.graph import unit_graph
from steerage.nn.modes import evaluating


def scheme_for(
    name: str, model: nn.Module, budget: Budget, input_shape: tuple[int, ...], *, price: Price | None = None
) -> schemes.Scheme:
    """The scheme ``name`` for ``model`` on its way to ``budget``. Raises: BadArgument for an unknown name.

    ``price``: what networks cost, needed where the budget bounds flash or RAM.
    """
    cost = count(model, input_shape) if price is None else price(model)
    scheme = schemes.named(
        name,
        convolutional=len(input_shape) == 3,
        expansion=budget.expansion(replace(cost, ram=0)),  # which connections do not change
        crowding=crowding(model, budget, input_shape),
    )
    crowded = budget.max_ram is not None and (cost.ram or 0) > budget.max_ram
    return (schemes.FitRam(), *scheme) if crowded else scheme


def crowding(model: nn.Module, budget: Budget, input_shape: tuple[int, ...]) -> float:
    """Share of the parameters allowed that units take whatever connections leave: biases and what norms leave behind.

    0 where parameters have no bound, and for a network whose units cannot be edited.
    """
    if budget.max_params is None:
        return 0.0
    none: Masks = {name: torch.zeros_like(mask) for name, mask in masking.full(model).items()}
    share = count(model, input_shape, masks=none).params / max(1, budget.max_params)
    if share > schemes.CROWDED:  # tracing takes longer than counting
        try:
            with evaluating(model):
                able = units.editable(unit_graph(model, input_shape)).any()
        except UnsupportedLayer:
            return 0.0
        return share if able else 0.0
    return share
