"""Programs run in floating point, with a look at every step: for ranges of values, and for training with rounding."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from steerage.micro.interpret import Arithmetic, as_vector, beside, features, run, shaped, widened
from steerage.micro.ir import (
    Act,
    Activate,
    Affine,
    Combine,
    Conv,
    Features,
    Gate,
    Kind,
    Linear,
    Op,
    Pixels,
    Pool,
    Program,
    Softmax,
    Window,
)
from steerage.micro.storage import Layer

# What an operation makes on its way: a layer's sums, what its activation makes of them where more follows, and the sum
# with what is added where another activation follows.
Stage = Literal["sum", "act", "added", "output"]
Look: TypeAlias = Callable[[Op, Stage, Tensor], Tensor]
WeightsOf: TypeAlias = "Callable[[Layer], tuple[Tensor, Tensor | None]]"


def evaluate(program: Program, rows: Tensor, *, look: Look | None = None, weights: WeightsOf | None = None) -> Tensor:
    """What a float program returns for encoded ``rows``: float32 (n, outputs).

    ``look`` sees what is made at each stage, and what it returns is used in place of that. ``weights``: those of a
    layer with its bias, in place of its own.
    """
    see: Look = look or (lambda op, stage, x: x)
    own: WeightsOf = weights or layer_weights

    def whole(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda op, *inputs: see(op, "output", function(op, *inputs))

    arithmetic: Arithmetic = {
        Features: whole(features),
        Pixels: whole(_pixels),
        Linear: partial(_linear, see=see, own=own),
        Conv: partial(_conv, see=see, own=own),
        Pool: whole(lambda op, x: pooled(x, op.window, op.kind)),
        Combine: whole(_combine),
        Gate: whole(lambda op, x, gate: x * as_vector(gate)[:, :, None, None]),
        Affine: whole(_affine),
        Activate: whole(lambda op, x: activated(op.act, x)),
        Softmax: lambda op, x: as_vector(x).softmax(dim=1),
    }
    return run(program, rows.float(), arithmetic)


def layer_weights(layer: Layer) -> tuple[Tensor, Tensor | None]:
    """Weights and bias of a layer in single precision."""
    bias = layer.weights.bias
    return layer.weights.values.float(), None if bias is None else bias.float()


def activated(act: Act | None, x: Tensor) -> Tensor:
    """An activation."""
    return x if act is None else _ACTS[act.kind](x, *act.numbers)


def pooled(x: Tensor, window: Window, kind: Kind) -> Tensor:
    """A pooling of a map."""
    if kind == "max":
        # Zeros around the map do not count in a maximum; torch allows only half a kernel of them.
        return F.max_pool2d(
            F.pad(x, (window.padding[1],) * 2 + (window.padding[0],) * 2, value=-torch.inf),
            window.kernel,
            window.stride,
        )
    return F.avg_pool2d(x, window.kernel, window.stride, window.padding, count_include_pad=kind == "average")


def _linear(op: Linear, x: Tensor, onto: Tensor | None = None, *, see: Look, own: WeightsOf) -> Tensor:
    values, bias = own(op)
    y = F.linear(as_vector(x), values, bias)
    if onto is not None:
        y = y + as_vector(onto)
    y = see(op, "sum", y)
    return see(op, "output", shaped(activated(op.act, y), op.output.shape))


def _conv(op: Conv, x: Tensor, plus: Tensor | None = None, *, see: Look, own: WeightsOf) -> Tensor:
    values, bias = own(op)
    if op.mean is not None:
        x = x - op.mean.float()[:, None, None]
    y = see(op, "sum", F.conv2d(x, values, bias, op.window.stride, op.window.padding, groups=op.groups))
    y = y[:, :, : op.computed[0], : op.computed[1]]
    y = see(op, "act", activated(op.act, y))
    if op.pool is not None:
        y = pooled(y, Window(op.pool, op.pool), op.pooling)
    if plus is not None:
        y = see(op, "added", y + widened(plus, y.shape[1], op.plus_stride))
        y = activated(op.then, y)
    return see(op, "output", y)


def _pixels(op: Pixels, x: Tensor) -> Tensor:
    return (x - op.mean.float()[:, None, None]) * op.scale.float()[:, None, None]


def _combine(op: Combine, x: Tensor, y: Tensor) -> Tensor:
    y = beside(op, y)
    return x + y if op.kind == "add" else x - y if op.kind == "subtract" else x * y


def _affine(op: Affine, x: Tensor) -> Tensor:
    scale, shift = op.scale.float(), op.shift.float()
    if x.ndim == 4 and scale.numel() == x.shape[1]:
        return x * scale[:, None, None] + shift[:, None, None]
    return as_vector(x) * scale + shift


_ACTS: dict[str, Callable[..., Tensor]] = {
    "relu": F.relu,
    "clip": lambda x, low, high: x.clamp(low, high),
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "silu": F.silu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
}
