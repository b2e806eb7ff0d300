"""Feed-forward networks for tables, and for images taken as rows of pixels."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import cast, final

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from torch import nn

from steerage.data.dataset import TaskSpec
from steerage.nn.encoding import PiecewiseLinear
from steerage.nn.feedforward import FeedForward
from steerage.nn.reduction import Method, Reduce
from steerage.space import Space, Value, Values
from steerage.templates.recipe_genes import plain_recipe, recipe_genes
from steerage.templates.template import LayerShape, Template

MIN_WIDTH = 4  # of any layer, whatever width and taper say
REDUCIBLE = 16  # features above which a reduction of the inputs is worth searching
ENCODABLE = 64  # features up to which an encoding of the inputs is
MIN_RATIO, MAX_RATIO = 0.1, 0.9
WIDE, NARROW = 128, 64  # hidden units of the baseline on data sets with many and with few rows
NARROW_START, MIN_START = 32, 16  # hidden units of the narrow start; of any start
FEW_ROWS, VERY_FEW_ROWS = 1500, 400  # below these the first points to train have half, a quarter of the units


@final
class Mlp(Template):
    """Genes: depth, width, taper, activation, dropout, skips; bins for tables; reduction, ratio for many features."""

    name = "mlp"

    def accepts(self, spec: TaskSpec) -> bool:
        """Anything."""
        return True

    def space(self, spec: TaskSpec) -> Space:
        """Widths are ``width * taper**i`` for layer i; ``ratio`` is the share of the inputs that a reduction keeps.

        ``bins`` is that of ``PiecewiseLinear``, 0 for none; a reduction takes its place.
        """
        genes: dict[str, BaseDistribution] = {
            "depth": IntDistribution(1, 3),
            "width": IntDistribution(16, 512, log=True),
            "taper": FloatDistribution(0.25, 1.0, step=0.25),
            "activation": CategoricalDistribution(("relu", "silu", "gelu")),
            "dropout": FloatDistribution(0.0, 0.4, step=0.05),
            "skips": CategoricalDistribution((False, True)),
        }
        features = math.prod(spec.input_shape)
        if spec.kind == "table" and features <= ENCODABLE:
            genes["bins"] = CategoricalDistribution((0, 8, 16, 32))
        if features > REDUCIBLE:
            genes["reduction"] = CategoricalDistribution(("none", "select", "pca", "random"))
            genes["ratio"] = FloatDistribution(MIN_RATIO, MAX_RATIO)
        return Space({**genes, **recipe_genes(spec)}, lambda values: _canonical(values, features))

    def build(self, values: Values, spec: TaskSpec) -> nn.Module:
        """Modules ``flatten`` (not of tables), ``reduce`` or ``encode`` (where asked), and ``net``, with batch norm."""
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        inputs = math.prod(spec.input_shape)
        if len(spec.input_shape) > 1:
            parts["flatten"] = nn.Flatten()
        method, bins = values.get("reduction", "none"), int(values.get("bins", 0))
        if method != "none":
            kept = _kept(inputs, float(values["ratio"]))
            parts["reduce"] = Reduce(inputs, kept, method=cast(Method, method))
            inputs = kept
        elif bins:
            parts["encode"] = PiecewiseLinear(inputs, bins)
            inputs *= 1 + bins
        parts["net"] = FeedForward(
            widths(int(values["depth"]), int(values["width"]), float(values["taper"])),
            inputs=inputs,
            outputs=spec.outputs,
            activation=str(values["activation"]),
            dropout=float(values["dropout"]),
            skips=bool(values["skips"]),
        )
        return nn.Sequential(parts)

    def depth(self, values: Values) -> int:
        """Hidden layers, and the last one."""
        return int(values["depth"]) + 1

    def layers(self, values: Values, spec: TaskSpec) -> Sequence[LayerShape]:
        """Layers of ``build``, in order."""
        inputs, layers = math.prod(spec.input_shape), []
        method, bins = values.get("reduction", "none"), int(values.get("bins", 0))
        if method != "none":
            kept = _kept(inputs, float(values["ratio"]))
            if method != "select":
                layers.append(LayerShape(inputs * kept, 0, 1))
            inputs = kept
        elif bins:
            # bins + 1 edges of each input, a MAC of each bin; without biases, since nothing of it can be pruned.
            layers += [LayerShape(inputs * bins, 0, 1), LayerShape(inputs, 0, 0)]
            inputs *= 1 + bins
        for units in widths(int(values["depth"]), int(values["width"]), float(values["taper"])):
            layers.append(LayerShape(inputs * units, units, 1))
            inputs = inputs + units if values["skips"] else units
        return [*layers, LayerShape(inputs * spec.outputs, spec.outputs, 1)]

    def baseline(self, spec: TaskSpec) -> Values:
        """Two equal hidden layers with ReLU and batch norm."""
        values: dict[str, Value] = {"depth": 2, "width": WIDE if spec.rows >= 2000 else NARROW, "taper": 1.0}
        values |= {"activation": "relu", "dropout": 0.0, "skips": False}
        return self._point(values, spec)

    def starts(self, spec: TaskSpec) -> Sequence[Values]:
        """Tapering networks with skips, on inputs as they are for classes, and in 32 bins for regression.

        For tables of many inputs there is a narrow one as well, dense enough for small budgets and not too dense.
        """
        shrink = 1 if spec.rows >= FEW_ROWS else 2 if spec.rows >= VERY_FEW_ROWS else 4
        plain: dict[str, Value] = {"depth": 2, "taper": 0.5, "activation": "relu", "dropout": 0.1, "skips": True}
        if spec.task != "regression":
            plain |= {"lr": 4e-3, "weight_decay": 0.1}
            regularized: dict[str, Value] = {"width": 128, "input_noise": 0.1, "weight_decay": 0.3}
            changes: tuple[dict[str, Value], ...] = ({"width": 256}, regularized)
        else:
            plain |= {"lr": 6e-3, "weight_decay": 0.1, "bins": 32}
            changes = ({"width": 128}, {"width": 64})
        if spec.kind == "table" and spec.input_shape[0] > ENCODABLE:
            changes = (*changes, {**changes[1], "width": NARROW_START})
        return tuple(
            self._point({**plain, **change, "width": max(MIN_START, int(change["width"]) // shrink)}, spec)
            for change in changes
        )

    def _point(self, values: Values, spec: TaskSpec) -> Values:
        """Point with ``values`` where the space has such genes, and plain settings for the others."""
        plain: dict[str, Value] = {"bins": 0, "reduction": "none", "ratio": MAX_RATIO, **plain_recipe(spec)}
        return self.space(spec).normalize({**plain, **values})


def widths(depth: int, width: int, taper: float) -> tuple[int, ...]:
    """Units of each hidden layer: ``width * taper**i``, at least 4."""
    return tuple(max(MIN_WIDTH, round(width * taper**layer)) for layer in range(depth))


def _kept(features: int, ratio: float) -> int:
    """Inputs that a reduction keeps: at least two."""
    return max(2, round(ratio * features))


def _canonical(values: Values, features: int) -> Values:
    """Fix the genes that do nothing beside the others.

    ``taper`` shapes nothing in one layer, ``ratio`` without a reduction, nor ``bins`` with one; ratios that keep as
    many inputs are one.
    """
    point = dict(values)
    if point["depth"] == 1:
        point["taper"] = 1.0
    if point.get("reduction", "none") != "none" and "bins" in point:
        point["bins"] = 0
    if features > REDUCIBLE:
        point["ratio"] = MAX_RATIO if point["reduction"] == "none" else _snapped(features, float(point["ratio"]))
    return point


def _snapped(features: int, ratio: float) -> float:
    """Ratio that stands for all that keep the same number of inputs."""
    return min(MAX_RATIO, max(MIN_RATIO, _kept(features, ratio) / features))
