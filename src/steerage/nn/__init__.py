"""Modules that templates are built from; each is an ordinary ``nn.Module``."""

from __future__ import annotations

from steerage.nn.activations import ACTIVATIONS, activation
from steerage.nn.blocks import Residual, conv_block, pooling
from steerage.nn.encoding import PiecewiseLinear
from steerage.nn.feedforward import FeedForward
from steerage.nn.fit_inputs import fit_inputs
from steerage.nn.reduction import Reduce

__all__ = [
    "ACTIVATIONS",
    "FeedForward",
    "PiecewiseLinear",
    "Reduce",
    "Residual",
    "activation",
    "conv_block",
    "fit_inputs",
    "pooling",
]
