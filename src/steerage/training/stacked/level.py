"""One hidden layer of all networks of a stack, side by side in matrices (batch, units)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import final

import torch
from torch import Tensor, nn

from steerage.training.stacked.chain import EPSILON, MOMENTUM, Activation, Chain, Layer

LANE = 16  # floats: columns of a network begin at a whole vector
BITS = 16  # random bits that decide on one unit of a dropout


@final
@dataclass(eq=False)
class Dropout:
    """Dropout of one network in one layer: ``kept`` are its columns of the layer's factors."""

    generator: torch.Generator
    rate: float
    kept: Tensor

    def __post_init__(self) -> None:
        self._bits = torch.empty(-(-self.kept.numel() * BITS // 64), dtype=torch.int64)
        self._drawn = self._bits.view(torch.int16)[: self.kept.numel()].view(self.kept.shape)
        self._least = round(self.rate * 2**BITS) - 2 ** (BITS - 1)

    def draw(self) -> None:
        """Factors 0 and 1, anew: six times faster than PyTorch draws them one by one."""
        self._bits.random_(-(2**63), None, generator=self.generator)
        torch.ge(self._drawn, self._least, out=self.kept)


@final
@dataclass(eq=False)
class Level:
    """Layer ``number`` of all networks that have it: ``start`` of its columns, by a network's place in the stack.

    ``after``: what the layer gives, and ``back`` the gradient by it; ``before``: what its weights give, ``arriving``
    the gradient by that. Gains and biases of norms live here until ``release``; the networks keep views of them.
    """

    number: int
    layers: dict[int, Layer]
    start: dict[int, int]
    width: int
    activations: list[tuple[Activation, slice]]
    batch: int
    dropouts: list[Dropout] = field(default_factory=list)

    def __post_init__(self) -> None:
        room = torch.zeros(6, self.batch, self.width)
        self.before, self.normed, self.after, self.back, self.arriving, self.factors = room.unbind()
        self.mean, self.inverse = torch.empty(2, self.width).unbind()
        self.running_mean, self.running_var = torch.zeros(self.width), torch.ones(self.width)
        self.gain, self.bias, self.gain_back, self.bias_back = torch.zeros(4, self.width).unbind()
        self.scales = torch.ones(self.width)
        for place, layer in self.layers.items():
            norm, columns = layer.norm, self.columns(place)
            take_in_(norm.weight, self.gain[columns], self.gain_back[columns])
            take_in_(norm.bias, self.bias[columns], self.bias_back[columns])
            assert norm.running_mean is not None and norm.running_var is not None
            self.running_mean[columns], self.running_var[columns] = norm.running_mean, norm.running_var
            norm.running_mean, norm.running_var = self.running_mean[columns], self.running_var[columns]

    def release(self) -> None:
        """Give the networks' norms memory of their own again."""
        for layer in self.layers.values():
            norm = layer.norm
            give_back_(norm.weight)
            give_back_(norm.bias)
            assert norm.running_mean is not None and norm.running_var is not None
            norm.running_mean, norm.running_var = norm.running_mean.clone(), norm.running_var.clone()

    def columns(self, place: int) -> slice:
        """Of the network at ``place``."""
        return slice(self.start[place], self.start[place] + self.layers[place].norm.num_features)

    def set_dropout(self, generators: Sequence[torch.Generator]) -> None:
        """Let networks with dropout draw from their ``generators``; factors are 1 where there is none."""
        self.factors.fill_(1.0)
        for place, layer in self.layers.items():
            if layer.dropout > 0.0:
                columns = self.columns(place)
                self.dropouts.append(Dropout(generators[place], layer.dropout, self.factors[:, columns]))
                self.scales[columns] = 1.0 / (1.0 - layer.dropout)

    def forward(self) -> None:
        """From ``before`` to ``after``."""
        torch.native_batch_norm(
            self.before,
            self.gain,
            self.bias,
            self.running_mean,
            self.running_var,
            True,
            MOMENTUM,
            EPSILON,
            out=(self.normed, self.mean, self.inverse),
        )
        for activation, columns in self.activations:
            activation.forward(self.normed[:, columns], self.after[:, columns])
        if self.dropouts:
            for dropout in self.dropouts:
                dropout.draw()
            self.after.mul_(self.factors.mul_(self.scales))

    def backward(self) -> None:
        """From ``back``, which is used up, to ``arriving``, and the gradients of gains and biases."""
        if self.dropouts:
            self.back.mul_(self.factors)
        for activation, columns in self.activations:
            activation.backward(self.back[:, columns], self.normed[:, columns])
        torch.ops.aten.native_batch_norm_backward.out(
            self.back,
            self.before,
            self.gain,
            self.running_mean,
            self.running_var,
            self.mean,
            self.inverse,
            True,
            EPSILON,
            [True, True, True],
            out0=self.arriving,
            out1=self.gain_back,
            out2=self.bias_back,
        )


def take_in_(parameter: nn.Parameter, room: Tensor, gradient: Tensor) -> None:
    """Move ``parameter`` into ``room``, with ``gradient`` for its gradient; it stays the object that it is."""
    room.copy_(parameter.detach())
    parameter.data, parameter.grad = room, gradient


def give_back_(parameter: nn.Parameter) -> None:
    """Give ``parameter`` memory of its own again."""
    parameter.data, parameter.grad = parameter.detach().clone(), None


def level_of(chains: Sequence[Chain], number: int, batch: int) -> Level:
    """Layer ``number`` of those ``chains`` that have one.

    The columns of each activation end with a whole turn of its loop, since what is left over would be computed by
    other instructions; and there are more columns than are used, since PyTorch leaves whole tensors to another
    library. So what a network comes to does not depend, to the bit, on what is beside it.
    """
    layers = {place: chain.layers[number] for place, chain in enumerate(chains) if number < len(chain.layers)}
    start: dict[int, int] = {}
    activations, end = [], 0
    for activation, places in groupby(layers, key=lambda place: layers[place].activation):
        begin = end
        for place in places:
            start[place] = end
            end += -(-layers[place].norm.num_features // LANE) * LANE
        end += LANE * (end // LANE % 2)
        activations.append((activation, slice(begin, end)))
    return Level(number, layers, start, end + 2 * LANE, activations, batch)
