"""How the weights of a layer are stored, and what each way takes: exact bytes, estimated instructions.

``dense``: all of them. ``index8``, ``index16``: per output their number and, for each, the place of its input, in
bytes or pairs of bytes. ``delta``: the same as steps from one place to the next, each in as many bytes as it needs: 255
says that it goes on. ``bitmap``: one bit per place. ``unrolled``: no tables, each weight is a term of the code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from steerage.micro.ir import Conv, Ints, Linear

Format = Literal["dense", "index8", "index16", "delta", "bitmap", "unrolled"]
Prefer = Literal["flash", "speed"]
Layer: TypeAlias = Linear | Conv
Index: TypeAlias = "NDArray[np.uint8] | NDArray[np.uint16]"

UNROLLED_MOST = 256  # weights of a layer up to which it may become a formula
BLOCKS: Mapping[Prefer, tuple[int, ...]] = {"flash": (8, 4, 1), "speed": (16, 8, 4, 1)}  # pixels computed together
PLACES = 2**15  # of a kernel, times its columns, up to which a bitmap's places can be divided by multiplying
WHOLE_BLOCKS = (4, 1)  # of integers, whose sums leave fewer registers


@final
@dataclass(frozen=True, eq=False)
class Stored:
    """``values``: number of weights in the table; ``index``: what stands beside them, None where nothing does.

    ``block``: pixels of a row that are computed together; 1 in a linear layer. ``each``: bytes of a weight.
    """

    format: Format
    values: int
    index: Index | None
    block: int = 1
    each: int = 4

    @property
    def table_bytes(self) -> int:
        """Of values and index."""
        return self.each * self.values + (0 if self.index is None else self.index.nbytes)


def choices(layer: Layer, prefer: Prefer) -> Mapping[Format, Stored]:
    """The ways that are possible for a layer; the more pixels are computed together, the faster and larger the code."""
    rows, offsets = in_memory_order(layer, layer.weights.active).numpy(), _offsets(layer)
    active = int(rows.sum())
    found: dict[Format, Stored] = {"dense": Stored("dense", rows.size, None)}
    if active < rows.size:  # else nothing beside the weights could pay
        found |= _sparse(rows, offsets, active)
    if isinstance(layer, Conv) and not _in_line(layer):
        found.pop("bitmap", None)
    if isinstance(layer, Linear) and active <= UNROLLED_MOST:
        found["unrolled"] = Stored("unrolled", 0, None)
    whole = layer.output.dtype != "float32"
    block, each = 1, 1 if whole else 4
    if isinstance(layer, Conv):
        blocks = WHOLE_BLOCKS if whole else BLOCKS[prefer]
        block = next(block for block in blocks if block <= layer.computed[1])
    return {format: replace(way, block=block, each=each) for format, way in found.items()}


def in_memory_order(layer: Layer, weights: Tensor) -> Tensor:
    """Weights as (outputs, inputs) by ascending place: those of a kernel by row, channel, column."""
    return weights if isinstance(layer, Linear) else weights.permute(0, 2, 1, 3).flatten(1)


def _in_line(layer: Conv) -> bool:
    """Whether the lines under a kernel are equally far from each other, and not too many: the function of a bitmap
    finds a place by its number."""
    _, channels, height, width = layer.weights.shape
    return (height == 1 or channels in (1, layer.x.shape[0])) and channels * height * width**2 <= PLACES


def _offsets(layer: Layer) -> Ints:
    """Place of each input of an output in what it reads, ascending: (inputs,)."""
    if isinstance(layer, Linear):
        return np.arange(layer.weights.shape[1])
    _, channels, height, width = layer.weights.shape
    row, channel, column = np.meshgrid(np.arange(height), np.arange(channels), np.arange(width), indexing="ij")
    places: Ints = ((row * layer.x.shape[0] + channel) * layer.padded + column).ravel()
    return places


def _sparse(rows: NDArray[np.bool_], offsets: Ints, active: int) -> dict[Format, Stored]:
    """The ways that say where the weights are. ``rows``: (outputs, inputs) active, ``offsets``: place of each input."""
    counts = rows.sum(axis=1)
    begins = np.concatenate([[0], np.cumsum(counts)[:-1]])  # of each output's weights among all
    places: Ints = offsets[rows.nonzero()[1]]
    largest = max(counts.max(initial=0), int(offsets[-1]))
    found: dict[Format, Stored] = {}
    if largest <= 255:
        found["index8"] = Stored("index8", active, np.insert(places, begins, counts).astype(np.uint8))
    elif largest <= 65535:
        found["index16"] = Stored("index16", active, np.insert(places, begins, counts).astype(np.uint16))
    if largest >= 255:  # else each step is one byte, and the place itself no more
        steps = np.diff(places, prepend=0)
        first = begins[counts > 0]
        steps[first] = places[first]
        found["delta"] = Stored("delta", active, _bytes(np.insert(steps, begins, counts)))
    found["bitmap"] = Stored("bitmap", active, np.packbits(rows, axis=1, bitorder="little").ravel())
    return found


def _bytes(numbers: Ints) -> NDArray[np.uint8]:
    """Each number as bytes that add up to it: as many of 255 as there are in it, and the rest."""
    ends = np.cumsum(numbers // 255 + 1) - 1
    stream = np.full(ends[-1] + 1 if ends.size else 0, 255, dtype=np.uint8)
    stream[ends] = numbers % 255
    return stream
