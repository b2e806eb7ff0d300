"""Plain convolutional networks: stages of equal resolution, then a head."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

from torch import nn

from steerage.data.dataset import TaskSpec
from steerage.space import Space, Value, Values
from steerage.templates import stages
from steerage.templates.recipe_genes import plain_recipe, recipe_genes
from steerage.templates.template import LayerShape, Template


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
        genes = stages.genes(*stage_range(spec), channels=48, kernel=5)
        return Space({**genes, **recipe_genes(spec)}, lambda values: stages.canonical(values, spec))

    def build(self, values: Values, spec: TaskSpec) -> nn.Module:
        """Modules ``features``, one child per block or pooling, and ``head``."""
        return stages.build(values, spec)

    def depth(self, values: Values) -> int:
        """Convolutions, two where they are separable, and the layers of the head."""
        return stages.depth(values)

    def narrower(self, values: Values, spec: TaskSpec) -> Sequence[Values]:
        """Fewer channels in the first stage, less growth from stage to stage, or both."""
        return stages.narrower(values, self.space(spec))

    def layers(self, values: Values, spec: TaskSpec) -> Sequence[LayerShape]:
        """Layers of ``build``, in order."""
        return stages.layers(values, spec)

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
        wanted = 3 if min(spec.input_shape[1:]) >= 28 else 2
        first: dict[str, Value] = {"stages": min(high, max(low, wanted)), "channels": 16, "growth": 2.0, "blocks": 2}
        first |= {"kernel": 3, "separable": False, "residual": False, "activation": "relu", "pooling": "max"}
        first |= {"head": "gap", "hidden": stages.MIN_HIDDEN, "dropout": 0.1}
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
