"""Estimated instructions of a layer on a Cortex-M4F, by which the fastest way of storing it is chosen.

The numbers were measured in QEMU, layer by layer, with the compiler that ``code_bytes.json`` names. They compare ways
of storing one layer; what a network as a whole takes is measured by ``steerage verify``.
"""

from __future__ import annotations

from collections.abc import Mapping

from steerage.micro.ir import Linear
from steerage.micro.storage import Format, Layer, Stored

# Of a linear layer: per place whether there is a weight or not, per weight, per output.
LINEAR: Mapping[Format, tuple[float, float, float]] = {
    "dense": (3.0, 0.0, 2.5),
    "index8": (0.0, 7.0, 6.0),
    "index16": (0.0, 7.0, 6.0),
    "delta": (0.0, 9.0, 10.0),
    "bitmap": (1.6, 12.0, 18.0),
    "unrolled": (0.0, 3.0, 3.0),
}
# Of a row of pixels that are computed together: per place, per weight, without what each pixel takes: a load, a
# multiplication with an addition.
CONV: Mapping[Format, tuple[float, float]] = {
    "dense": (6.0, 0.0),
    "index8": (0.0, 5.5),
    "index16": (0.0, 5.5),
    "delta": (0.0, 8.5),
    "bitmap": (7.0, 2.0),
}
PIXEL = 2.0
# The same of integers; an output is brought into its steps.
WHOLE_LINEAR: Mapping[Format, tuple[float, float, float]] = {
    "dense": (3.0, 0.0, 31.0),
    "index8": (0.0, 6.0, 32.0),
    "index16": (0.0, 6.0, 32.0),
    "delta": (0.0, 9.0, 40.0),
    "bitmap": (2.0, 9.0, 31.0),
    "unrolled": (0.0, 3.5, 4.0),
}
WHOLE_CONV: Mapping[Format, tuple[float, float]] = {
    "dense": (8.0, 0.0),
    "index8": (0.0, 4.5),
    "index16": (0.0, 4.5),
    "delta": (0.0, 7.5),
    "bitmap": (17.0, 0.0),
}
WHOLE_PIXEL = 2.5


def instructions(layer: Layer, how: Stored) -> float:
    """Of one row of the data set."""
    places, active = layer.weights.values.numel(), int(layer.weights.active.sum())
    whole = layer.output.dtype != "float32"
    if isinstance(layer, Linear):
        per_place, per_weight, per_output = (WHOLE_LINEAR if whole else LINEAR)[how.format]
        return per_place * places + per_weight * active + per_output * layer.weights.shape[0]
    per_place, per_weight = (WHOLE_CONV if whole else CONV)[how.format]
    pixel = WHOLE_PIXEL if whole else PIXEL
    computed = places if how.format == "dense" else active
    blocks = layer.computed[0] * -(-layer.computed[1] // how.block)
    return blocks * (per_place * places + per_weight * active + pixel * how.block * computed)
