"""How a tensor of the network lies in memory, while it is being lowered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from steerage.micro.ir import Ints, Shape, Value


@final
@dataclass(frozen=True, eq=False)
class Part:
    """Numbers of a tensor in one place.

    ``order``: of a vector, the index in the tensor of each number in memory, -1 for one that does not belong to it;
    None for a map. What memory holds is to be multiplied by ``scale`` and added to ``shift``, float64, one each per
    number of a vector or channel of a map; None where the numbers are as they should be. ``raw``: the input itself,
    which is no map of ours even where it is an image.
    """

    value: Value
    order: Ints | None = None
    scale: Tensor | None = None
    shift: Tensor | None = None
    raw: bool = False

    @property
    def plain(self) -> bool:
        """Whether the numbers can be read as they are."""
        return self.scale is None and not self.raw

    def affine(self) -> tuple[Tensor, Tensor]:
        """Scale and shift, spelled out."""
        count = self.value.size if self.order is not None else self.value.shape[0]
        ones, zeros = torch.ones(count, dtype=torch.float64), torch.zeros(count, dtype=torch.float64)
        return (ones if self.scale is None else self.scale, zeros if self.shift is None else self.shift)


@final
@dataclass(frozen=True, eq=False)
class Held:
    """A tensor of shape ``shape``, one row of the batch; a map is one part, a vector one or several."""

    shape: Shape
    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        """Numbers in it."""
        return int(np.prod(self.shape))


def vector(value: Value) -> Held:
    """A value whose numbers are those of the vector, in order."""
    return Held((value.size,), (Part(value, np.arange(value.size)),))


def a_map(value: Value) -> Held:
    """A value that is a map."""
    return Held(value.shape, (Part(value),))


def flattened(held: Held) -> Held:
    """A map as a vector (channel, y, x), of which memory has another order."""
    (part, *_) = held.parts
    if part.order is not None:  # it is one already, or the channels of a single pixel
        return Held((held.size,), held.parts)
    channels, height, width = held.shape
    if part.raw:  # an image lies in memory as it is
        channel_of = np.repeat(np.arange(channels), height * width)
        order = np.arange(held.size)
    else:
        y, channel, x = np.meshgrid(np.arange(height), np.arange(channels), np.arange(width), indexing="ij")
        channel_of = channel.ravel()
        order = ((channel * height + y) * width + x).ravel()
    scale, shift = (None if each is None else each[torch.from_numpy(channel_of)] for each in (part.scale, part.shift))
    return Held((held.size,), (replace(part, order=order, scale=scale, shift=shift),))


def is_in_order(order: Ints) -> bool:
    """Whether memory has a vector's numbers one after the other, and nothing else."""
    return bool((order == np.arange(len(order))).all())


def columns(weight: Tensor, order: Ints) -> Tensor:
    """Columns of ``weight`` (outputs, inputs, ...) in the order of memory, zero for what does not belong there."""
    places = torch.from_numpy(np.where(order < 0, 0, order)).to(weight.device)
    picked = weight.index_select(1, places)
    absent = torch.from_numpy(order < 0).to(weight.device)
    filler: Any = False if picked.dtype == torch.bool else 0.0
    return picked.masked_fill(absent.reshape(1, -1, *[1] * (weight.ndim - 2)), filler)
