"""One hidden layer of all networks of a stack, side by side in matrices (batch, units)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import final

import torch
from torch import Tensor

from steerage.training.stacked.chain import EPSILON, MOMENTUM, Activation, Chain, Layer
from steerage.training.stacked.storage import LANE, lanes

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

    def draw(self) -> None:
        """Factors 0 and 1, anew: six times faster than PyTorch draws them one by one."""
        self._bits.random_(-(2**63), None, generator=self.generator)
        drawn = self._bits.view(torch.int16)[: self.kept.numel()].view(self.kept.shape)
        torch.ge(drawn, round(self.rate * 2**BITS) - 2 ** (BITS - 1), out=self.kept)


@final
@dataclass(eq=False)
class Level:
    """Layer ``number`` of all networks that have it: ``start`` of its columns, by a network's place in the stack.

    ``after``: what the layer gives, and ``back`` the gradient by it; ``before``: what its weights give, ``arriving``
    the gradient by that. ``gain`` and ``bias`` of the norms, and their gradients, are parts of the stack's storage.
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
        self.gain = self.bias = self.gain_back = self.bias_back = torch.empty(0)
        self.scales = torch.ones(self.width)

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
            end += lanes(layers[place].norm.num_features)
        end += LANE * (end // LANE % 2)
        activations.append((activation, slice(begin, end)))
    return Level(number, layers, start, end + 2 * LANE, activations, batch)
