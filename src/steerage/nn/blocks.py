"""Blocks of convolutional networks."""

from __future__ import annotations

from collections import OrderedDict
from typing import final

from torch import Tensor, nn

from steerage.errors import BadArgument
from steerage.nn.activations import activation as make_activation


def conv_block(
    inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, activation: str = "relu", separable: bool = False
) -> nn.Sequential:
    """Convolution, norm, activation: (n, inputs, h, w) -> (n, outputs, ceil(h / stride), ceil(w / stride)).

    ``kernel`` is odd, and the padding keeps the size. ``separable`` replaces the convolution by a depthwise one
    (k x k, one filter per channel) and a pointwise one (1 x 1), each with its norm and activation.

    Raises: BadArgument for an even kernel, or an unknown activation.
    """
    if kernel < 1 or kernel % 2 == 0:
        raise BadArgument(f"kernel must be odd, got {kernel}")
    padding = kernel // 2
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    if separable:
        parts["depthwise"] = nn.Conv2d(inputs, inputs, kernel, stride, padding, groups=inputs, bias=False)
        parts["depthwise_norm"] = nn.BatchNorm2d(inputs)
        parts["depthwise_activation"] = make_activation(activation)
        parts["conv"] = nn.Conv2d(inputs, outputs, kernel_size=1, bias=False)
    else:
        parts["conv"] = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
    parts["norm"] = nn.BatchNorm2d(outputs)
    parts["activation"] = make_activation(activation)
    return nn.Sequential(parts)


def pooling(kind: str) -> nn.Module:
    """Pooling that halves height and width, rounding down. Raises: BadArgument unless kind is "max" or "avg"."""
    if kind == "max":
        return nn.MaxPool2d(2)
    if kind == "avg":
        return nn.AvgPool2d(2)
    raise BadArgument(f"pooling must be 'max' or 'avg', got {kind!r}")


@final
class Residual(nn.Module):
    """``x + body(x)``; ``body`` keeps the shape of its input."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.body(x)
        return y
