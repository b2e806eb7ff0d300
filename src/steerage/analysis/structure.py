"""How a network is built: its layers, which reads which, what they cost, and where connections are left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from steerage.analysis.pictures import png, shades, shrunk
from steerage.analysis.wired import wiring
from steerage.cost.count import PRUNABLE
from steerage.cost.layers import layer_uses
from steerage.data.dataset import Dataset
from steerage.data.tabular import TablePreprocess

MOST_MASKS = 24  # layers whose patterns are drawn


def structure(model: nn.Module, dataset: Dataset, masks: Mapping[str, Tensor]) -> dict[str, Any]:
    """The layers of ``model`` in order, and what is wired to its inputs, as JSON takes them.

    ``layers``: ``name``, ``kind``, ``shape`` of the weight, ``weights`` (active), ``dense``, ``macs`` per row,
    ``units``, ``reads`` (places of the layers that it still has connections from, -1 for the input; absent where that
    cannot be told) and ``wires`` (how many from each, as ``wiring`` counts them), and ``mask``, a picture (PNG in
    base64) of its connections with a row per unit. ``inputs``: connections per number of the input, as a picture of the
    image or by name of column.
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
    wired = wiring(model, tuple(dataset.spec.input_shape), masks)
    if wired is None:
        return found
    for name, place in places.items():
        sources = {-1 if source is None else places[source]: n for source, n in wired.reads[name].items()}
        read = sorted(source for source, n in sources.items() if n > 0)
        layers[place] |= {"reads": read, "wires": [round(sources[source], 2) for source in read]}
    if (inputs := _inputs(dataset, wired.inputs)) is not None:
        found["inputs"] = inputs
    return found


def _mask(masks: Mapping[str, Tensor], name: str, weight: Tensor) -> Tensor:
    mask = masks.get(f"{name}.weight" if name else "weight")
    return torch.ones(weight.shape, dtype=torch.bool) if mask is None else mask.detach().cpu()


def _inputs(dataset: Dataset, total: Tensor) -> dict[str, Any] | None:
    """Connections ``total`` from each number of the input, as they can be shown; None where they cannot be."""
    if dataset.spec.kind == "image" and total.ndim == 3:
        return {"picture": png(shades(total.sum(dim=0).numpy())), "wired": int((total.sum(dim=0) > 0).sum())}
    if dataset.spec.kind == "signal" and total.ndim == 2:
        channels = {f"channel {at}": round(n) for at, n in enumerate(total.sum(dim=1).tolist())}
        return {"columns": channels, "wired": sum(n > 0 for n in channels.values())}
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
