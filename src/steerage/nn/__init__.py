"""Modules that templates are built from; each is an ordinary ``nn.Module``."""

from __future__ import annotations

from steerage.nn.activations import ACTIVATIONS, activation
from steerage.nn.blocks import classifier, conv_block, depthwise_block, pooling
from steerage.nn.encoding import PiecewiseLinear
from steerage.nn.feedforward import FeedForward
from steerage.nn.fit_inputs import fit_inputs
from steerage.nn.reduction import Reduce
from steerage.nn.residual import PaddedResidual, Residual, basic_body, bottleneck_body, inverted_body
from steerage.nn.squeeze import SqueezeExcitation

__all__ = [
    "ACTIVATIONS",
    "FeedForward",
    "PaddedResidual",
    "PiecewiseLinear",
    "Reduce",
    "Residual",
    "SqueezeExcitation",
    "activation",
    "basic_body",
    "bottleneck_body",
    "classifier",
    "conv_block",
    "depthwise_block",
    "fit_inputs",
    "inverted_body",
    "pooling",
]
