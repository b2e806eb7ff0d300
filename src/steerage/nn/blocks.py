"""Blocks of convolutional networks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from steerage.errors import BadArgument
from steerage.nn.activations import activation as make_activation

CONVOLUTIONS: dict[int, type[nn.Conv1d] | type[nn.Conv2d]] = {1: nn.Conv1d, 2: nn.Conv2d}  # by dimensions


def conv_block(
    inputs: int,
    outputs: int,
    *,
    kernel: int = 3,
    stride: int = 1,
    activation: str | None = "relu",
    separable: bool = False,
    dims: int = 2,
) -> nn.Sequential:
    """Convolution, norm, activation: (n, inputs, h, w) -> (n, outputs, ceil(h / stride), ceil(w / stride)).

    ``dims``: 1 for signals (n, inputs, length), of which the same holds.

    ``kernel`` is odd, and the padding keeps the size. ``separable`` replaces the convolution by a depthwise one
    (k x k, one filter per channel) and a pointwise one (1 x 1), each with its norm and activation. ``activation`` is
    None for a block that ends with its norm.

    Raises: BadArgument for an even kernel, or an unknown activation.
    """
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    if separable:
        for name, module in depthwise_block(
            inputs, kernel=kernel, stride=stride, activation=activation, dims=dims
        ).named_children():
            parts["depthwise" if name == "conv" else f"depthwise_{name}"] = module
        kernel = stride = 1
    conv = CONVOLUTIONS[dims](inputs, outputs, kernel, stride, _padding(kernel), bias=False)
    return nn.Sequential(parts | _with_norm(conv, activation))


def depthwise_block(
    channels: int, *, kernel: int = 3, stride: int = 1, activation: str | None = "relu", dims: int = 2
) -> nn.Sequential:
    """``conv_block`` with one filter per channel: (n, channels, h, w) -> (n, channels, ceil(h / stride), ...).

    Raises: BadArgument for an even kernel, or an unknown activation.
    """
    conv = CONVOLUTIONS[dims](channels, channels, kernel, stride, _padding(kernel), groups=channels, bias=False)
    return nn.Sequential(_with_norm(conv, activation))


def _padding(kernel: int) -> int:
    """Pixels on each side that keep the size. Raises: BadArgument for an even kernel."""
    if kernel < 1 or kernel % 2 == 0:
        raise BadArgument(f"kernel must be odd, got {kernel}")
    return kernel // 2


def _with_norm(conv: nn.Conv1d | nn.Conv2d, activation: str | None) -> OrderedDict[str, nn.Module]:
    """``conv``, its norm, and its activation if it has one."""
    norm = nn.BatchNorm1d if isinstance(conv, nn.Conv1d) else nn.BatchNorm2d
    parts: OrderedDict[str, nn.Module] = OrderedDict(conv=conv, norm=norm(conv.out_channels))
    if activation is not None:
        parts["activation"] = make_activation(activation)
    return parts


def pooling(kind: str, *, dims: int = 2) -> nn.Module:
    """Pooling that halves height and width, or the length, rounding down.

    Raises: BadArgument unless kind is "max" or "avg".
    """
    if kind == "max":
        return nn.MaxPool1d(2) if dims == 1 else nn.MaxPool2d(2)
    if kind == "avg":
        return nn.AvgPool1d(2) if dims == 1 else nn.AvgPool2d(2)
    raise BadArgument(f"pooling must be 'max' or 'avg', got {kind!r}")


def classifier(
    inputs: int,
    outputs: int,
    *,
    pooled: bool = True,
    hidden: Sequence[int] = (),
    activation: str = "relu",
    dropout: float = 0.0,
    dims: int = 2,
) -> nn.Sequential:
    """Scores from features: (n, channels, height, width), or (n, channels, length) for ``dims=1`` -> (n, outputs).

    ``inputs``: numbers per image that its first linear layer reads: channels if ``pooled`` (a global average), else
    channels * height * width. ``hidden``: units of the layers before the last, each with a norm and an activation.
    """
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    if pooled:
        parts["pool"] = nn.AdaptiveAvgPool1d(1) if dims == 1 else nn.AdaptiveAvgPool2d(1)
    parts["flatten"] = nn.Flatten()
    for index, units in enumerate(hidden, start=1):
        number = "" if index == 1 else str(index)
        parts[f"hidden{number}"] = nn.Linear(inputs, units, bias=False)
        parts[f"norm{number}"] = nn.BatchNorm1d(units)
        parts[f"activation{number}"] = make_activation(activation)
        inputs = units
    if dropout > 0.0:
        parts["dropout"] = nn.Dropout(dropout)
    parts["output"] = nn.Linear(inputs, outputs)
    return nn.Sequential(parts)
