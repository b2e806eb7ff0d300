"""Units (neurons, channels): which (a score), how many (a count), do it (one edit for all that is tied to them).

A unit is made by rows of layers, passed on by norms and depthwise convolutions, and read by columns of layers. Which
rows and columns are one unit comes from the traced graph: residual sums tie layers together, groups of a convolution
tie their units, concatenations and flattenings move them. A score of one's own is one function with the signature of
``norm``. Edits change the network, its parameters and the masks in place; a graph is of no use after one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from steerage.errors import BadArgument
from steerage.growprune import operations as ops
from steerage.growprune.graph import Part, UnitGraph
from steerage.growprune.masks import Masks
from steerage.growprune.resize import Move, keep_, take_
from steerage.nn.kinds import NORMS
from steerage.nn.modes import evaluating


def editable(graph: UnitGraph) -> Tensor:
    """Units that layers make and read, and nothing unknown touches: (units,) bool."""
    made, read = torch.zeros_like(graph.frozen), torch.zeros_like(graph.frozen)
    for part in graph.parts.values():
        if part.columns is not None:
            made[part.rows] = True
            read[part.columns] = True
    return made & read & ~graph.frozen


def norm(graph: UnitGraph) -> Tensor:
    """Root of the sum of squares of all weights that make a unit (arXiv 1608.08710, there the sum of |w|)."""
    total = torch.zeros(len(graph.frozen), dtype=torch.float64)
    for part in _layers(graph):
        total.index_add_(0, part.rows, _squares(part).sum(dim=1))
    return total.sqrt()


def gain(graph: UnitGraph) -> Tensor:
    """What readers get of a unit: the scale of the last norm that passes it on times the weights that read it.

    Where there is no norm, the weights that make the unit in place of its scale (compare Liu et al., arXiv 1708.06519,
    who take the scale alone).
    """
    scale, read = norm(graph), torch.zeros(len(graph.frozen), dtype=torch.float64)
    for part in graph.parts.values():
        if isinstance(part.module, NORMS) and part.module.weight is not None:
            scale[part.rows] = ops.exact(part.module.weight).abs()
    for part in _layers(graph):
        assert part.columns is not None
        read.index_add_(0, part.columns, _squares(part).sum(dim=0))
    return scale * read.sqrt()


def relative(graph: UnitGraph, scores: Tensor) -> Tensor:
    """``scores`` over their mean in the layer that makes the unit, so that layers can be compared."""
    means = torch.zeros_like(scores)
    for part in reversed(_layers(graph)):  # of several that make a unit the first has the word
        means[part.rows] = scores[part.rows].mean()
    return scores / means.clamp_min(1e-30)


def activity(model: nn.Module, graph: UnitGraph, run: Callable[[nn.Module], object]) -> Tensor:
    """Mean absolute value of each unit where it is read, over all rows and positions of ``run(model)``: (units,)."""
    total = torch.zeros(len(graph.frozen), dtype=torch.float64)
    counts = torch.zeros_like(total)

    def hook_of(part: Part) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            values = inputs[0].detach().abs().double().cpu()
            level = values.mean(dim=[dim for dim in range(values.ndim) if dim != 1])
            assert part.columns is not None
            units = part.columns.repeat(len(level) // len(part.columns))  # once for each group
            total.index_add_(0, units, level)
            counts.index_add_(0, units, torch.ones_like(level))

        return hook

    handles = [part.module.register_forward_pre_hook(hook_of(part)) for part in _layers(graph)]
    try:
        with evaluating(model), torch.no_grad():
            run(model)
    finally:
        for handle in handles:
            handle.remove()
    return total / counts.clamp_min(1.0)


def weakest(graph: UnitGraph, scores: Tensor, count: int) -> Tensor:
    """Numbers of up to ``count`` editable units with the lowest ``scores``, the lowest first; one of every layer stays.

    Raises: BadArgument for a negative count.
    """
    if count < 0:
        raise BadArgument(f"the number of units must be at least 0, got {count}")
    allowed = editable(graph)
    left = {part: len(set(part.rows.tolist())) for part in graph.parts.values()}
    home: dict[int, list[Part]] = {}
    for part in left:
        for unit in set(part.rows.tolist()):
            home.setdefault(unit, []).append(part)
    chosen: list[int] = []
    for unit in torch.argsort(scores, stable=True).tolist():
        if len(chosen) == count:
            break
        if allowed[unit] and all(left[part] > 1 for part in home[unit]):
            chosen.append(unit)
            for part in home[unit]:
                left[part] -= 1
    return torch.tensor(chosen, dtype=torch.long)


def strongest(graph: UnitGraph, scores: Tensor, count: int, *, layer: str | None = None) -> Tensor:
    """Numbers of up to ``count`` units of which there can be more, the highest ``scores`` first.

    ``layer``: only units that the layer of that name makes. Raises: BadArgument for a layer that makes none.
    """
    allowed = editable(graph) & ~graph.rigid
    if layer is not None:
        grown = {part.name: part.rows for part in _layers(graph) if allowed[part.rows].any()}
        if layer not in grown:
            names = ", ".join(grown) or "none"
            raise BadArgument(f"layer {layer!r} makes no units that can grow; layers that do: {names}")
        allowed &= torch.isin(torch.arange(len(allowed)), grown[layer])
    order = torch.argsort(scores, descending=True, stable=True)
    return order[allowed[order]][:count]


def remove_(graph: UnitGraph, units: Tensor, masks: Masks) -> list[Move]:
    """Remove ``units`` (numbers) with everything that makes, passes on or reads them; how the tensors moved.

    Raises: BadArgument for a unit that cannot be removed, or if a layer would be left without any.
    """
    gone = _marked(graph, units, editable(graph), "removed")
    for part in graph.parts.values():
        if gone[part.rows].all():
            raise BadArgument(f"all units of layer {part.name!r} would be removed; leave at least one")
    return keep_(graph, ~gone, masks)


def duplicate_(
    graph: UnitGraph, units: Tensor, masks: Masks, *, noise: float = 0.0, generator: torch.Generator | None = None
) -> list[Move]:
    """Give each of ``units`` (numbers, each once) a twin, and both half of the weights that read it.

    The function stays as it is but for ``noise``, relative to the root mean square of a unit's active weights, which
    lets the twins part (Net2Net, arXiv 1511.05641, section 2.2). Raises: BadArgument for a unit that cannot grow.
    """

    def born(part: Part, move: Move, tensor: Tensor, leaf: str) -> None:
        if leaf == "weight" and isinstance(part.module, ops.LINEAR):
            if part.columns is not None and move.new_columns is not None and move.new_columns.any():
                tensor[:, _both(move.columns, move.new_columns)] /= 2.0
            if noise > 0.0 and move.new_rows.any():
                fresh = tensor[move.new_rows]
                tensor[move.new_rows] = fresh + noise * _rms(fresh) * _normal(fresh, generator) * (fresh != 0)

    return _grown_(graph, units, masks, born)


def insert_(graph: UnitGraph, beside: Tensor, masks: Masks, *, generator: torch.Generator | None = None) -> list[Move]:
    """A new unit beside each of ``beside`` (numbers, each once), with random weights as large as those that are there.

    Nobody gets anything from it yet: the weights that read it are active and zero, so the function stays as it is.
    Raises: BadArgument for a unit beside which none can be.
    """
    defaults = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}

    def born(part: Part, move: Move, tensor: Tensor, leaf: str) -> None:
        if not isinstance(part.module, ops.LINEAR):
            tensor[move.new_rows] = defaults[leaf]
        elif leaf == "bias":
            tensor[move.new_rows] = 0.0
        else:
            if move.new_rows.any():
                fresh = tensor[move.new_rows]
                tensor[move.new_rows] = _rms(tensor[~move.new_rows]) * _normal(fresh, generator)
            if move.new_columns is not None:
                tensor[:, move.new_columns] = 0.0
        if move.name in masks:
            masks[move.name] |= move.born(tensor)

    return _grown_(graph, beside, masks, born)


def _grown_(
    graph: UnitGraph, units: Tensor, masks: Masks, born: Callable[[Part, Move, Tensor, str], None]
) -> list[Move]:
    """Repeat each of ``units``, and let ``born`` set what the repetitions hold; how the tensors moved."""
    twice = _marked(graph, units, editable(graph) & ~graph.rigid, "multiplied")
    moves: list[Move] = []
    for part in graph.parts.values():
        rows, new_rows = _repeated(part.rows, part.row_blocks, twice)
        columns = new_columns = None
        if part.columns is not None and part.column_blocks is not None:
            columns, new_columns = _repeated(part.columns, part.column_blocks, twice)
        if not new_rows.any() and (new_columns is None or not new_columns.any()):
            continue
        made = take_(part, rows, columns, masks, new_rows=new_rows, new_columns=new_columns)
        own: dict[str, Any] = dict([*part.module.named_parameters(recurse=False), *part.module.named_buffers()])
        for move in made:
            leaf = move.name.rpartition(".")[2]
            with torch.no_grad():
                born(part, move, own[leaf].data, leaf)
        moves += made
    return moves


def _repeated(units: Tensor, blocks: Tensor, twice: Tensor) -> tuple[Tensor, Tensor]:
    """Positions, each block of a unit that is True in ``twice`` repeated behind itself; which are repetitions."""
    again = twice[units].nonzero()[:, 0]
    positions = torch.cat([torch.arange(len(units)), again])
    new = torch.zeros(len(positions), dtype=torch.bool)
    new[len(units) :] = True
    order = torch.argsort(2 * blocks[positions] + new, stable=True)
    return positions[order], new[order]


def _marked(graph: UnitGraph, units: Tensor, allowed: Tensor, what: str) -> Tensor:
    """``units`` as (units,) bool. Raises: BadArgument for those that are not ``allowed``, or come twice."""
    found = torch.zeros_like(allowed)
    found[units] = True
    if int(found.sum()) < len(units) or (found & ~allowed).any():
        wrong = (found & ~allowed).nonzero()[:, 0].tolist()
        raise BadArgument(
            f"units {wrong} cannot be {what}: something unknown reads or makes them"
            if wrong
            else f"each unit can be {what} once at a time"
        )
    return found


def _both(columns: Tensor | None, new: Tensor) -> Tensor:
    """Columns that are new, or of which a new one is the copy: bool."""
    assert columns is not None
    return torch.isin(columns, columns[new])


def _layers(graph: UnitGraph) -> list[Part]:
    return [part for part in graph.parts.values() if part.columns is not None]


def _squares(part: Part) -> Tensor:
    """(rows, columns) sum of squares of the weights between two units."""
    weight: Any = part.module.weight
    return ops.exact(weight).square().flatten(2).sum(dim=2) if weight.ndim > 2 else ops.exact(weight).square()


def _rms(weights: Tensor) -> float:
    """Root mean square of the weights that are not zero."""
    used = int((weights != 0).sum())
    return float(weights.double().square().sum().div(max(1, used)).sqrt())


def _normal(like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(like.shape, generator=generator).to(like)
