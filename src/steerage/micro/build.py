"""A network with its preprocessing as a program: the whole way from the owner's row to scores or values."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from steerage.data.dataset import Preprocess
from steerage.micro import functions, layers
from steerage.micro.held import Held
from steerage.micro.inputs import can_clip, start
from steerage.micro.ir import Affine, Bins, Conv, Features, Join, Linear, Op, Program, Softmax, Value, live
from steerage.micro.lower import Walk
from steerage.nn.encoding import PiecewiseLinear
from steerage.nn.modes import evaluating
from steerage.nn.reduction import Reduce
from steerage.nn.trace import trace

RULES = {**layers.RULES, **functions.RULES}


@final
@dataclass(frozen=True)
class Units:
    """Outputs are ``score * std + mean``: the target's own units in a regression, one each of several targets."""

    mean: float | tuple[float, ...] = 0.0
    std: float | tuple[float, ...] = 1.0


def build(
    model: nn.Module,
    preprocess: Preprocess,
    *,
    masks: Mapping[str, Tensor] | None = None,
    units: Units | None = None,
    softmax: bool = False,
    clip: bool = True,
) -> Program:
    """Program of ``model`` behind ``preprocess``, as it is in evaluation mode; on the meta device, its structure alone.

    ``masks``: by name of parameter, True = active; what has none is all active. ``units``: those of a regression.
    ``softmax``: probabilities in place of scores. ``clip``: numbers of a table may stay in its units where linear
    layers can scale them.

    Raises: UnsupportedLayer naming what cannot be done; BadArgument if the model cannot run on its input.
    """
    with evaluating(model), torch.no_grad():
        traced = trace(model, tuple(preprocess.output_shape), whole=(Reduce, PiecewiseLinear))
        masks = masks or {}
        walk = Walk(model, traced, start(preprocess), masks, {})
        first = _finished(walk, units, softmax)
        if not isinstance(walk.start.first, Features):
            return first
        read = _read(first, walk)
        begin = start(preprocess, read=read.features, clipped=clip and read.linearly and can_clip(preprocess))
        return _finished(Walk(model, traced, begin, masks, read.bins), units, softmax)


def valued(program: Program) -> Program:
    """``program`` with zeros for what is on the meta device, where only shapes matter."""

    def there(tensor: Tensor) -> Tensor:
        return torch.zeros(tensor.shape, dtype=tensor.dtype) if tensor.is_meta else tensor

    def with_values(op: Op) -> Op:
        if isinstance(op, Affine):
            return replace(op, scale=there(op.scale), shift=there(op.shift))
        if not isinstance(op, Linear | Conv):
            return op
        bias = None if op.weights.bias is None else there(op.weights.bias)
        return replace(op, weights=replace(op.weights, values=there(op.weights.values), bias=bias))

    return replace(program, ops=tuple(with_values(op) for op in program.ops))


def _finished(walk: Walk, units: Units | None, softmax: bool) -> Program:
    held = walk.run(RULES)
    node = next(iter(reversed(walk.graph.nodes)))
    if units is not None:
        held = _in_units(walk, held, units)
    output = walk.line(node, held)
    if softmax:
        output = walk.add(Softmax("softmax", output, walk.value("probabilities", output.shape)))
    return Program(walk.start.input, output, live(walk.ops, output))


def _in_units(walk: Walk, held: Held, units: Units) -> Held:
    """``held * std + mean``, by the last layer where it is linear."""
    node = next(iter(reversed(walk.graph.nodes)))
    scale, shift = (torch.tensor(one, dtype=torch.float64).expand(held.size) for one in (units.std, units.mean))
    (source,) = node.all_input_nodes
    places = walk.sole(source)
    if not places or not all(isinstance(op := walk.ops[place], Linear) and op.bare for place in places):
        return layers.affine(walk, node, held, scale, shift)
    for place in places:
        walk.ops[place] = layers.scaled(walk.ops[place], scale, shift if place == places[0] else None)
    return held


@final
@dataclass(frozen=True)
class _Read:
    """Features and bins that anything reads, and whether only linear layers do."""

    features: Set[int]
    bins: Mapping[str, Set[int]]
    linearly: bool


def _read(program: Program, walk: Walk) -> _Read:
    """What is read of a table's features and of their encodings, in a program that computes all of them."""
    reads = {value: np.zeros(value.size, dtype=bool) for op in program.ops for value in (*op.inputs, op.output)}
    joins = {op.output: op for op in program.ops if isinstance(op, Join)}
    features = walk.start.held.parts[0]
    holders = {features.value}  # what the features are a part of
    for value, join in joins.items():
        if not holders.isdisjoint(join.inputs):
            holders.add(value)
    linearly = program.output not in holders

    def mark(value: Value, places: NDArray[np.bool_]) -> None:
        reads[value] |= places
        offset = 0
        for part in joins[value].inputs if value in joins else ():
            mark(part, places[offset : offset + part.size])
            offset += part.size

    mark(program.output, np.ones(program.output.size, dtype=bool))
    for op in reversed(program.ops):
        if isinstance(op, Linear):
            mark(op.x, op.weights.active.any(dim=0).numpy())
        elif isinstance(op, Bins):
            linearly = False
            ends = np.cumsum([len(run.edges) - 1 for run in op.runs])
            used = [
                run.at for run, bins in zip(op.runs, np.split(reads[op.output], ends[:-1]), strict=True) if bins.any()
            ]
            mark(op.x, np.isin(np.arange(op.x.size), used))
        elif not isinstance(op, Join):
            linearly &= holders.isdisjoint(op.inputs)
            for value in op.inputs:
                mark(value, np.ones(value.size, dtype=bool))
    assert features.order is not None
    found = features.order[reads.get(features.value, np.zeros(features.value.size, dtype=bool))]
    bins = {label: set(ids[reads[value]].tolist()) for value, (label, ids) in walk.bins.items() if value in reads}
    return _Read(set(found.tolist()) or {0}, bins, linearly)
