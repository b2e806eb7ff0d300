"""Networks of inverted residuals (Sandler et al., arXiv 1801.04381), for little arithmetic."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, final

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from torch import nn

from steerage.data.dataset import TaskSpec
from steerage.nn.blocks import classifier, conv_block
from steerage.nn.residual import Residual, inverted_body
from steerage.space import Space, Value, Values
from steerage.templates.recipe_genes import recipe_genes, residual_recipe
from steerage.templates.template import LayerShape, Template, dense_shapes, strided

# Table 2 of the paper: channels and blocks of each stage, and those whose first block halves the image.
STEM = 32
CHANNELS = (16, 24, 32, 64, 96, 160, 320)
BLOCKS = (1, 2, 3, 4, 3, 3, 1)
HALVING = (1, 2, 3, 5)
MAX_BLOCKS = 4
SMALLEST = 4  # pixels across that the published network is made to end with, as near as halving allows


@final
class Mobile(Template):
    """Genes: halvings, stages, blocks0 to blocks6, width, expansion, kernel, squeeze, activation, last, dropout."""

    name = "mobile"

    def accepts(self, spec: TaskSpec) -> bool:
        """Images."""
        return spec.kind == "image" and len(spec.input_shape) == 3

    def space(self, spec: TaskSpec) -> Space:
        """The first ``stages`` stages of MobileNetV2, ``width`` times as wide; stage s has ``blocks{s}`` blocks.

        ``halvings``: how often the image is halved, by the stem and at the start of stages 1, 2, 3 and 5; with fewer
        halvings than places the first ones keep the size. ``last``: channels of the 1 x 1 convolution at the end.
        """
        genes: dict[str, BaseDistribution] = {
            "halvings": IntDistribution(*halving_range(spec)),
            "stages": IntDistribution(2, len(CHANNELS)),
        }
        genes |= {f"blocks{stage}": IntDistribution(1, MAX_BLOCKS) for stage in range(len(CHANNELS))}
        genes |= {
            "width": FloatDistribution(0.25, 1.5, step=0.25),
            "expansion": IntDistribution(1, 6),
            "kernel": IntDistribution(3, 7, step=2),
            "squeeze": CategoricalDistribution((False, True)),
            "activation": CategoricalDistribution(("relu6", "relu", "hardswish")),
            "last": IntDistribution(32, 1280, log=True),
            "dropout": FloatDistribution(0.0, 0.3, step=0.1),
        }
        return Space({**genes, **recipe_genes(spec)}, lambda values: _canonical(values, spec))

    def build(self, values: Values, spec: TaskSpec) -> nn.Module:
        """Modules ``features``, the stem, one child per block and the last convolution, and ``head``."""
        stem, blocks = _plan(values, spec)
        kind, last = str(values["activation"]), int(values["last"])
        features: OrderedDict[str, nn.Module] = OrderedDict()
        features["stem"] = conv_block(spec.input_shape[0], stem.channels, stride=stem.stride, activation=kind)
        for block in blocks:
            body = inverted_body(
                block.inputs,
                block.expanded,
                block.outputs,
                kernel=int(values["kernel"]),
                stride=block.stride,
                activation=kind,
                squeeze=_reduced(block.expanded) if values["squeeze"] else 0,
            )
            features[block.name] = Residual(body) if block.stride == 1 and block.inputs == block.outputs else body
        features["last"] = conv_block(blocks[-1].outputs, last, kernel=1, activation=kind)
        head = classifier(last, spec.outputs, dropout=float(values["dropout"]))
        return nn.Sequential(OrderedDict(features=nn.Sequential(features), head=head))

    def layers(self, values: Values, spec: TaskSpec) -> Sequence[LayerShape]:
        """Layers of ``build``, in order."""
        stem, blocks = _plan(values, spec)
        area, last = int(values["kernel"]) ** 2, int(values["last"])
        layers = [LayerShape(spec.input_shape[0] * stem.channels * 9, stem.channels, stem.pixels)]
        for block in blocks:
            if block.expanded != block.inputs:
                layers.append(LayerShape(block.inputs * block.expanded, block.expanded, block.pixels_before))
            layers.append(LayerShape(block.expanded * area, block.expanded, block.pixels))
            if values["squeeze"]:
                layers += dense_shapes(block.expanded, _reduced(block.expanded), block.expanded)
            layers.append(LayerShape(block.expanded * block.outputs, block.outputs, block.pixels))
        layers.append(LayerShape(blocks[-1].outputs * last, last, blocks[-1].pixels))
        return [*layers, *dense_shapes(last, spec.outputs)]

    def depth(self, values: Values) -> int:
        """The stem, three layers a block (two in the first stage, which does not expand), the last two."""
        blocks = [int(values[f"blocks{stage}"]) for stage in range(int(values["stages"]))]
        return 3 + 2 * sum(blocks) + (sum(blocks[1:]) if int(values["expansion"]) > 1 else 0)

    def named(self, spec: TaskSpec) -> Mapping[str, Values]:
        """MobileNetV2; images of less than 91 pixels are halved less often, three times where they have 32."""
        return MappingProxyType({"mobilenetv2": self._point({}, spec)})

    def baseline(self, spec: TaskSpec) -> Values:
        """MobileNetV2, half as wide and without its last two stages for images that are halved less often."""
        if self.named(spec)["mobilenetv2"]["halvings"] == 1 + len(HALVING):
            return self.named(spec)["mobilenetv2"]
        return self._point({"stages": 5, "width": 0.5, "last": 320}, spec)

    def starts(self, spec: TaskSpec) -> Sequence[Values]:
        """Four stages of up to two blocks; half as wide; with squeeze-and-excitation; a stage more and 5 x 5."""
        first: dict[str, Value] = {"stages": 4, "width": 0.5, "expansion": 4, "last": 128, "dropout": 0.1}
        first |= {"blocks2": 2, "blocks3": 2, "blocks4": 2}
        changes: tuple[dict[str, Value], ...] = (
            {},
            {"width": 0.25},
            {"squeeze": True, "activation": "hardswish"},
            {"stages": 5, "kernel": 5},
        )
        return tuple(self._point(first | change, spec) for change in changes)

    def defaults(self, spec: TaskSpec) -> dict[str, Value]:
        """Muon, whose short trainings of such networks are better by far than those of AdamW and SGD."""
        return {**super().defaults(spec), **residual_recipe(spec), "optimizer": "muon"}

    def _point(self, genes: Values, spec: TaskSpec) -> Values:
        """Canonical point with the ``genes`` given, and the others as the paper has them."""
        low, high = halving_range(spec)
        halvings = min(high, max(low, round(math.log2(min(spec.input_shape[1:]) / SMALLEST))))
        values: dict[str, Value] = {"halvings": halvings, "stages": len(CHANNELS), "width": 1.0, "expansion": 6}
        values |= {f"blocks{stage}": blocks for stage, blocks in enumerate(BLOCKS)}
        values |= {"kernel": 3, "squeeze": False, "activation": "relu6", "last": 1280, "dropout": 0.2}
        return self.space(spec).normalize({**values, **residual_recipe(spec), **genes})


def halving_range(spec: TaskSpec) -> tuple[int, int]:
    """Fewest and most halvings: as many as end at 32 pixels or less, one at least; five, or what the image allows."""
    side = min(spec.input_shape[1:])
    most = min(1 + len(HALVING), int(math.log2(side)))
    return min(most, max(1, math.ceil(math.log2(side / 32)))), most


class _Stem(NamedTuple):
    channels: int
    stride: int
    pixels: int  # of its output


class _Block(NamedTuple):
    """One inverted residual; ``pixels_before`` are those of its input."""

    name: str
    inputs: int
    expanded: int
    outputs: int
    stride: int
    pixels_before: int
    pixels: int  # of its output


def _plan(values: Values, spec: TaskSpec) -> tuple[_Stem, list[_Block]]:
    """The stem, and the blocks in order."""
    stages, width = int(values["stages"]), float(values["width"])
    places = _places(stages)
    halved = places[len(places) - min(int(values["halvings"]), len(places)) :]
    inputs, stride = _rounded(STEM * width), 2 if -1 in halved else 1
    sides = strided(spec.input_shape[1:], stride)
    stem, blocks = _Stem(inputs, stride, math.prod(sides)), []
    for stage in range(stages):
        outputs = _rounded(CHANNELS[stage] * width)
        for block in range(int(values[f"blocks{stage}"])):
            stride = 2 if stage in halved and block == 0 else 1
            before, sides = sides, strided(sides, stride)
            expanded = inputs * (int(values["expansion"]) if stage > 0 else 1)
            name = f"stage{stage}_block{block}"
            blocks.append(_Block(name, inputs, expanded, outputs, stride, math.prod(before), math.prod(sides)))
            inputs = outputs
    return stem, blocks


def _places(stages: int) -> tuple[int, ...]:
    """Where a network of so many stages can halve the image: -1 for the stem, or a stage."""
    return (-1, *(stage for stage in HALVING if stage < stages))


def _rounded(channels: float) -> int:
    """The multiple of eight nearest to ``channels``, the next one if that is less than nine tenths: as published."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8


def _reduced(channels: int) -> int:
    """Hidden units of a squeeze-and-excitation: a quarter of the channels (arXiv 1905.02244), rounded likewise."""
    return _rounded(channels / 4)


def _canonical(values: Values, spec: TaskSpec) -> Values:
    """Fix the genes that do nothing beside the others."""
    point = dict(values)
    stages = int(point["stages"])
    for stage in range(stages, len(CHANNELS)):
        point[f"blocks{stage}"] = 1
    point["halvings"] = max(halving_range(spec)[0], min(int(point["halvings"]), len(_places(stages))))
    return point
