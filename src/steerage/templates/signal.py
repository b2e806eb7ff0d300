"""Convolutional networks in one dimension, for signals: stages of equal resolution in time, then a head."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

from optuna.distributions import CategoricalDistribution
from torch import nn

from steerage.data.dataset import TaskSpec
from steerage.space import Space, Value, Values
from steerage.templates import stages
from steerage.templates.recipe_genes import plain_recipe, recipe_genes
from steerage.templates.template import LayerShape, Template

LONG = 64  # steps, from which the first convolution may leave some out


@final
class Signal(Template):
    """Genes of the stages: stem, stages, channels, growth, blocks, kernel, separable, residual, activation, pooling.

    Genes of the head: head, hidden, dropout.
    """

    name = "signal"

    def accepts(self, spec: TaskSpec) -> bool:
        """Signals."""
        return spec.kind == "signal" and len(spec.input_shape) == 2

    def space(self, spec: TaskSpec) -> Space:
        """Stage s has ``channels * growth**s`` channels; ``stem`` is the stride of the first convolution."""
        genes = stages.genes(*stage_range(spec), channels=64, kernel=9)
        if spec.input_shape[1] >= LONG:
            genes["stem"] = CategoricalDistribution((1, 2, 4))
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
        """Double the channels at each halving, kernels of 5, max pooling, a global average."""
        return self._point(spec, {"channels": 32, "dropout": 0.1} | plain_recipe(spec))

    def starts(self, spec: TaskSpec) -> Sequence[Values]:
        """Two blocks a stage; narrower with long kernels; a flattening head on one block a stage; separable blocks."""
        quick: dict[str, Value] = {"lr": 1.2e-2, "weight_decay": 1e-2}
        changes: tuple[dict[str, Value], ...] = (
            {"blocks": 2, "channels": 16},
            {"channels": 16, "kernel": 9},
            {"channels": 16, "head": "flatten", "dropout": 0.2},
            {"blocks": 2, "channels": 24, "separable": True, "growth": 1.5},
        )
        return tuple(self._point(spec, {**plain_recipe(spec), **quick, **change}) for change in changes)

    def _point(self, spec: TaskSpec, changes: Values) -> Values:
        low, high = stage_range(spec)
        values: dict[str, Value] = {"stages": max(low, min(3, high)), "channels": 16, "growth": 2.0, "blocks": 1}
        values |= {"kernel": 5, "separable": False, "residual": False, "activation": "relu", "pooling": "max"}
        values |= {"head": "gap", "hidden": stages.MIN_HIDDEN, "dropout": 0.1}
        if spec.input_shape[1] >= LONG:
            values["stem"] = 1 if spec.input_shape[1] < 4 * LONG else 2
        return self.space(spec).normalize(values | dict(changes))


def stage_range(spec: TaskSpec) -> tuple[int, int]:
    """Fewest and most stages: two to five, fewer for short signals."""
    most = max(1, min(5, int(math.log2(spec.input_shape[1])) - 1))
    return min(2, most), most
