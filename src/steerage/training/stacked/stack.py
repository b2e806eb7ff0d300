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
from steerage.training.stacked.level import level_of
from steerage.training.stacked.product import hidden_products, multiply, multiply_back, output_products
from steerage.training.stacked.storage import Storage, adamw_, adamw_each_, lanes, own_again


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
        self._weights = [self._matrices(member) for member in members]
        self._steps = [torch.zeros(()) for _ in members]
        self._all_weights = [weight for chain in chains for weight in chain.weights()]
        self._shapes = [weight.shape for weight in self._all_weights]
        self._others, self._owner, self._biases, self._biases_back = self._vectors(classes)
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
        self._smoothing = torch.tensor([member.training.recipe.label_smoothing for member in members]).view(-1, 1, 1)
        counts = [layer.norm.num_batches_tracked for chain in chains for layer in chain.layers]
        self._batches = [count for count in counts if count is not None]

    def intact(self) -> bool:
        """Whether all networks still have the shapes with which they came."""
        return [weight.shape for weight in self._all_weights] == self._shapes

    @torch.no_grad()
    def gradients(self, inputs: Sequence[Tensor], targets: Tensor, weights: Tensor | None) -> Tensor:
        """Leave the gradients of each network's loss in its parameters; the losses, (networks,).

        ``inputs``: of each, (batch, reads), what its first layer reads. ``targets``: (networks, batch), and so are the
        ``weights`` of rows.
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

    @torch.no_grad()
    def update(self, lrs: Sequence[float]) -> None:
        """A step of each network's optimizer, at the learning rate that it has now."""
        counts = []
        for member, weights, steps, lr in zip(self.members, self._weights, self._steps, lrs, strict=True):
            optimizer, recipe = member.training.optimizer, member.training.recipe
            optimizer.lr, optimizer.steps = lr, optimizer.steps + 1
            counts.append(optimizer.steps)
            adamw_(weights, lr=lr, weight_decay=recipe.weight_decay, steps=steps.fill_(optimizer.steps))
        adamw_each_(self._others, self._owner, lrs=lrs, steps=counts)

    def release(self) -> None:
        """Give all networks memory of their own again."""
        for member in self.members:
            for parameter in member.training.model.parameters():
                own_again(parameter, member.training.optimizer)
            for layer in member.chain.layers:
                norm = layer.norm
                assert norm.running_mean is not None and norm.running_var is not None
                norm.running_mean, norm.running_var = norm.running_mean.clone(), norm.running_var.clone()

    def _losses(self, targets: Tensor, weights: Tensor | None) -> Tensor:
        """Losses (networks,), as ``fit.loss_of`` has them; gradients by the outputs are left in ``back``."""
        if targets.is_floating_point():
            rest = self.outputs[:, :, 0] - targets
            torch.mul(rest, 2.0 / self.batch, out=self.back[:, :, 0])
            losses = rest.square_()
        else:
            logs, known, certain = F.log_softmax(self.outputs, 2), targets.unsqueeze(2), 1.0 - self._smoothing
            torch.exp(logs, out=self.back)
            self.back.sub_(self._smoothing / logs.shape[2])
            self.back.scatter_add_(2, known, -certain.expand_as(known)).div_(self.batch)
            losses = -(certain * logs.gather(2, known) + self._smoothing * logs.mean(2, keepdim=True))[:, :, 0]
        if weights is not None:
            self.back.mul_(weights.unsqueeze(2))
            losses = losses * weights
        return losses.mean(1)

    def _matrices(self, member: Member) -> Storage:
        """Storage for the weights of a network, which has one learning rate and decay."""
        weights, start = member.chain.weights(), 0
        storage = Storage(sum(lanes(weight.numel()) for weight in weights))
        for weight in weights:
            storage.take(weight, member.training.optimizer, start)
            start += lanes(weight.numel())
        return storage

    def _vectors(self, classes: int) -> tuple[Storage, Tensor, Tensor, Tensor]:
        """Storage for gains and biases of all networks, layer by layer; whose each number is; the outputs' biases."""
        size = sum(2 * level.width for level in self.levels) + len(self.members) * classes
        storage, owner, start = Storage(size), torch.zeros(lanes(size), dtype=torch.int64), 0
        for level in self.levels:
            level.gain, level.gain_back = storage.part(start, level.width)
            level.bias, level.bias_back = storage.part(start + level.width, level.width)
            for place, layer in level.layers.items():
                norm, columns, optimizer = layer.norm, level.columns(place), self.members[place].training.optimizer
                for parameter, begin in ((norm.weight, start), (norm.bias, start + level.width)):
                    storage.take(parameter, optimizer, begin + columns.start)
                    owner[begin + columns.start : begin + columns.stop] = place
                assert norm.running_mean is not None and norm.running_var is not None
                level.running_mean[columns], level.running_var[columns] = norm.running_mean, norm.running_var
                norm.running_mean, norm.running_var = level.running_mean[columns], level.running_var[columns]
            start += 2 * level.width
        for place, member in enumerate(self.members):
            storage.take(member.chain.output.bias, member.training.optimizer, start + place * classes)
            owner[start + place * classes : start + (place + 1) * classes] = place
        biases, back = storage.part(start, len(self.members) * classes)
        return storage, owner, biases.view(-1, classes), back.view(-1, classes)
