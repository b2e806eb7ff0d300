"""Stages of equal resolution and a head, for images and signals: what plain convolutional templates have in common."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from torch import nn

from steerage.data.dataset import TaskSpec
from steerage.nn.blocks import classifier, conv_block, pooling
from steerage.nn.residual import Residual
from steerage.space import Space, Values
from steerage.templates.template import LayerShape, dense_shapes, strided

MIN_HIDDEN = 16


class Block(NamedTuple):
    """One module of the feature part: a convolution block, or a pooling where ``outputs`` is 0."""

    name: str
    inputs: int
    outputs: int
    stride: int = 1
    separable: bool = False
    residual: bool = False
    pixels: int = 0  # of its output


def genes(least: int, most: int, *, channels: int, kernel: int) -> dict[str, BaseDistribution]:
    """Genes of ``least`` to ``most`` stages with up to so many ``channels`` in the first, and of a head.

    ``kernel``: the largest size of a kernel, odd.
    """
    return {
        "stages": IntDistribution(least, most),
        "channels": IntDistribution(8, channels, log=True),
        "growth": FloatDistribution(1.0, 2.0, step=0.5),
        "blocks": IntDistribution(1, 3),
        "kernel": IntDistribution(3, kernel, step=2),
        "separable": CategoricalDistribution((False, True)),
        "residual": CategoricalDistribution((False, True)),
        "activation": CategoricalDistribution(("relu", "silu", "hardswish")),
        "pooling": CategoricalDistribution(("max", "stride", "avg")),
        "head": CategoricalDistribution(("gap", "flatten", "hidden")),
        "hidden": IntDistribution(MIN_HIDDEN, 256, log=True),
        "dropout": FloatDistribution(0.0, 0.3, step=0.1),
    }


def plan(values: Values, spec: TaskSpec) -> tuple[list[Block], tuple[int, ...]]:
    """Modules of the feature part in order, and the shape (channels, *sides) of what they return.

    Genes: stages, blocks, channels, growth, separable, residual, pooling, head; and ``stem``, the stride of the first
    convolution, where there is one.
    """
    inputs, *sides = spec.input_shape
    stages, blocks, stem = int(values["stages"]), int(values["blocks"]), int(values.get("stem", 1))
    by_stride, flat = values["pooling"] == "stride", values["head"] != "gap"
    sides = [*strided(sides, stem)]
    modules = []
    for stage in range(stages):
        outputs = round(int(values["channels"]) * float(values["growth"]) ** stage)
        # A flattening head is dear, so its stages all end halved; a global average reads the last stage as it is.
        halved = (flat or (stage > 0 if by_stride else stage < stages - 1)) and min(sides) >= 2
        if halved and by_stride:
            sides = [*strided(sides, 2)]
        for block in range(blocks):
            first = stage == block == 0  # reads raw values: nothing to separate
            stride = (2 if by_stride and halved and block == 0 else 1) * (stem if first else 1)
            residual = bool(values["residual"]) and stride == 1 and inputs == outputs and not first
            separable = bool(values["separable"]) and not first
            name = f"stage{stage}_block{block}"
            modules.append(Block(name, inputs, outputs, stride, separable, residual, math.prod(sides)))
            inputs = outputs
        if halved and not by_stride:
            sides = [side // 2 for side in sides]
            modules.append(Block(f"stage{stage}_pool", inputs, 0))
    return modules, (inputs, *sides)


def build(values: Values, spec: TaskSpec) -> nn.Module:
    """Modules ``features``, one child per block or pooling, and ``head``."""
    blocks, shape = plan(values, spec)
    dims = len(shape) - 1
    features: OrderedDict[str, nn.Module] = OrderedDict()
    for block in blocks:
        features[block.name] = _module(block, values, dims)
    head = classifier(
        _read(values, shape),
        spec.outputs,
        pooled=values["head"] == "gap",
        hidden=_hidden(values),
        activation=str(values["activation"]),
        dropout=float(values["dropout"]),
        dims=dims,
    )
    return nn.Sequential(OrderedDict(features=nn.Sequential(features), head=head))


def layers(values: Values, spec: TaskSpec) -> Sequence[LayerShape]:
    """Layers of ``build``, in order."""
    blocks, shape = plan(values, spec)
    area, found = int(values["kernel"]) ** (len(shape) - 1), []
    for block in blocks:
        if block.separable:
            found.append(LayerShape(block.inputs * area, block.inputs, block.pixels))
        if block.outputs:
            weights = block.inputs * block.outputs * (1 if block.separable else area)
            found.append(LayerShape(weights, block.outputs, block.pixels))
    return [*found, *dense_shapes(_read(values, shape), *_hidden(values), spec.outputs)]


def depth(values: Values) -> int:
    """Convolutions, two where they are separable, and the layers of the head."""
    convolutions = int(values["stages"]) * int(values["blocks"])
    return convolutions + (convolutions - 1) * bool(values["separable"]) + 1 + (values["head"] == "hidden")


def narrower(values: Values, space: Space) -> list[Values]:
    """Points of ``space`` with fewer channels in the first stage, or less growth, or both."""
    channels, growth = space.distributions["channels"], space.distributions["growth"]
    assert isinstance(channels, IntDistribution) and isinstance(growth, FloatDistribution)
    growths = [one for one in (1.0, 1.5, 2.0) if growth.low <= one <= float(values["growth"])]
    widths = range(channels.low, int(values["channels"]) + 1)
    points = [space.normalize({**values, "channels": width, "growth": one}) for width in widths for one in growths]
    return [point for point in points if space.key(point) != space.key(values)]


def canonical(values: Values, spec: TaskSpec) -> Values:
    """Fix the genes that do nothing beside the others."""
    point = dict(values)
    if point["head"] != "hidden":
        point["hidden"] = MIN_HIDDEN
    if point["stages"] == 1:
        point["growth"] = 1.0
    if point["blocks"] == point["stages"] == 1:
        point["separable"] = False  # the first block never is
    if point["residual"] and point["blocks"] == 1 and not any(block.residual for block in plan(point, spec)[0]):
        point["residual"] = False
    side = min(strided(spec.input_shape[1:], int(point.get("stem", 1))))
    if side < 2 or (point["stages"] == 1 and point["head"] == "gap"):
        point["pooling"] = "max"  # nothing is halved
    return point


def _module(block: Block, values: Values, dims: int) -> nn.Module:
    """Module of one entry of the plan."""
    if block.outputs == 0:
        return pooling(str(values["pooling"]), dims=dims)
    module = conv_block(
        block.inputs,
        block.outputs,
        kernel=int(values["kernel"]),
        stride=block.stride,
        activation=str(values["activation"]),
        separable=block.separable,
        dims=dims,
    )
    return Residual(module) if block.residual else module


def _read(values: Values, shape: tuple[int, ...]) -> int:
    """Numbers that the first linear layer of the head reads, of features of ``shape``."""
    return shape[0] if values["head"] == "gap" else math.prod(shape)


def _hidden(values: Values) -> tuple[int, ...]:
    """Units of the head's hidden layer, if it has one."""
    return (int(values["hidden"]),) if values["head"] == "hidden" else ()
