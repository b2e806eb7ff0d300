"""What operations do to units: the tables and constants that a walk over a traced network looks things up in.

A vector of constants holds, per unit, the value that it has on every input and at every position; NaN where it varies.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from steerage.nn.kinds import ELEMENTWISE, NOTHINGS

LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
AVERAGES = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
OTHER_POOLS = (
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
)
FLATTENS: frozenset[Any] = frozenset({nn.Flatten, torch.flatten, "flatten"})
RESHAPES: frozenset[Any] = frozenset({torch.reshape, "view", "reshape"})
CONCATENATIONS: frozenset[Any] = frozenset({torch.cat, torch.concat, torch.concatenate})
MEANS: frozenset[Any] = frozenset({torch.mean, "mean", torch.amax, "amax"})
FUNCTION_AVERAGES: frozenset[Any] = frozenset({F.avg_pool1d, F.avg_pool2d, F.avg_pool3d})
NOTHING_OR_POOL: frozenset[Any] = frozenset(
    {
        *(F.max_pool1d, F.max_pool2d, F.max_pool3d, torch.max_pool1d, torch.max_pool2d, torch.max_pool3d),
        *(F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d),
        *(F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d),
        "contiguous",
    }
)
FUNCTION_DROPOUTS: frozenset[Any] = frozenset({F.dropout, F.dropout1d, F.dropout2d, F.dropout3d})
# Of one tensor or several, with or without numbers; several must agree in their units.
FUNCTIONS: frozenset[Any] = frozenset(
    {
        *(F.relu, F.relu6, F.leaky_relu, F.elu, F.celu, F.selu, F.gelu, F.silu, F.mish, F.softplus, F.softsign),
        *(F.tanh, F.sigmoid, F.logsigmoid, F.hardtanh, F.hardsigmoid, F.hardswish, F.hardshrink, F.softshrink),
        *(torch.relu, torch.tanh, torch.sigmoid, torch.clamp, torch.abs, torch.square, torch.exp, torch.neg),
        *(torch.add, torch.sub, torch.mul, torch.relu_, operator.neg, operator.add, operator.sub, operator.mul),
        *(operator.iadd, operator.isub, operator.imul, operator.truediv),
        *("relu", "tanh", "sigmoid", "clamp", "abs", "square", "exp", "neg", "add", "sub", "mul"),
        *("relu_", "tanh_", "sigmoid_", "clamp_", "add_", "sub_", "mul_"),
    }
)
PRODUCTS: frozenset[Any] = frozenset({torch.mul, operator.mul, operator.imul, "mul", "mul_"})
_IN_PLACE: frozenset[Any] = frozenset({operator.iadd, operator.isub, operator.imul, torch.relu_})
_VIEWS: frozenset[Any] = frozenset({*NOTHINGS, *FLATTENS, *RESHAPES, *FUNCTION_DROPOUTS, "contiguous"})


def nothing_constant(count: int) -> Tensor:
    """Constants of ``count`` units that all vary."""
    return torch.full((count,), math.nan, dtype=torch.float64)


def evaluated(function: Callable[..., Tensor], *constants: Tensor) -> Tensor:
    """Constants after an elementwise ``function``; what is not finite counts as varying."""
    known = torch.stack([one.isfinite() for one in constants]).all(dim=0)
    # A copy, since the function may work in place; shaped as a batch, since some modules insist on one.
    result = function(*(one.nan_to_num().unsqueeze(0) for one in constants)).squeeze(0)
    return torch.where(known & result.isfinite(), result, math.nan)


def multiplied(function: Callable[..., Tensor], *constants: Tensor) -> Tensor:
    """Constants after a product of several tensors: zero times what varies is zero, as in a gate that is shut."""
    nothing = torch.stack([one == 0.0 for one in constants]).any(dim=0)
    return torch.where(nothing, 0.0, evaluated(function, *constants))


def added(constants: Tensor, first: Tensor) -> Tensor:
    """``constants`` plus those of the ``first`` units."""
    return torch.cat([constants[: len(first)] + first, constants[len(first) :]])


def passing(node: fx.Node, module: nn.Module | None, *, ranks: int) -> Callable[[Tensor], Tensor] | None:
    """What an operation on one unit at a time does to constants; None if it is no such operation.

    ``ranks``: dimensions of its input, batch and units included.
    """
    found = kind(node, module)
    if module is not None and found in ELEMENTWISE:
        return lambda constants: evaluated(module, constants)
    if found in AVERAGES or found in FUNCTION_AVERAGES:
        padding = _argument(node, 3, "padding", 0) if module is None else module.padding
        return _unchanged if padding in (0, (0,), (0, 0), (0, 0, 0)) else only_zeros
    if found in FUNCTION_DROPOUTS:
        off = node.kwargs.get("training") is False
        return _unchanged if off else lambda constants: nothing_constant(len(constants))
    if found in MEANS:
        dims = _argument(node, 1, "dim", None)
        given = dims if isinstance(dims, (list, tuple)) else (dims,)
        return _unchanged if all(isinstance(dim, int) and dim % ranks >= 2 for dim in given) else None
    return _unchanged if found in NOTHINGS or found in OTHER_POOLS or found in NOTHING_OR_POOL else None


def _unchanged(constants: Tensor) -> Tensor:
    return constants


def _argument(node: fx.Node, place: int, name: str, default: object) -> Any:
    return node.args[place] if len(node.args) > place else node.kwargs.get(name, default)


def only_zeros(constants: Tensor) -> Tensor:
    """Constants after an operation that mixes in padding: zero stays zero."""
    return torch.where(constants == 0.0, constants, math.nan)


def unread(layer: nn.Linear | _ConvNd) -> Tensor:
    """Constants that a layer returns where its row of weights is zero: its bias."""
    bias = torch.zeros(len(layer.weight), dtype=torch.float64) if layer.bias is None else exact(layer.bias)
    return torch.where(used_rows(layer.weight), math.nan, bias)


def depthwise(conv: _ConvNd, constants: Tensor) -> Tensor:
    """Constants after a convolution with one filter per unit."""
    bias = torch.zeros(len(conv.weight), dtype=torch.float64) if conv.bias is None else exact(conv.bias)
    inputs = only_zeros(constants) if is_padded(conv) else constants
    sums = exact(conv.weight).flatten(1).sum(dim=1)
    return torch.where(used_rows(conv.weight), bias + inputs * sums, bias)


def normalized(norm: _BatchNorm, constants: Tensor) -> Tensor:
    """Constants after a batch norm in evaluation mode; a scale of zero makes any input constant."""
    if norm.running_mean is None or norm.running_var is None:
        return nothing_constant(len(constants))  # it looks at the batch
    result = (constants - exact(norm.running_mean)) / (exact(norm.running_var) + norm.eps).sqrt()
    if norm.weight is not None:
        weight, bias = exact(norm.weight), exact(norm.bias)
        result = torch.where(weight == 0.0, bias, result * weight + bias)
    return torch.where(result.isfinite(), result, math.nan)


def is_padded(layer: nn.Module) -> bool:
    """Whether a layer sees zeros beside its inputs."""
    if not isinstance(layer, _ConvNd) or layer.padding_mode != "zeros":
        return False
    return layer.padding != "valid" if isinstance(layer.padding, str) else any(layer.padding)


def used_rows(weight: Tensor) -> Tensor:
    """Rows of a weight that are not all zero: (outputs,) bool."""
    return (weight.detach() != 0).flatten(1).any(dim=1).cpu()


def used_columns(weight: Tensor) -> Tensor:
    """Columns of a weight, each with its whole kernel, that are not all zero: (inputs,) bool."""
    return (weight.detach() != 0).any(dim=0).reshape(weight.shape[1], -1).any(dim=1).cpu()


def exact(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", torch.float64)


def kind(node: fx.Node, module: nn.Module | None) -> Any:
    """Key of a node in the tables: the type of its module, its function, or the name of its method."""
    return node.target if module is None else type(module)


def in_place(node: fx.Node, module: nn.Module | None) -> bool:
    """Whether a node overwrites its first input."""
    if module is not None:
        return bool(getattr(module, "inplace", False))
    named = isinstance(node.target, str) and node.target.endswith("_")
    return named or node.target in _IN_PLACE or node.kwargs.get("inplace") is True


def is_view(node: fx.Node, module: nn.Module | None) -> bool:
    """Whether a node may return the memory of its first input."""
    return node.op.startswith("call") and kind(node, module) in _VIEWS


def is_batch_size(node: object) -> bool:
    """Whether a node is ``x.size(0)``, ``x.size()[0]`` or ``x.shape[0]``."""
    if not isinstance(node, fx.Node):
        return False
    if node.op == "call_method" and node.target == "size":
        return bool(node.args[1:] == (0,))
    return node.target is operator.getitem and bool(node.args[1] == 0) and is_size(node.args[0])


def is_size(node: object) -> bool:
    """Whether a node is ``x.size()`` or ``x.shape``."""
    if not isinstance(node, fx.Node):
        return False
    if node.op == "call_method":
        return node.target == "size" and len(node.args) == 1 and not node.kwargs
    return node.target is getattr and node.args[1] == "shape"
