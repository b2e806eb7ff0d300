"""Squeeze-and-excitation: channels are weighted by what all of them are on average over the image."""

from __future__ import annotations

from collections import OrderedDict
from typing import final

from torch import Tensor, nn


@final
class SqueezeExcitation(nn.Module):
    """``x * gate(x)``: (n, channels, h, w) -> the same shape (Hu et al., arXiv 1709.01507, section 3).

    The gate, (n, channels, 1, 1) in [0, 1], is a network of one hidden layer of ``reduced`` units on the global
    average. Its layers are 1 x 1 convolutions, so that channels stay in their dimension.
    """

    def __init__(self, channels: int, reduced: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            OrderedDict(
                pool=nn.AdaptiveAvgPool2d(1),
                reduce=nn.Conv2d(channels, reduced, kernel_size=1),
                activation=nn.ReLU(),
                expand=nn.Conv2d(reduced, channels, kernel_size=1),
                sigmoid=nn.Sigmoid(),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x * self.gate(x)
        return y
