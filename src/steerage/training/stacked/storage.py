"""Parameters of several networks in common memory, with their gradients and moments; the networks keep views of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from steerage.training.optimizer import BETAS, EPSILON, Optimizer

LANE = 16  # floats: each tensor begins at a whole vector, so that what lies beside it does not change its figures


def lanes(size: int) -> int:
    """``size`` rounded up to whole vectors."""
    return -(-size // LANE) * LANE


@final
class Storage:
    """Room for ``size`` floats of parameters, and as much for their gradients and each of AdamW's two moments."""

    def __init__(self, size: int) -> None:
        self.values, self.gradients, self.first, self.second = torch.zeros(4, lanes(size)).unbind()

    def take(self, parameter: nn.Parameter, optimizer: Optimizer, start: int) -> None:
        """Move ``parameter`` and its moments to ``start``; it stays the object that it is."""
        moments = optimizer.state[parameter]
        for room, value in ((self.first, moments["exp_avg"]), (self.second, moments["exp_avg_sq"])):
            _place(room, start, value)
        moments["exp_avg"], moments["exp_avg_sq"] = (
            _view(room, start, parameter) for room in (self.first, self.second)
        )
        _place(self.values, start, parameter.detach())
        parameter.data = _view(self.values, start, parameter)
        parameter.grad = _view(self.gradients, start, parameter)

    def part(self, start: int, size: int) -> tuple[Tensor, Tensor]:
        """``size`` parameters from ``start`` on, and their gradients."""
        return self.values[start : start + size], self.gradients[start : start + size]


def own_again(parameter: nn.Parameter, optimizer: Optimizer) -> None:
    """Give a parameter that a storage took memory of its own again."""
    parameter.data, parameter.grad = parameter.detach().clone(), None
    optimizer.state[parameter] = {name: value.clone() for name, value in optimizer.state[parameter].items()}


def _view(room: Tensor, start: int, like: Tensor) -> Tensor:
    return room[start : start + like.numel()].view(like.shape)


def _place(room: Tensor, start: int, value: Tensor) -> None:
    _view(room, start, value).copy_(value)


def adamw_(storage: Storage, *, lr: float, weight_decay: float, steps: Tensor) -> None:
    """One update of all that is in ``storage``, in one pass; ``steps``: of the training with this one, a float."""
    torch._fused_adamw_(
        [storage.values],
        [storage.gradients],
        [storage.first],
        [storage.second],
        [],
        [steps],
        lr=lr,
        beta1=BETAS[0],
        beta2=BETAS[1],
        weight_decay=weight_decay,
        eps=EPSILON,
        amsgrad=False,
        maximize=False,
    )


def adamw_each_(storage: Storage, owner: Tensor, *, lrs: Sequence[float], steps: Sequence[int]) -> None:
    """One update without decay, of parameters whose trainings have their own ``lrs`` and ``steps``.

    ``owner``: int64 of the storage's size, which training each parameter belongs to.
    """
    scales = [math.sqrt(1.0 - BETAS[1] ** step) for step in steps]
    lengths = [-lr / (1.0 - BETAS[0] ** step) for lr, step in zip(lrs, steps, strict=True)]
    scale, length = torch.tensor([scales, lengths])[:, owner]
    storage.first.lerp_(storage.gradients, 1.0 - BETAS[0])
    storage.second.mul_(BETAS[1]).addcmul_(storage.gradients, storage.gradients, value=1.0 - BETAS[1])
    divisor = storage.second.sqrt().div_(scale).add_(EPSILON)
    storage.values.addcmul_(storage.first.div(divisor), length)
