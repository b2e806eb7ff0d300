"""Compaction: units that do nothing leave the network, and its function stays.

A unit does nothing if no weight reads it. One whose value is the same on every input is read by nobody either, once the
value is part of the biases of its readers. Both may leave the units before them without readers, and so on.
"""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
from torch import Tensor, fx, nn

from steerage.errors import BadArgument, UnsupportedLayer
from steerage.growprune import masks as masking
from steerage.growprune import operations as ops
from steerage.growprune.graph import Part, UnitGraph, unit_graph
from steerage.growprune.masks import Masks
from steerage.growprune.resize import keep_
from steerage.nn.modes import evaluating


def compact(
    model: nn.Module, input_shape: tuple[int, ...], *, masks: Masks | None = None, strict: bool = False
) -> tuple[nn.Module, Masks]:
    """Copy of ``model`` without the units that do nothing, and its masks; in evaluation mode it computes the same.

    ``input_shape``: of one input row. ``masks``: dormant weights are zero in the copy; without masks, dormant is what
    is zero. The masks returned cover every linear and convolution layer. Names, types and training mode are kept, as
    is at least one unit of every layer. Units stay that anything unknown reads or returns: a shuffle of channels, a
    view, a softmax, a layer that is called twice; so do the network's inputs and outputs.

    A network that torch.fx cannot trace is copied as it is, with a warning. Raises: UnsupportedLayer for it when
    ``strict``; BadArgument for a mask of no parameter, or if the network cannot run on the input.
    """
    result = copy.deepcopy(model)
    small = _masked_(result, masks or {})
    try:
        with evaluating(result), torch.no_grad():
            graph = unit_graph(result, tuple(input_shape))
            while _empty_unread_(graph, small) or _fold_constants_(graph, small):
                pass  # what was emptied may have been the last to read what is before it
            _cut_(graph, small)
    except UnsupportedLayer as error:
        if strict:
            raise
        warnings.warn(f"{error}; the network is left as it is", stacklevel=2)
    return result, small


@torch.no_grad()
def _masked_(model: nn.Module, masks: Masks) -> Masks:
    """Set dormant weights of ``model`` to zero; copies of ``masks``, and of what is zero in layers that have none."""
    parameters = dict(model.named_parameters())
    for name, mask in masks.items():
        if name not in parameters or parameters[name].shape != mask.shape or mask.dtype != torch.bool:
            raise BadArgument(f"mask {name!r} must be boolean and of the shape of a parameter of that name")
        parameters[name].masked_fill_(~mask, 0.0)
    return {**masking.from_weights(model), **{name: mask.clone() for name, mask in masks.items()}}


def _fold_constants_(graph: UnitGraph, masks: Masks) -> bool:
    """Make constant units part of the biases of the layers that read them, which read them no more; whether any were.

    In order of execution, so that a layer that reads nothing else is constant for the next one.
    """
    constants: dict[fx.Node, Tensor] = {}
    read, changed = _read(graph), False
    for step in graph.steps:
        part = graph.parts.get(step.node)
        if part is not None and part.columns is not None and not part.grouped:
            rows = max(1, int(read[part.rows].sum()))
            changed |= _fold_(part, constants[part.source], graph.frozen[part.columns], masks, rows=rows)
        constants[step.node] = step.constants(*(constants[node] for node in step.inputs))
    return changed


def _fold_(part: Part, constants: Tensor, frozen: Tensor, masks: Masks, *, rows: int) -> bool:
    """Fold ``constants`` into a layer of which no more than ``rows`` will stay; whether any were."""
    module: Any = part.module
    foldable = constants == 0.0 if ops.is_padded(module) else constants.isfinite()
    foldable &= ops.used_columns(module.weight) & ~frozen
    nonzero = foldable & (constants != 0.0)
    if nonzero.any():
        sums = ops.exact(module.weight[:, nonzero]).reshape(len(module.weight), int(nonzero.sum()), -1).sum(dim=2)
        # A new bias must not need more parameters than the connections that it replaces.
        mask = masks.get(part.tensor_name("weight"))
        saved = 0 if mask is None else int(mask[:, nonzero].sum())
        if not _shift_(part, sums @ constants[nonzero], may_add=saved >= rows):
            foldable &= ~nonzero
    for tensor in _weight_and_mask(part, masks):
        tensor[:, foldable] = 0
    return bool(foldable.any())


def _shift_(part: Part, shift: Tensor, *, may_add: bool) -> bool:
    """Add ``shift`` to what a layer returns, if ``may_add`` by a new bias; whether it could be done."""
    module: Any = part.module
    if module.bias is not None:
        module.bias.add_(shift.to(module.bias))
    elif part.norm is not None and part.norm.running_mean is not None:
        part.norm.running_mean.sub_(shift.to(part.norm.running_mean))
    elif may_add:
        module.bias = nn.Parameter(shift.to(module.weight), module.weight.requires_grad)
    else:
        return False
    return True


def _empty_unread_(graph: UnitGraph, masks: Masks) -> bool:
    """Let units that nobody reads read nothing; whether any weight became zero by that."""
    read = _read(graph)
    changed = False
    for part in graph.parts.values():
        if isinstance(part.module, ops.LINEAR):
            unread = ~read[part.rows]
            changed |= bool((unread & ops.used_rows(part.module.weight)).any())
            for tensor in _weight_and_mask(part, masks):
                tensor[unread] = 0
    return changed


def _read(graph: UnitGraph) -> Tensor:
    """Units that some weight reads, or that are frozen: (units,) bool."""
    read = graph.frozen.clone()
    for part in graph.parts.values():
        if part.columns is not None and isinstance(part.module, ops.LINEAR):
            read[part.columns[ops.used_columns(part.module.weight)]] = True
    return read


def _cut_(graph: UnitGraph, masks: Masks) -> None:
    """Remove what belongs to units that nobody reads, but leave every layer one."""
    kept = _read(graph)
    for part in graph.parts.values():
        if not kept[part.rows].any():
            kept[part.rows[0]] = True
    keep_(graph, kept, masks)


def _weight_and_mask(part: Part, masks: Masks) -> list[Tensor]:
    name = part.tensor_name("weight")
    weight: Any = part.module.weight
    return [weight, masks[name]] if name in masks else [weight]
