"""How a network is built: its layers, which reads which, what they cost, and where connections are left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from steerage.analysis.pictures import png, shades, shrunk
from steerage.analysis.wired import connections_from_input
from steerage.cost.count import PRUNABLE
from steerage.cost.layers import layer_uses
from steerage.data.dataset import Dataset
from steerage.data.tabular import TablePreprocess
from steerage.errors import UnsupportedLayer
from steerage.nn.encoding import PiecewiseLinear
from steerage.nn.modes import evaluating
from steerage.nn.reduction import Reduce
from steerage.nn.trace import trace

MOST_MASKS = 24  # layers whose patterns are drawn


def structure(model: nn.Module, dataset: Dataset, masks: Mapping[str, Tensor]) -> dict[str, Any]:
    """The layers of ``model`` in order, and what is wired to its inputs, as JSON takes them.

    ``layers``: ``name``, ``kind``, ``shape`` of the weight, ``weights`` (active), ``dense``, ``macs`` per row,
    ``units``, ``reads`` (places of the layers whose outputs it gets, -1 for the input; absent where that cannot be
    told), and ``mask``, a picture (PNG in base64) of its connections with a row per unit. ``inputs``: connections per
    number of the input, as a picture of the image or by name of column.
    """
    uses, _ = layer_uses(model, tuple(dataset.spec.input_shape))
    layers: list[dict[str, Any]] = []
    places: dict[str, int] = {}
    for use in uses:
        if not isinstance(use.module, PRUNABLE) or use.weight is None:
            continue
        mask = _mask(masks, use.name, use.weight)
        active = int(mask.count_nonzero())
        if use.name in places:  # called again
            layers[places[use.name]]["macs"] += active * use.positions
            continue
        places[use.name] = len(layers)
        layers.append(
            {
                "name": use.name or "network",
                "kind": type(use.module).__name__,
                "shape": list(use.weight.shape),
                "units": len(use.weight),
                "weights": active,
                "dense": use.weight.numel(),
                "macs": active * use.positions,
            }
        )
        if len(layers) <= MOST_MASKS:
            matrix = mask.flatten(1).double().numpy()
            layers[-1]["mask"] = png(shades(shrunk(matrix)))
    found: dict[str, Any] = {"layers": layers}
    reads = _reads(model, tuple(dataset.spec.input_shape), places)
    for layer, sources in zip(layers, reads or [], strict=False):
        layer["reads"] = sources
    if (wired := _wired(model, dataset, masks)) is not None:
        found["inputs"] = wired
    return found


def _mask(masks: Mapping[str, Tensor], name: str, weight: Tensor) -> Tensor:
    mask = masks.get(f"{name}.weight" if name else "weight")
    return torch.ones(weight.shape, dtype=torch.bool) if mask is None else mask.detach().cpu()


def _reads(model: nn.Module, shape: tuple[int, ...], places: Mapping[str, int]) -> list[list[int]] | None:
    """Of each layer, the layers whose outputs reach it with no other layer between; None for what cannot be traced."""
    try:
        with evaluating(model):
            traced = trace(model, shape, whole=(Reduce, PiecewiseLinear))
    except UnsupportedLayer:
        return None
    names = {module: name for name, module in model.named_modules()}
    before: dict[fx.Node, frozenset[int]] = {}
    found: list[set[int]] = [set() for _ in places]
    for node in traced.graph.nodes:
        sources = frozenset().union(*(before.get(one, frozenset()) for one in node.all_input_nodes))
        if node.op == "placeholder":
            sources = frozenset({-1})
        name = names.get(traced.root.get_submodule(str(node.target))) if node.op == "call_module" else None
        place = None if name is None else places.get(name)
        if place is not None:
            found[place] |= sources
            sources = frozenset({place})
        before[node] = sources
    return [sorted(one) for one in found]


def _wired(model: nn.Module, dataset: Dataset, masks: Mapping[str, Tensor]) -> dict[str, Any] | None:
    """Connections from each number of the input; None where they cannot be told."""
    shape = tuple(dataset.spec.input_shape)
    total = connections_from_input(model, shape, masks)
    if total is None:
        return None
    if dataset.spec.kind == "image" and len(shape) == 3:
        return {"picture": png(shades(total.sum(dim=0).numpy())), "wired": int((total.sum(dim=0) > 0).sum())}
    preprocess = dataset.preprocess
    if not isinstance(preprocess, TablePreprocess) or len(preprocess.features) != len(total):
        return None
    columns: dict[str, int] = {}
    for feature, column in zip(total.tolist(), _column_of(preprocess), strict=True):
        columns[column] = columns.get(column, 0) + round(feature)
    return {"columns": columns, "wired": sum(count > 0 for count in columns.values())}


def _column_of(preprocess: TablePreprocess) -> list[str]:
    """Name of the column that each feature is made of, in the order of ``features``."""
    columns = preprocess.columns
    values = [column.name for column in columns if not column.one_hot]
    missing = [column.name for column in columns if column.indicator]
    return [*values, *missing, *(column.name for column in columns for _ in range(column.one_hot))]
