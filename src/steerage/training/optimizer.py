"""AdamW, SGD and Muon over lists of tensors, without torch.optim.

torch.optim imports PyTorch's compiler at the first step, which takes two seconds of every process, and spends more on
bookkeeping per step than the arithmetic of a small network takes. The formulas are the same, and tested to be.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from steerage.training.muon import muon_, suits
from steerage.training.recipe import Recipe

BETAS, EPSILON = (0.9, 0.99), 1e-8
MOMENTUM = 0.9


# Changes tensors in place, by their gradients and moments, a learning rate and the number of steps so far.
Update = Callable[[list[Tensor], list[Tensor], list[list[Tensor]], float, int], None]


@dataclass(frozen=True, eq=False)
class _Group:
    """``moments``: what is remembered of each of the ``parameters``, by name."""

    parameters: tuple[nn.Parameter, ...]
    weight_decay: float
    update: Update
    moments: tuple[str, ...]


@final
class Optimizer:
    """Update rule of ``recipe`` for the parameters of ``model`` that require gradients.

    AdamW (Loshchilov & Hutter, arXiv 1711.05101, algorithm 2; betas 0.9 and 0.99), SGD with Nesterov momentum 0.9
    as PyTorch defines it, or Muon with AdamW for what is no matrix between layers; with decoupled weight decay for all:
    on weights of two dimensions or more only. ``state`` maps a parameter to its moments, as in torch.optim; ``lr`` is
    set from outside before each step.
    """

    def __init__(self, model: nn.Module, recipe: Recipe) -> None:
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        matrices = set(suits(model)) if recipe.optimizer == "muon" else set()
        sgd = recipe.optimizer == "sgd"
        update, moments = (_sgd_, ("momentum",)) if sgd else (_adamw_, ("exp_avg", "exp_avg_sq"))
        inner = tuple(parameter for parameter in trained if parameter in matrices)
        decayed = tuple(parameter for parameter in trained if parameter.ndim > 1 and parameter not in matrices)
        plain = tuple(parameter for parameter in trained if parameter.ndim <= 1)
        groups = (
            _Group(inner, recipe.weight_decay, muon_, ("momentum",)),
            _Group(decayed, recipe.weight_decay, update, moments),
            _Group(plain, 0.0, update, moments),
        )
        self._groups = [group for group in groups if group.parameters]
        self.state: dict[Tensor, dict[str, Tensor]] = {
            parameter: {name: torch.zeros_like(parameter) for name in group.moments}
            for group in self._groups
            for parameter in group.parameters
        }
        self.lr, self.steps = recipe.lr, 0

    @property
    def parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self._groups for parameter in group.parameters]

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """One update with the gradients that are there."""
        self.steps += 1
        for group in self._groups:
            moved: list[Tensor] = [parameter for parameter in group.parameters if parameter.grad is not None]
            if not moved:
                continue
            gradients = [parameter.grad for parameter in moved if parameter.grad is not None]
            if group.weight_decay > 0.0:
                torch._foreach_mul_(moved, 1.0 - self.lr * group.weight_decay)
            moments = [list(one) for one in zip(*(self.state[parameter].values() for parameter in moved), strict=True)]
            group.update(moved, gradients, moments, self.lr, self.steps)


def _adamw_(
    parameters: list[Tensor], gradients: list[Tensor], moments: list[list[Tensor]], lr: float, steps: int
) -> None:
    first, second = moments
    torch._foreach_lerp_(first, gradients, 1.0 - BETAS[0])
    torch._foreach_mul_(second, BETAS[1])
    torch._foreach_addcmul_(second, gradients, gradients, 1.0 - BETAS[1])
    scale = torch._foreach_sqrt(second)
    torch._foreach_div_(scale, math.sqrt(1.0 - BETAS[1] ** steps))
    torch._foreach_add_(scale, EPSILON)
    torch._foreach_addcdiv_(parameters, first, scale, -lr / (1.0 - BETAS[0] ** steps))


def _sgd_(
    parameters: list[Tensor], gradients: list[Tensor], moments: list[list[Tensor]], lr: float, steps: int
) -> None:
    (momentum,) = moments
    torch._foreach_mul_(momentum, MOMENTUM)
    torch._foreach_add_(momentum, gradients)
    direction = list(torch._foreach_add(gradients, momentum, alpha=MOMENTUM))
    torch._foreach_add_(parameters, direction, alpha=-lr)
