"""Gradients and AdamW steps of several feed-forward networks at once.

Networks of any width and depth stand side by side: layer l of all of them is one matrix (batch, units), in which each
has columns of its own. What works on single numbers or columns (norm, activation, dropout, the loss) is one operation
for all. The backward pass is written out, since autograd's own work is most of what a step of a small network takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn import functional as F

from steerage.training.fit import Training
from steerage.training.stacked.chain import Chain
from steerage.training.stacked.level import give_back_, level_of, take_in_
from steerage.training.stacked.product import hidden_products, multiply, multiply_back, output_products
from steerage.training.stacked.update import Update


@final
@dataclass(frozen=True, eq=False)
class Member:
    """One of the networks: its training, its chain, and the generator of its dropout."""

    training: Training
    chain: Chain
    dropout: torch.Generator


@final
class Stack:
    """``members`` with batches of ``batch`` rows each; their networks live in the stack's memory until ``release``."""

    def __init__(self, members: Sequence[Member], *, batch: int) -> None:
        self.members, self.batch = members, batch
        chains = [member.chain for member in members]
        self.levels = [level_of(chains, number, batch) for number in range(max(len(one.layers) for one in chains))]
        classes = chains[0].output.out_features
        self.outputs, self.back = torch.empty(2, len(members), batch, classes).unbind()
        self._biases, self._biases_back = torch.zeros(2, len(members), classes).unbind()
        for chain, room, gradient in zip(chains, self._biases, self._biases_back, strict=True):
            take_in_(chain.output.bias, room, gradient)
            for weight in chain.weights():
                weight.grad = torch.zeros_like(weight)
        self._all_weights = [weight for chain in chains for weight in chain.weights()]
        self._shapes = [weight.shape for weight in self._all_weights]
        self._updates = [Update(member.training, member.chain.weights()) for member in members]
        for level in self.levels:
            level.set_dropout([member.dropout for member in members])
        self._hidden = [
            [one for place in level.layers for one in hidden_products(place, chains[place], self.levels, level.number)]
            for level in self.levels
        ]
        self._output = [
            one
            for place, chain in enumerate(chains)
            for one in output_products(place, chain, self.levels, self.outputs[place], self.back[place])
        ]
        smoothing = torch.tensor([member.training.recipe.label_smoothing for member in members]).view(-1, 1, 1)
        self._smoothing = smoothing if smoothing.any() else None
        self._known = (smoothing - 1.0).expand(-1, batch, 1)  # what a known class adds to the gradient
        counts = [layer.norm.num_batches_tracked for chain in chains for layer in chain.layers]
        self._batches = [count for count in counts if count is not None]

    def intact(self) -> bool:
        """Whether all networks still have the shapes with which they came."""
        return [weight.shape for weight in self._all_weights] == self._shapes

    def gradients(self, inputs: Sequence[Tensor], targets: Tensor, weights: Tensor | None) -> Tensor:
        """Leave the gradients of each network's loss in its parameters; the losses, (networks,).

        ``inputs``: of each, (batch, reads), what its first layer reads. ``targets``: (networks, batch), or of classes
        their probabilities (networks, batch, classes); ``weights`` of rows: (networks, batch).
        """
        for level, products in zip(self.levels, self._hidden, strict=True):
            multiply(products, inputs)
            level.forward()
        self.outputs.copy_(self._biases.unsqueeze(1))
        multiply(self._output, inputs)
        losses = self._losses(targets, weights)
        torch.sum(self.back, dim=1, out=self._biases_back)
        multiply_back(self._output, inputs)
        for level, products in zip(reversed(self.levels), reversed(self._hidden), strict=True):
            level.backward()
            multiply_back(products, inputs)
        torch._foreach_add_(self._batches, 1)
        return losses

    def update(self, lrs: Sequence[float]) -> None:
        """A step of each network's optimizer, at the learning rate that it has now."""
        for update, lr in zip(self._updates, lrs, strict=True):
            update(lr)

    def release(self) -> None:
        """Give all networks memory of their own again."""
        for level in self.levels:
            level.release()
        for member in self.members:
            give_back_(member.chain.output.bias)
            for weight in member.chain.weights():
                weight.grad = None

    def _losses(self, targets: Tensor, weights: Tensor | None) -> Tensor:
        """Losses (networks,), as ``fit.loss_of`` has them; gradients by the outputs are left in ``back``."""
        if targets.ndim == 3:
            logs = F.log_softmax(self.outputs, 2)
            if self._smoothing is not None:
                targets = torch.lerp(targets, torch.full((), 1.0 / logs.shape[2]), self._smoothing)
            torch.exp(logs, out=self.back)
            self.back.sub_(targets).div_(self.batch)
            losses = -(targets * logs).sum(2)
        elif targets.is_floating_point():
            rest = self.outputs[:, :, 0] - targets
            torch.mul(rest, 2.0 / self.batch, out=self.back[:, :, 0])
            losses = rest.square_()
        else:
            logs, known = F.log_softmax(self.outputs, 2), targets.unsqueeze(2)
            torch.exp(logs, out=self.back)
            losses = logs.gather(2, known)[:, :, 0]
            if self._smoothing is None:
                losses = losses.neg_()
            else:
                self.back.sub_(self._smoothing / logs.shape[2])
                losses = -torch.lerp(losses, logs.mean(2), self._smoothing[:, :, 0])
            self.back.scatter_add_(2, known, self._known).div_(self.batch)
        if weights is not None:
            self.back.mul_(weights.unsqueeze(2))
            losses = losses * weights
        return losses.mean(1)
