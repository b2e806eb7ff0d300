"""Residual networks (He et al., arXiv 1512.03385): stages of equal resolution made of residual blocks."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, TypedDict, final

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from torch import nn

from steerage.data.dataset import TaskSpec
from steerage.nn.activations import activation
from steerage.nn.blocks import classifier, conv_block
from steerage.nn.residual import PaddedResidual, Residual, basic_body, bottleneck_body
from steerage.space import Space, Value, Values
from steerage.templates.recipe_genes import recipe_genes, residual_recipe
from steerage.templates.template import LayerShape, Template, dense_shapes, strided

MAX_STAGES = 4
MAX_BLOCKS = 24  # in a stage; ResNet-101 has 23
MIN_HIDDEN = 16
BOTTLENECK = 4  # channels that a bottleneck returns, over those of its middle
LARGE = 64  # pixels across from which on the stem may quarter the image
IMAGENET: Mapping[str, tuple[str, tuple[int, ...]]] = MappingProxyType(
    {
        "resnet18": ("basic", (2, 2, 2, 2)),
        "resnet34": ("basic", (3, 4, 6, 3)),
        "resnet50": ("bottleneck", (3, 4, 6, 3)),
        "resnet101": ("bottleneck", (3, 4, 23, 3)),
    }
)  # table 1
CIFAR = (20, 32, 44, 56, 110)  # layers of the networks of section 4.2
SMALL: Values = MappingProxyType({"stem": "small", "width": 16, "shortcut": "pad"})  # what they have in common


@final
class ResNet(Template):
    """Genes of the stages: stages, blocks0 to blocks3, width, growth, block, kernel, shortcut, squeeze, activation.

    Genes of what is before and behind them: stem, hidden_layers, hidden, dropout.
    """

    name = "resnet"

    def accepts(self, spec: TaskSpec) -> bool:
        """Images."""
        return spec.kind == "image" and len(spec.input_shape) == 3

    def space(self, spec: TaskSpec) -> Space:
        """Stage s has ``blocks{s}`` blocks of ``width * growth**s`` channels, bottlenecks four times as many outside.

        Every stage but the first halves the image. ``stem``: "small" is a 3 x 3 convolution, "large", for images of 64
        pixels and more, a 7 x 7 one and a pooling that quarter it. ``shortcut``: what leads around blocks that change
        the shape.
        """
        genes: dict[str, BaseDistribution] = {}
        if _is_large(spec):
            genes["stem"] = CategoricalDistribution(("small", "large"))
        genes["stages"] = IntDistribution(*stage_range(spec))
        genes |= {f"blocks{stage}": IntDistribution(1, MAX_BLOCKS, log=True) for stage in range(stage_range(spec)[1])}
        genes |= {
            "width": IntDistribution(8, 64, log=True),
            "growth": FloatDistribution(1.0, 2.0, step=0.5),
            "block": CategoricalDistribution(("basic", "bottleneck")),
            "kernel": IntDistribution(3, 5, step=2),
            "shortcut": CategoricalDistribution(("projection", "pad")),
            "squeeze": CategoricalDistribution((False, True)),
            "activation": CategoricalDistribution(("relu", "silu", "hardswish")),
            "hidden_layers": IntDistribution(0, 2),
            "hidden": IntDistribution(MIN_HIDDEN, 256, log=True),
            "dropout": FloatDistribution(0.0, 0.3, step=0.1),
        }
        return Space({**genes, **recipe_genes(spec)}, lambda values: _canonical(values, spec))

    def build(self, values: Values, spec: TaskSpec) -> nn.Module:
        """Modules ``features``, the stem and one child per block, and ``head``."""
        blocks, kind = _plan(values, spec), str(values["activation"])
        stem, width = _stem(values), int(values["width"])
        features: OrderedDict[str, nn.Module] = OrderedDict()
        features["stem"] = conv_block(
            spec.input_shape[0], width, kernel=stem.kernel, stride=stem.stride, activation=kind
        )
        if stem.pooled:
            features["stem_pool"] = nn.MaxPool2d(3, 2, 1)
        for block in blocks:
            parts = OrderedDict(sum=_sum(block, values), activation=activation(kind))
            features[block.name] = nn.Sequential(parts)
        head = classifier(
            blocks[-1].outputs,
            spec.outputs,
            hidden=_hidden(values),
            activation=kind,
            dropout=float(values["dropout"]),
        )
        return nn.Sequential(OrderedDict(features=nn.Sequential(features), head=head))

    def layers(self, values: Values, spec: TaskSpec) -> Sequence[LayerShape]:
        """Layers of ``build``, in order."""
        blocks, stem, width = _plan(values, spec), _stem(values), int(values["width"])
        area = int(values["kernel"]) ** 2
        pixels = math.prod(strided(spec.input_shape[1:], stem.stride))
        layers = [LayerShape(spec.input_shape[0] * width * stem.kernel**2, width, pixels)]
        for block in blocks:
            if values["block"] == "bottleneck":
                layers.append(LayerShape(block.inputs * block.width, block.width, block.pixels_before))
                layers.append(LayerShape(block.width**2 * area, block.width, block.pixels))
                layers.append(LayerShape(block.width * block.outputs, block.outputs, block.pixels))
            else:
                layers.append(LayerShape(block.inputs * block.outputs * area, block.outputs, block.pixels))
                layers.append(LayerShape(block.outputs**2 * area, block.outputs, block.pixels))
            if values["squeeze"]:
                layers += dense_shapes(block.outputs, _reduced(block.outputs), block.outputs)
            if block.changes and values["shortcut"] == "projection":
                layers.append(LayerShape(block.inputs * block.outputs, block.outputs, block.pixels))
        return [*layers, *dense_shapes(blocks[-1].outputs, *_hidden(values), spec.outputs)]

    def depth(self, values: Values) -> int:
        """The stem, the body of each block, and the layers of the head; shortcuts and gates are beside the way."""
        blocks = sum(int(values[f"blocks{stage}"]) for stage in range(int(values["stages"])))
        return 2 + blocks * (3 if values["block"] == "bottleneck" else 2) + int(values["hidden_layers"])

    def named(self, spec: TaskSpec) -> Mapping[str, Values]:
        """The published networks that have as many stages as the image allows.

        ResNet-18 to ResNet-101 of ImageNet, with a 3 x 3 stem on small images, as is usual on CIFAR; ResNet-20 to
        ResNet-110 of CIFAR, whose shortcuts have no parameters.
        """
        stages, found = stage_range(spec)[1], dict[str, Values]()
        for name, (block, blocks) in IMAGENET.items():
            if len(blocks) <= stages:
                found[name] = self._point(blocks, {"block": block, "width": 64}, spec)
        for depth in CIFAR if stages >= 3 else ():
            found[f"resnet{depth}"] = self._point(3 * ((depth - 2) // 6,), SMALL, spec)
        return MappingProxyType(found)

    def baseline(self, spec: TaskSpec) -> Values:
        """ResNet-18 for large images and ResNet-20 for small ones, with fewer stages for tiny ones."""
        if _is_large(spec):
            return self.named(spec)["resnet18"]
        return self._point(min(3, stage_range(spec)[1]) * (3,), SMALL, spec)

    def starts(self, spec: TaskSpec) -> Sequence[Values]:
        """One block a stage; two; two, half as wide and with squeeze-and-excitation; one to three, twice as wide."""
        stages = min(4 if _is_large(spec) else 3, stage_range(spec)[1])
        plain: dict[str, Value] = {"shortcut": "pad", "width": 16}
        changes: tuple[tuple[int, dict[str, Value]], ...] = (
            (1, {}),
            (2, {}),
            (2, {"width": 8, "squeeze": True}),
            (1, {"width": 32}),
            (2, {"width": 32}),
            (3, {"width": 32}),
        )
        return tuple(self._point(stages * (blocks,), plain | change, spec) for blocks, change in changes)

    def defaults(self, spec: TaskSpec) -> dict[str, Value]:
        """Muon, whose short trainings of such networks are better by far than those of AdamW and SGD."""
        return {**super().defaults(spec), **residual_recipe(spec), "optimizer": "muon"}

    def _point(self, blocks: Sequence[int], genes: Values, spec: TaskSpec) -> Values:
        """Canonical point with ``blocks`` in each stage, the ``genes`` given, and the others as in table 1."""
        values: dict[str, Value] = {"stem": "large", "stages": len(blocks), "growth": 2.0, "block": "basic"}
        values |= {f"blocks{stage}": blocks[stage] if stage < len(blocks) else 1 for stage in range(MAX_STAGES)}
        values |= {"kernel": 3, "shortcut": "projection", "squeeze": False, "activation": "relu"}
        values |= {"hidden_layers": 0, "hidden": MIN_HIDDEN, "dropout": 0.0}
        return self.space(spec).normalize({**values, **residual_recipe(spec), **genes})


def stage_range(spec: TaskSpec) -> tuple[int, int]:
    """Fewest and most stages: two to four; fewer where the image cannot be halved as often."""
    most = min(MAX_STAGES, 1 + int(math.log2(min(spec.input_shape[1:]))))
    return min(2, most), most


def _is_large(spec: TaskSpec) -> bool:
    """Whether the stem may quarter the image."""
    return min(spec.input_shape[1:]) >= LARGE


class _Stem(NamedTuple):
    kernel: int
    stride: int
    pooled: bool


def _stem(values: Values) -> _Stem:
    """What comes before the first stage; small images have no gene for it."""
    return _Stem(7, 2, True) if values.get("stem") == "large" else _Stem(3, 1, False)


class _Block(NamedTuple):
    """One residual block; ``width`` is that of its k x k convolution, ``pixels_before`` those of its input."""

    name: str
    inputs: int
    width: int
    outputs: int
    stride: int
    pixels_before: int
    pixels: int  # of its output

    @property
    def changes(self) -> bool:
        """Whether input and output differ in shape, so that an identity cannot be its shortcut."""
        return self.stride > 1 or self.inputs != self.outputs


def _plan(values: Values, spec: TaskSpec) -> list[_Block]:
    """Residual blocks in order."""
    stem, inputs, plan = _stem(values), int(values["width"]), []
    sides = strided(strided(spec.input_shape[1:], stem.stride), 2 if stem.pooled else 1)
    for stage in range(int(values["stages"])):
        width = round(int(values["width"]) * float(values["growth"]) ** stage)
        outputs = width * (BOTTLENECK if values["block"] == "bottleneck" else 1)
        for block in range(int(values[f"blocks{stage}"])):
            stride = 2 if stage > 0 and block == 0 else 1
            before, sides = sides, strided(sides, stride)
            name = f"stage{stage}_block{block}"
            plan.append(_Block(name, inputs, width, outputs, stride, math.prod(before), math.prod(sides)))
            inputs = outputs
    return plan


class _Body(TypedDict):
    """What the bodies of both kinds are asked for."""

    kernel: int
    stride: int
    activation: str
    squeeze: int
    carried: int | None


def _sum(block: _Block, values: Values) -> nn.Module:
    """Body and shortcut of a block."""
    padded = block.changes and values["shortcut"] == "pad"
    settings = _Body(
        kernel=int(values["kernel"]),
        stride=block.stride,
        activation=str(values["activation"]),
        squeeze=_reduced(block.outputs) if values["squeeze"] else 0,
        carried=block.inputs if padded else None,
    )
    if values["block"] == "bottleneck":
        body = bottleneck_body(block.inputs, block.width, block.outputs, **settings)
    else:
        body = basic_body(block.inputs, block.outputs, **settings)
    if padded:
        return PaddedResidual(body, block.stride)
    if not block.changes:
        return Residual(body)
    return Residual(body, conv_block(block.inputs, block.outputs, kernel=1, stride=block.stride, activation=None))


def _reduced(channels: int) -> int:
    """Hidden units of a squeeze-and-excitation: a sixteenth of the channels (arXiv 1709.01507), at least four."""
    return max(4, channels // 16)


def _hidden(values: Values) -> tuple[int, ...]:
    """Units of the classifier's hidden layers."""
    return int(values["hidden_layers"]) * (int(values["hidden"]),)


def _canonical(values: Values, spec: TaskSpec) -> Values:
    """Fix the genes that do nothing beside the others."""
    point = dict(values)
    for stage in range(int(point["stages"]), stage_range(spec)[1]):
        point[f"blocks{stage}"] = 1
    if point["stages"] == 1:
        point["growth"] = 1.0
    if point["hidden_layers"] == 0:
        point["hidden"] = MIN_HIDDEN
    if not any(block.changes for block in _plan(point, spec)):
        point["shortcut"] = "projection"
    return point
