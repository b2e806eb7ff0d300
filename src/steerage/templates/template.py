"""What a template is: a search space, a builder, and the settings a practitioner would start from."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple

from torch import nn

from steerage.data.dataset import TaskSpec
from steerage.space import Space, Value, Values
from steerage.templates.recipe_genes import plain_recipe

RECIPE_GENES = frozenset(
    {"optimizer", "lr", "weight_decay", "batch_size", "label_smoothing", "input_noise", "augment", "ema"}
)


class LayerShape(NamedTuple):
    """What a layer costs: entries of its weight, of its bias (batch norms folded in), and calls per input row."""

    weights: int
    biases: int
    positions: int


def dense_shapes(*widths: int) -> list[LayerShape]:
    """Linear layers with biases between neighbouring ``widths``, applied once: inputs first, outputs last."""
    return [LayerShape(inputs * outputs, outputs, 1) for inputs, outputs in pairwise(widths)]


def strided(sides: Sequence[int], stride: int) -> tuple[int, ...]:
    """Height and width after a convolution or pooling that moves by ``stride`` and keeps the size otherwise."""
    return tuple(-(-side // stride) for side in sides)


class Template(ABC):
    """A family of networks. The search asks for ``space``, and calls ``build`` once per candidate.

    A gene named like a recipe setting (``RECIPE_GENES``) sets how the candidate is trained, and ``build`` ignores it;
    any other gene is the template's own. Templates hold no state: what they return depends on the arguments alone.
    """

    name: str

    def accepts(self, spec: TaskSpec) -> bool:
        """Whether the template can build networks for ``spec``."""
        return True

    @abstractmethod
    def space(self, spec: TaskSpec) -> Space:
        """Genes, their ranges, and which of them do nothing beside which others."""

    @abstractmethod
    def build(self, values: Values, spec: TaskSpec) -> nn.Module:
        """Network of a point of the space: (batch, *spec.input_shape) -> (batch, spec.outputs).

        Draws initial weights from torch's global generator, which the caller seeds; works on the meta device.
        """

    @abstractmethod
    def baseline(self, spec: TaskSpec) -> Values:
        """Point of the space that a practitioner would write down first, without a budget in mind."""

    def starts(self, spec: TaskSpec) -> Sequence[Values]:
        """Points of the space worth training first, best bet first: what experience says before any search.

        They may be larger than a budget by far, because grow-and-prune reduces networks.
        """
        return (self.baseline(spec),)

    def narrower(self, values: Values, spec: TaskSpec) -> Sequence[Values]:
        """Points that are ``values`` with fewer units a layer and are otherwise like it, in any order; none, as here.

        A start is replaced by one of them where connections that are left out save little: in small integer code.
        """
        return ()

    def named(self, spec: TaskSpec) -> Mapping[str, Values]:
        """Points of the space that are networks with a name of their own, as published, by that name; none, as here."""
        return MappingProxyType({})

    def depth(self, values: Values) -> int | None:
        """Layers with weights on the longest way from input to output, as published networks are called by.

        None, as here, if that is not told.
        """
        return None

    def layers(self, values: Values, spec: TaskSpec) -> Sequence[LayerShape] | None:
        """Layers of ``build(values, spec)`` by arithmetic alone, so that a search can price thousands of candidates.

        None, as here, lets the cost model build each candidate without storage, which takes some milliseconds.
        """
        return None

    def defaults(self, spec: TaskSpec) -> dict[str, Value]:
        """Recipe settings; a gene of the same name overrides one."""
        return {"optimizer": "adamw", "batch_size": batch_size(spec.rows), **plain_recipe(spec)}


def batch_size(rows: int) -> int:
    """Rows per step: about twice the square root of the training rows, a power of two in [32, 256]."""
    return int(min(256, max(32, 2 ** round(math.log2(max(rows, 1)) / 2 + 0.75))))


def architecture(values: Values) -> dict[str, Value]:
    """The values that shape the network, without those that set how it is trained."""
    return {name: value for name, value in values.items() if name not in RECIPE_GENES}
