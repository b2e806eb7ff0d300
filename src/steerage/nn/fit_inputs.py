"""Fitting of what a network does to its inputs before its first trained layer."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from steerage.nn.encoding import PiecewiseLinear
from steerage.nn.feedforward import FeedForward
from steerage.nn.reduction import Reduce


def fit_inputs(model: nn.Module, x: Tensor, y: Tensor, *, seed: int) -> None:
    """Fit every ``Reduce`` and ``PiecewiseLinear`` of ``model`` to training rows, before the model is trained.

    ``x``: (n, ...) network inputs, which each of them reads flattened. ``y``: (n,) class codes or floats. A
    ``FeedForward`` that directly follows an encoding gets weights of zero from the bins that are always 0: they
    receive no gradient, so they stay zero and are dormant connections from the start.
    """
    for module in model.modules():
        if isinstance(module, Reduce | PiecewiseLinear):
            module.fit_to(x.flatten(1), y, seed=seed)
    for module in model.modules():
        if isinstance(module, nn.Sequential):
            for first, second in pairwise(module):
                if isinstance(first, PiecewiseLinear) and isinstance(second, FeedForward):
                    _silence_(second, first)


@torch.no_grad()
def _silence_(net: FeedForward, encoding: PiecewiseLinear) -> None:
    """Zero the weights of ``net`` that read bins of ``encoding`` that are always 0."""
    dead = encoding.features + (~encoding.live).nonzero().squeeze(1)  # the encoded columns follow the inputs
    for layer in net.readers():
        layer.weight[:, dead] = 0.0
