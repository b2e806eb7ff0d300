"""Products of matrices: one for each network, layer and what the layer reads, so that none is padded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from steerage.training.stacked.chain import Chain
from steerage.training.stacked.level import Level


@final
@dataclass(frozen=True, eq=False)
class Product:
    """``target`` (batch, units), or more of it, is ``source`` (batch, reads) times ``transposed``.

    ``weight`` and its ``gradient``: (units, reads). ``source`` is None for the inputs of the network at ``place``,
    which have no gradient. ``arriving``: gradient by ``target``; ``back``: where that by ``source`` is collected.
    ``first``: nothing is in ``target`` before; ``first_back``: nor in ``back``, in the backward pass.
    """

    place: int
    weight: Tensor
    transposed: Tensor
    gradient: Tensor
    target: Tensor
    arriving: Tensor
    source: Tensor | None
    back: Tensor | None
    first: bool
    first_back: bool


def multiply(products: Sequence[Product], inputs: Sequence[Tensor]) -> None:
    """The forward pass of ``products``; ``inputs``: of each network, (batch, reads)."""
    for one in products:
        source = inputs[one.place] if one.source is None else one.source
        if one.first:
            torch.mm(source, one.transposed, out=one.target)
        else:
            one.target.addmm_(source, one.transposed)


def multiply_back(products: Sequence[Product], inputs: Sequence[Tensor]) -> None:
    """The backward pass of ``products``."""
    for one in products:
        source = inputs[one.place] if one.source is None else one.source
        torch.mm(one.arriving.t(), source, out=one.gradient)
        if one.back is None:
            continue
        if one.first_back:
            torch.mm(one.arriving, one.weight, out=one.back)
        else:
            one.back.addmm_(one.arriving, one.weight)


def hidden_products(place: int, chain: Chain, levels: Sequence[Level], number: int) -> list[Product]:
    """Those of hidden layer ``number`` of the network at ``place``."""
    level = levels[number]
    columns = level.columns(place)
    return _products(place, chain, levels, number, level.before[:, columns], level.arriving[:, columns])


def output_products(
    place: int, chain: Chain, levels: Sequence[Level], scores: Tensor, arriving: Tensor
) -> list[Product]:
    """Those of the output layer, which add to the biases that are in ``scores`` (batch, outputs)."""
    return _products(place, chain, levels, len(chain.layers), scores, arriving)


def _products(
    place: int, chain: Chain, levels: Sequence[Level], number: int, target: Tensor, arriving: Tensor
) -> list[Product]:
    """The backward pass comes to the outputs first, then from the last layer to the first."""
    parameter, last = chain.weights()[number], number == len(chain.layers)
    assert parameter.grad is not None
    found, start = [], 0
    sources = [*range(-1, number)] if chain.skips else [number - 1]
    for source in sources:
        if source < 0:
            reads, read, back = chain.weights()[0].shape[1], None, None
        else:
            columns = levels[source].columns(place)
            reads = columns.stop - columns.start
            read, back = levels[source].after[:, columns], levels[source].back[:, columns]
        part = slice(start, start + reads)
        first, first_back = source == sources[0] and not last, last or not chain.skips
        weight, gradient = parameter.detach()[:, part], parameter.grad[:, part]
        found.append(Product(place, weight, weight.t(), gradient, target, arriving, read, back, first, first_back))
        start += reads
    return found
