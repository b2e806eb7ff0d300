"""Changes of shape: which rows and columns of a part are kept, repeated or left out, and what follows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from steerage.growprune.graph import Part, UnitGraph
from steerage.growprune.masks import Masks
from steerage.nn.kinds import NORMS


@final
@dataclass(frozen=True, eq=False)
class Move:
    """How a tensor of the network, ``name``, came to its new shape: entry ``[i, j]`` is ``old[rows[i], columns[j]]``.

    ``parameter`` is None for a buffer. ``new_rows``, ``new_columns``: (len(rows),) and (len(columns),) bool, those that
    were not there before. ``columns`` are None where all stayed.
    """

    name: str
    parameter: nn.Parameter | None
    old_shape: torch.Size
    rows: Tensor
    new_rows: Tensor
    columns: Tensor | None = None
    new_columns: Tensor | None = None

    def taken(self, tensor: Tensor) -> Tensor:
        """``tensor`` of the old shape in the new one."""
        tensor = tensor[self.rows.to(tensor.device)]
        return tensor if self.columns is None else tensor[:, self.columns.to(tensor.device)]

    def born(self, tensor: Tensor) -> Tensor:
        """Where ``tensor``, of the new shape, holds entries that were not there before: bool."""
        found = torch.zeros(tensor.shape, dtype=torch.bool)
        found[self.new_rows] = True
        if self.new_columns is not None:
            found[:, self.new_columns] = True
        return found.to(tensor.device)


def keep_(graph: UnitGraph, kept: Tensor, masks: Masks) -> list[Move]:
    """Remove all units but those that are True in ``kept``, (units,) bool; how the tensors moved."""
    moves: list[Move] = []
    for part in graph.parts.values():
        rows, columns = kept[part.rows], None if part.columns is None else kept[part.columns]
        if not rows.all() or (columns is not None and not columns.all()):
            moves += take_(part, rows.nonzero()[:, 0], None if columns is None else columns.nonzero()[:, 0], masks)
    return moves


@torch.no_grad()
def take_(
    part: Part,
    rows: Tensor,
    columns: Tensor | None,
    masks: Masks,
    *,
    new_rows: Tensor | None = None,
    new_columns: Tensor | None = None,
) -> list[Move]:
    """Give all tensors of a module, and their masks, the ``rows`` and ``columns`` with these numbers; how they moved.

    Parameters stay the objects that they are, so that whoever holds them (an optimizer, say) holds the new ones.
    """
    module: Any = part.module
    new_rows = torch.zeros(len(rows), dtype=torch.bool) if new_rows is None else new_rows
    if columns is not None and new_columns is None:
        new_columns = torch.zeros(len(columns), dtype=torch.bool)
    moves = []
    for leaf, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
        if tensor.ndim == 0:  # the number of batches
            continue
        parameter = tensor if isinstance(tensor, nn.Parameter) else None
        wide = columns is not None and leaf == "weight"
        name = part.tensor_name(leaf)
        move = Move(name, parameter, tensor.shape, rows, new_rows, *((columns, new_columns) if wide else ()))
        if parameter is None:
            setattr(module, leaf, move.taken(tensor))
        else:
            form = torch.channels_last if _is_channels_last(parameter) else torch.contiguous_format
            _set_(parameter, move.taken(parameter.data).contiguous(memory_format=form))
        if name in masks:
            masks[name] = move.taken(masks[name])
        moves.append(move)
    _say_sizes_(module, outputs=len(rows), passing=part.columns is None)
    return moves


def _set_(parameter: nn.Parameter, value: Tensor) -> None:
    """Give ``parameter`` another shape, also while a loss of before is still held.

    Its place in that loss remembers the old shape and would refuse gradients of the new one; a change of type, to
    anything and back, lets autograd forget it.
    """
    other = torch.float32 if value.dtype != torch.float32 else torch.float64
    parameter.grad = None
    parameter.data = torch.empty(0, dtype=other, device=value.device)
    parameter.data = value


def _is_channels_last(tensor: Tensor) -> bool:
    return tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last) and not tensor.is_contiguous()


def _say_sizes_(module: Any, *, outputs: int, passing: bool) -> None:
    """Let the attributes of a module tell its new sizes."""
    if isinstance(module, NORMS):
        module.num_features = outputs
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    else:
        module.out_channels = outputs
        module.groups = outputs if passing else module.groups
        module.in_channels = module.weight.shape[1] * module.groups


def shapes_of(model: nn.Module) -> dict[str, list[int]]:
    """Shape of every parameter and buffer, by name."""
    return {name: [*tensor.shape] for name, tensor in model.state_dict().items()}


@torch.no_grad()
def reshape_(model: nn.Module, shapes: Mapping[str, Sequence[int]]) -> bool:
    """Give tensors of ``model`` these shapes, with zeros in those that change; whether any did.

    Parameters stay the objects that they are. Raises: KeyError for a tensor that ``shapes`` lacks.
    """
    changed = False
    for path, module in model.named_modules():
        fits = True
        for leaf, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            shape = tuple(shapes[f"{path}.{leaf}" if path else leaf])
            if shape == tuple(tensor.shape):
                continue
            fits, changed = False, True
            if isinstance(tensor, nn.Parameter):
                form = torch.channels_last if _is_channels_last(tensor) else torch.contiguous_format
                _set_(
                    tensor, torch.zeros(shape, dtype=tensor.dtype, device=tensor.device).contiguous(memory_format=form)
                )
            else:
                setattr(module, leaf, torch.zeros(shape, dtype=tensor.dtype, device=tensor.device))
        if not fits:
            sized: Any = module
            depthwise = getattr(module, "groups", 1) > 1 and module.groups == module.out_channels
            outputs = len(sized.weight) if getattr(sized, "weight", None) is not None else len(sized.running_mean)
            _say_sizes_(module, outputs=outputs, passing=isinstance(module, NORMS) or depthwise)
    return changed


@torch.no_grad()
def follow_(state: Mapping[Any, Mapping[str, Any]], moves: Sequence[Move]) -> None:
    """Let an optimizer's ``state`` (parameter -> tensors) follow ``moves``; what is new starts at zero."""
    for move in moves:
        for value in state.get(move.parameter, {}).values() if move.parameter is not None else ():
            if isinstance(value, Tensor) and value.shape == move.old_shape:
                moved = move.taken(value)
                value.data = moved.masked_fill(move.born(moved), 0.0)


def follow_average_(average: dict[str, Tensor], moves: Sequence[Move]) -> None:
    """Let running averages of the network's tensors, by name, follow ``moves``."""
    for move in moves:
        if move.name in average:
            average[move.name] = move.taken(average[move.name])
