"""Steps of AdamW, each group of parameters in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from steerage.training.fit import Training
from steerage.training.optimizer import BETAS, EPSILON


@final
class Update:
    """The optimizer of a training, with gradients where they are now; the formulas and moments are ``Optimizer``'s."""

    def __init__(self, training: Training, decayed: Sequence[nn.Parameter]) -> None:
        self._optimizer, self._decay = training.optimizer, training.recipe.weight_decay
        self._steps = torch.zeros(())
        matrices = set(decayed)
        plain = [one for one in training.model.parameters() if one not in matrices]
        self._decayed, self._plain = self._group(decayed), self._group(plain)

    def __call__(self, lr: float) -> None:
        """One step at the learning rate ``lr``."""
        self._optimizer.lr, self._optimizer.steps = lr, self._optimizer.steps + 1
        self._steps.fill_(self._optimizer.steps)
        for group, decay in ((self._decayed, self._decay), (self._plain, 0.0)):
            values, gradients, first, second = group
            torch._fused_adamw_(
                values,
                gradients,
                first,
                second,
                [],
                [self._steps] * len(values),
                lr=lr,
                beta1=BETAS[0],
                beta2=BETAS[1],
                weight_decay=decay,
                eps=EPSILON,
                amsgrad=False,
                maximize=False,
            )

    def _group(self, parameters: Sequence[nn.Parameter]) -> tuple[list[Tensor], ...]:
        """Values, gradients and both moments."""
        moments = [self._optimizer.state[one] for one in parameters]
        return (
            [one.detach() for one in parameters],
            [one.grad for one in parameters if one.grad is not None],
            [one["exp_avg"] for one in moments],
            [one["exp_avg_sq"] for one in moments],
        )
