"""Bridging growth: new neurons where what is before a layer and the gradients behind it correlate most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from steerage.errors import BadArgument
from steerage.growprune import units
from steerage.growprune.graph import Part, UnitGraph
from steerage.growprune.masks import Masks
from steerage.growprune.resize import Move
from steerage.nn.modes import evaluating


@dataclass(frozen=True, eq=False)
class _Place:
    """A layer that makes neurons, and along which inputs new ones there would lower the loss, and how fast."""

    maker: nn.Linear
    strengths: Tensor  # (directions,)
    directions: Tensor  # (directions, inputs of the maker)


def bridge_(
    model: nn.Module, graph_of: Callable[[], UnitGraph], probe: Callable[[nn.Module], Tensor], count: int, masks: Masks
) -> list[Move]:
    """Let up to ``count`` new neurons come, over all layers where they help most; the function stays as it is.

    NeST (arXiv 1711.02017, section 3.1) connects the pairs of the largest |E[dL/du_j x_i]|, x_i an input of the layer
    and u_j what a reader of it adds up. Here a new neuron reads its inputs along a leading right singular vector of
    that matrix, the best direction for one neuron as far as the loss is linear, with as many connections as its
    neighbours have on average; the weights that read it start at zero. ``probe(model)`` is the loss on some rows,
    ``graph_of()`` the graph of the network as it is.

    Between linear layers of two-dimensional tensors, at most doubling a layer. Raises: BadArgument if there are none.
    """
    places = _places(model, graph_of(), probe)
    if not places:
        raise BadArgument("bridging growth needs neurons between linear layers; let units be duplicated instead")
    strengths = torch.cat([place.strengths for place in places])
    least = strengths.sort(descending=True).values[: max(1, count)][-1]
    moves: list[Move] = []
    for place in reversed(places):  # new neurons of a later layer leave what earlier ones read as it is
        wanted = place.directions[place.strengths >= least] if count > 0 else place.directions[:0]
        graph = graph_of()
        (maker,) = [part for part in graph.parts.values() if part.module is place.maker]
        own = maker.rows[(units.editable(graph) & ~graph.rigid)[maker.rows]][: len(wanted)]
        if len(own) > 0:
            made = units.insert_(graph, own, masks)
            _aim_(maker, wanted[: len(own)], made, masks)
            moves += made
    return moves


@torch.no_grad()
def _aim_(maker: Part, directions: Tensor, moves: list[Move], masks: Masks) -> None:
    """Give the new rows of a maker its ``directions``, each as long as the others and as sparse."""
    name = maker.tensor_name("weight")
    (move,) = [one for one in moves if one.name == name]
    weight: Any = maker.module.weight
    mask = masks[name]
    old = ~move.new_rows
    length = float((weight.data[old] * mask[old]).norm(dim=1).mean())
    kept = max(1, round(float(mask[old].sum(dim=1).float().mean())))
    for row, direction in zip(move.new_rows.nonzero()[:, 0].tolist(), directions, strict=True):
        chosen = torch.zeros(len(direction), dtype=torch.bool)
        chosen[direction.abs().argsort(descending=True, stable=True)[:kept]] = True
        new = direction * chosen
        weight.data[row] = (new * (length / new.norm().clamp_min(1e-12))).to(weight)
        mask[row] = chosen


def _places(model: nn.Module, graph: UnitGraph, probe: Callable[[nn.Module], Tensor]) -> list[_Place]:
    """Layers of neurons that linear layers make and read, in order, and what new neurons there would bring."""
    linear = [part for part in graph.parts.values() if isinstance(part.module, nn.Linear)]
    inputs, behind = _seen(model, linear, probe)
    able = units.editable(graph) & ~graph.rigid
    places = []
    for maker in linear:
        own = maker.rows[able[maker.rows]]
        readers = [part for part in linear if part.columns is not None and torch.isin(part.columns, own).any()]
        others = [
            part for part in graph.parts.values()
            if part not in linear and part.columns is not None and torch.isin(part.columns, own).any()
        ]  # fmt: skip
        if len(own) == 0 or not readers or others or maker not in inputs:
            continue
        assert isinstance(maker.module, nn.Linear)
        delta = torch.cat([behind[part] for part in readers if part in behind], dim=1)  # (rows, outputs)
        matrix = delta.T @ inputs[maker] / len(delta)
        _, strengths, directions = torch.linalg.svd(matrix, full_matrices=False)
        places.append(_Place(maker.module, strengths, directions))
    return places


def _seen(
    model: nn.Module, parts: list[Part], probe: Callable[[nn.Module], Tensor]
) -> tuple[dict[Part, Tensor], dict[Part, Tensor]]:
    """What each layer reads, (rows, inputs), and the gradient of the loss behind it, (rows, outputs)."""
    inputs: dict[Part, Tensor] = {}
    behind: dict[Part, Tensor] = {}

    def hook_of(part: Part) -> Callable[..., None]:
        def keep(gradient: Tensor) -> None:
            behind[part] = gradient.detach().float()

        def hook(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
            if output.ndim == 2:
                inputs[part] = given[0].detach().float()
                output.register_hook(keep)  # type: ignore[no-untyped-call]

        return hook

    handles = [part.module.register_forward_hook(hook_of(part)) for part in parts]
    gradients = {parameter: parameter.grad for parameter in model.parameters()}
    try:
        with evaluating(model), torch.enable_grad():
            probe(model).backward()  # type: ignore[no-untyped-call]
    finally:
        for handle in handles:
            handle.remove()
        for parameter, gradient in gradients.items():
            parameter.grad = gradient
    return inputs, behind
