"""Residual connections, and the bodies that they lead around."""

from __future__ import annotations

from collections import OrderedDict
from typing import final

from torch import Tensor, fx, nn
from torch.nn import functional as F

from steerage.nn.blocks import conv_block, depthwise_block
from steerage.nn.squeeze import SqueezeExcitation


@final
class Residual(nn.Module):
    """``shortcut(x) + body(x)``, or ``x + body(x)`` without a shortcut; both sides have one shape."""

    def __init__(self, body: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return (x if self.shortcut is None else self.shortcut(x)) + y


@final
class PaddedResidual(nn.Module):
    """``x + body(x)`` where ``body`` has more channels or, by ``stride``, fewer pixels than its input.

    What ``x`` lacks is zero, so the shortcut has no parameters: option A of He et al. (arXiv 1512.03385, section 3.3).
    """

    def __init__(self, body: nn.Module, stride: int = 1) -> None:
        super().__init__()
        self.body = body
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return padded_sum(self.body(x), x, self.stride)


def padded_sum(y: Tensor, x: Tensor, stride: int) -> Tensor:
    """``y`` plus each ``stride``-th pixel of ``x`` in its first channels: (n, c, h, w), (n, k <= c, ...) -> like ``y``.

    How many channels are zero follows from the two, so it stays right when channels of either leave or come.
    """
    x = x[:, :, ::stride, ::stride]
    return y + F.pad(x, (0, 0, 0, 0, 0, y.shape[1] - x.shape[1]))


fx.wrap("padded_sum")  # one operation of a traced network, which is known by what it does to channels


def basic_body(
    inputs: int,
    outputs: int,
    *,
    kernel: int = 3,
    stride: int = 1,
    activation: str = "relu",
    squeeze: int = 0,
    carried: int | None = None,
) -> nn.Sequential:
    """Two k x k convolutions (He et al., arXiv 1512.03385, figure 5, left).

    (n, inputs, h, w) -> (n, outputs, ceil(h / stride), ceil(w / stride)). ``squeeze``: hidden units of a
    squeeze-and-excitation at the end, 0 for none. The last norm has a scale of zero at first, so that the block begins
    as its shortcut (Goyal et al., arXiv 1706.02677, section 5.1), in the first ``carried`` channels (all, if None): a
    channel that the shortcut does not carry would be zero on every image, where a ReLU has no gradient, and stay so.
    """
    first = conv_block(inputs, outputs, kernel=kernel, stride=stride, activation=activation)
    last = conv_block(outputs, outputs, kernel=kernel, activation=None)
    return _ending_at_zero(nn.Sequential(OrderedDict(first=first, last=last)), outputs, squeeze, carried)


def bottleneck_body(
    inputs: int,
    width: int,
    outputs: int,
    *,
    kernel: int = 3,
    stride: int = 1,
    activation: str = "relu",
    squeeze: int = 0,
    carried: int | None = None,
) -> nn.Sequential:
    """A k x k convolution of ``width`` channels between two of 1 x 1 (arXiv 1512.03385, figure 5, right).

    Shapes, ``squeeze``, ``carried`` and initial weights as in ``basic_body``. The stride is that of the k x k
    convolution, as in the networks that are in use ("v1.5"), not of the first one, as in the paper.
    """
    reduce = conv_block(inputs, width, kernel=1, activation=activation)
    middle = conv_block(width, width, kernel=kernel, stride=stride, activation=activation)
    last = conv_block(width, outputs, kernel=1, activation=None)
    return _ending_at_zero(
        nn.Sequential(OrderedDict(reduce=reduce, middle=middle, last=last)), outputs, squeeze, carried
    )


def inverted_body(
    inputs: int,
    expanded: int,
    outputs: int,
    *,
    kernel: int = 3,
    stride: int = 1,
    activation: str = "relu6",
    squeeze: int = 0,
) -> nn.Sequential:
    """A depthwise convolution of ``expanded`` channels between two of 1 x 1, the last linear (arXiv 1801.04381).

    (n, inputs, h, w) -> (n, outputs, ceil(h / stride), ceil(w / stride)). Where ``expanded`` equals ``inputs`` there
    is no first one. ``squeeze``: hidden units of a squeeze-and-excitation of the expanded channels, 0 for none
    (as in MobileNetV3, arXiv 1905.02244).
    """
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    if expanded != inputs:
        parts["expand"] = conv_block(inputs, expanded, kernel=1, activation=activation)
    parts["depthwise"] = depthwise_block(expanded, kernel=kernel, stride=stride, activation=activation)
    if squeeze:
        parts["squeeze"] = SqueezeExcitation(expanded, squeeze)
    parts["project"] = conv_block(expanded, outputs, kernel=1, activation=None)
    return nn.Sequential(parts)


def _ending_at_zero(body: nn.Sequential, channels: int, squeeze: int, carried: int | None) -> nn.Sequential:
    """``body``, whose last norm returns zeros at first in what is ``carried``, and its squeeze-and-excitation."""
    norm = body.get_submodule("last.norm")
    assert isinstance(norm, nn.BatchNorm2d)
    nn.init.zeros_(norm.weight[:carried])
    if squeeze:
        body.add_module("squeeze", SqueezeExcitation(channels, squeeze))
    return body
