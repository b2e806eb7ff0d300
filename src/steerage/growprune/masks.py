"""Masks: which weights of a network are active. A plain dict; networks know nothing about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn

from steerage.cost.count import PRUNABLE

Masks: TypeAlias = "dict[str, Tensor]"  # parameter name -> bool tensor of its shape, True = active


def weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """Weights of all linear and convolution layers by parameter name, in module order; shared ones once."""
    found: dict[str, nn.Parameter] = {}
    seen: set[int] = set()
    for name, module in model.named_modules():
        if isinstance(module, PRUNABLE) and id(module.weight) not in seen:
            weight = cast(nn.Parameter, module.weight)
            seen.add(id(weight))
            found[f"{name}.weight" if name else "weight"] = weight
    return found


def full(model: nn.Module) -> Masks:
    """Masks with every connection active."""
    return {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights(model).items()}


def initial(model: nn.Module) -> Masks:
    """Masks of a network as it comes: what is not zero is active, and all of a layer that is yet to leave zero."""
    found = from_weights(model)
    return {name: mask if mask.any() else torch.ones_like(mask) for name, mask in found.items()}


def from_weights(model: nn.Module) -> Masks:
    """Masks of the weights that are not zero."""
    return {name: weight.detach() != 0 for name, weight in weights(model).items()}


def active(masks: Mapping[str, Tensor]) -> int:
    """Number of active connections."""
    return sum(int(mask.sum()) for mask in masks.values())


@torch.no_grad()
def apply_(model: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Set dormant weights of ``model`` to zero, in place."""
    for name, weight in weights(model).items():
        if name in masks:
            weight.mul_(masks[name])
