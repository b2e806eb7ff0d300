"""Plain convolutional networks: stages of equal resolution, then a head."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple, final

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from torch import nn

from steerage.data.dataset import TaskSpec
from steerage.nn.blocks import classifier, conv_block, pooling
from steerage.nn.residual import Residual
from steerage.space import Space, Value, Values
from steerage.templates.recipe_genes import plain_recipe, recipe_genes
from steerage.templates.template import LayerShape, Template, dense_shapes

MIN_HIDDEN = 16


@final
class Cnn(Template):
    """Genes of the stages: stages, channels, growth, blocks, kernel, separable, residual, activation, pooling.

    Genes of the head: head, hidden, dropout.
    """

    name = "cnn"

    def accepts(self, spec: TaskSpec) -> bool:
        """Images."""
        return spec.kind == "image" and len(spec.input_shape) == 3

    def space(self, spec: TaskSpec) -> Space:
        """Stage s has ``channels * growth**s`` channels; the number of stages is bounded by the size of the image."""
        genes: dict[str, BaseDistribution] = {
            "stages": IntDistribution(*stage_range(spec)),
            "channels": IntDistribution(8, 48, log=True),
            "growth": FloatDistribution(1.0, 2.0, step=0.5),
            "blocks": IntDistribution(1, 3),
            "kernel": IntDistribution(3, 5, step=2),
            "separable": CategoricalDistribution((False, True)),
            "residual": CategoricalDistribution((False, True)),
            "activation": CategoricalDistribution(("relu", "silu", "hardswish")),
            "pooling": CategoricalDistribution(("max", "stride", "avg")),
            "head": CategoricalDistribution(("gap", "flatten", "hidden")),
            "hidden": IntDistribution(MIN_HIDDEN, 256, log=True),
            "dropout": FloatDistribution(0.0, 0.3, step=0.1),
        }
        return Space({**genes, **recipe_genes(spec)}, lambda values: _canonical(values, spec))

    def build(self, values: Values, spec: TaskSpec) -> nn.Module:
        """Modules ``features``, one child per block or pooling, and ``head``."""
        plans, shape = _plan(values, spec)
        features: OrderedDict[str, nn.Module] = OrderedDict()
        for plan in plans:
            features[plan.name] = _module(plan, values)
        head = classifier(
            _read(values, shape),
            spec.outputs,
            pooled=values["head"] == "gap",
            hidden=_hidden(values),
            activation=str(values["activation"]),
            dropout=float(values["dropout"]),
        )
        return nn.Sequential(OrderedDict(features=nn.Sequential(features), head=head))

    def depth(self, values: Values) -> int:
        """Convolutions, two where they are separable, and the layers of the head."""
        convolutions = int(values["stages"]) * int(values["blocks"])
        return convolutions + (convolutions - 1) * bool(values["separable"]) + 1 + (values["head"] == "hidden")

    def layers(self, values: Values, spec: TaskSpec) -> Sequence[LayerShape]:
        """Layers of ``build``, in order."""
        plans, shape = _plan(values, spec)
        area, layers = int(values["kernel"]) ** 2, []
        for plan in plans:
            if plan.separable:
                layers.append(LayerShape(plan.inputs * area, plan.inputs, plan.pixels))
            if plan.outputs:
                weights = plan.inputs * plan.outputs * (1 if plan.separable else area)
                layers.append(LayerShape(weights, plan.outputs, plan.pixels))
        return [*layers, *dense_shapes(_read(values, shape), *_hidden(values), spec.outputs)]

    def baseline(self, spec: TaskSpec) -> Values:
        """Double the channels at each halving of the image, 3 x 3 kernels, max pooling, one hidden layer of 128."""
        low, high = stage_range(spec)
        wide = min(spec.input_shape[1:]) >= 32
        values: dict[str, Value] = {"stages": high if wide else max(low, min(2, high)), "channels": 32, "growth": 2.0}
        values |= {"blocks": 2 if wide else 1, "kernel": 3, "separable": False, "residual": False}
        values |= {"activation": "relu", "pooling": "max", "head": "hidden", "hidden": 128, "dropout": 0.2}
        return self.space(spec).normalize(values | plain_recipe(spec))

    def starts(self, spec: TaskSpec) -> Sequence[Values]:
        """Two blocks a stage and a global average; deeper and narrower; half as deep with a flattening head; 5 x 5."""
        low, high = stage_range(spec)
        stages = 3 if min(spec.input_shape[1:]) >= 28 else 2
        first: dict[str, Value] = {"stages": min(high, max(low, stages)), "channels": 16, "growth": 2.0, "blocks": 2}
        first |= {"kernel": 3, "separable": False, "residual": False, "activation": "relu", "pooling": "max"}
        first |= {"head": "gap", "hidden": MIN_HIDDEN, "dropout": 0.1}
        first |= {**plain_recipe(spec), "lr": 1.2e-2, "weight_decay": 1e-2}
        changes: tuple[dict[str, Value], ...] = (
            {},
            {"blocks": 3, "channels": 8},
            {"blocks": 1, "head": "flatten"},
            {"blocks": 1, "head": "flatten", "kernel": 5},
        )
        space = self.space(spec)
        return tuple(space.normalize(first | change) for change in changes)


def stage_range(spec: TaskSpec) -> tuple[int, int]:
    """Fewest and most stages: two or three, up to five for images of 96 pixels and more, fewer for tiny ones."""
    side = min(spec.input_shape[1:])
    most = 3 if side < 48 else 4 if side < 96 else 5
    most = max(1, min(most, int(math.log2(side))))
    return min(2, most), most


class _Block(NamedTuple):
    """One module of the feature part: a convolution block, or a pooling where ``outputs`` is 0."""

    name: str
    inputs: int
    outputs: int
    stride: int = 1
    separable: bool = False
    residual: bool = False
    pixels: int = 0  # of its output


def _plan(values: Values, spec: TaskSpec) -> tuple[list[_Block], tuple[int, int, int]]:
    """Modules of the feature part in order, and the shape (channels, height, width) of what they return."""
    inputs, height, width = spec.input_shape
    stages, blocks = int(values["stages"]), int(values["blocks"])
    strided, flat = values["pooling"] == "stride", values["head"] != "gap"
    plan = []
    for stage in range(stages):
        outputs = round(int(values["channels"]) * float(values["growth"]) ** stage)
        # A flattening head is dear, so its stages all end halved; a global average reads the last stage as it is.
        halved = (flat or (stage > 0 if strided else stage < stages - 1)) and min(height, width) >= 2
        if halved and strided:
            height, width = (height + 1) // 2, (width + 1) // 2
        for block in range(blocks):
            first = stage == block == 0  # reads raw pixels: nothing to separate
            stride = 2 if strided and halved and block == 0 else 1
            residual = bool(values["residual"]) and stride == 1 and inputs == outputs and not first
            separable = bool(values["separable"]) and not first
            name = f"stage{stage}_block{block}"
            plan.append(_Block(name, inputs, outputs, stride, separable, residual, height * width))
            inputs = outputs
        if halved and not strided:
            height, width = height // 2, width // 2
            plan.append(_Block(f"stage{stage}_pool", inputs, 0))
    return plan, (inputs, height, width)


def _module(plan: _Block, values: Values) -> nn.Module:
    """Module of one entry of the plan."""
    if plan.outputs == 0:
        return pooling(str(values["pooling"]))
    block = conv_block(
        plan.inputs,
        plan.outputs,
        kernel=int(values["kernel"]),
        stride=plan.stride,
        activation=str(values["activation"]),
        separable=plan.separable,
    )
    return Residual(block) if plan.residual else block


def _read(values: Values, shape: tuple[int, int, int]) -> int:
    """Numbers that the first linear layer of the head reads, of features of ``shape``."""
    return shape[0] if values["head"] == "gap" else math.prod(shape)


def _hidden(values: Values) -> tuple[int, ...]:
    """Units of the head's hidden layer, if it has one."""
    return (int(values["hidden"]),) if values["head"] == "hidden" else ()


def _canonical(values: Values, spec: TaskSpec) -> Values:
    """Fix the genes that do nothing beside the others."""
    point = dict(values)
    if point["head"] != "hidden":
        point["hidden"] = MIN_HIDDEN
    if point["stages"] == 1:
        point["growth"] = 1.0
    if point["blocks"] == point["stages"] == 1:
        point["separable"] = False  # the first block never is
    if point["residual"] and point["blocks"] == 1 and not any(block.residual for block in _plan(point, spec)[0]):
        point["residual"] = False
    if min(spec.input_shape[1:]) < 2 or (point["stages"] == 1 and point["head"] == "gap"):
        point["pooling"] = "max"  # nothing is halved
    return point
