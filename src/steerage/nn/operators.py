"""What a program may do: layers that are made of its tensors, and functions without state. Nothing else is called.

The names and options are those of PyTorch's ATen operators, as torch.export writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Shapes = Mapping[str, tuple[int, ...]]  # of the tensors that a layer is made of, by what they are to it
GEOMETRY = ("stride", "padding", "dilation", "groups")


def _linear(shapes: Shapes, options: Mapping[str, Any]) -> nn.Module:
    outputs, inputs = shapes["weight"]
    return nn.Linear(inputs, outputs, bias="bias" in shapes)


def _convolution(kind: Callable[..., nn.Module]) -> Callable[[Shapes, Mapping[str, Any]], nn.Module]:
    def made(shapes: Shapes, options: Mapping[str, Any]) -> nn.Module:
        outputs, inputs, *kernel = shapes["weight"]
        geometry = {name: options[name] for name in GEOMETRY if name in options}
        for name, value in geometry.items():
            if isinstance(value, (list, tuple)):  # one number stands for all dimensions
                geometry[name] = tuple(value) if len(value) > 1 else tuple(value) * len(kernel)
        return kind(inputs * options.get("groups", 1), outputs, tuple(kernel), bias="bias" in shapes, **geometry)

    return made


def _batch_norm(kind: Callable[..., nn.Module]) -> Callable[[Shapes, Mapping[str, Any]], nn.Module]:
    def made(shapes: Shapes, options: Mapping[str, Any]) -> nn.Module:
        (features,) = next(iter(shapes.values()))
        affine, tracked = "weight" in shapes, "running_mean" in shapes
        numbers = {name: options[name] for name in ("eps", "momentum") if name in options}
        return kind(features, affine=affine, track_running_stats=tracked, **numbers)

    return made


def _dropout(kind: Callable[[float], nn.Module]) -> Callable[[Shapes, Mapping[str, Any]], nn.Module]:
    return lambda shapes, options: kind(options["p"])


ROLES = ("weight", "bias", "running_mean", "running_var")  # of tensors in a layer, and their names in its module
LAYERS: dict[str, Callable[[Shapes, Mapping[str, Any]], nn.Module]] = {
    "linear": _linear,
    "conv1d": _convolution(nn.Conv1d),
    "conv2d": _convolution(nn.Conv2d),
    "conv3d": _convolution(nn.Conv3d),
    "batch_norm1d": _batch_norm(nn.BatchNorm1d),
    "batch_norm2d": _batch_norm(nn.BatchNorm2d),
    "batch_norm3d": _batch_norm(nn.BatchNorm3d),
    "dropout": _dropout(nn.Dropout),
    "feature_dropout": _dropout(nn.Dropout2d),
    "alpha_dropout": _dropout(nn.AlphaDropout),
}


def _slice(x: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Tensor:
    if not -x.ndim <= dim < x.ndim:
        raise IndexError(f"there is no axis {dim} of {x.ndim}")
    return x[(slice(None),) * (dim if dim >= 0 else x.ndim + dim) + (slice(start, end, step),)]


def _elu(x: Tensor, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Tensor:
    if (scale, input_scale) == (1.0, 1.0):
        return F.elu(x, alpha)
    return scale * torch.where(x > 0, x, alpha * torch.expm1(x * input_scale))


def _where(condition: Tensor, self: Tensor, other: Tensor) -> Tensor:
    return torch.where(condition, self, other)


def _subtracted(x: Tensor, other: Any, alpha: float = 1) -> Tensor:
    return torch.sub(other, x, alpha=alpha) if isinstance(other, Tensor) else other - x * alpha


def _divided(x: Any, other: Any, rounding_mode: str | None = None) -> Any:
    return x / other if rounding_mode is None else torch.div(x, other, rounding_mode=rounding_mode)


# The first argument is passed by place, all others by name.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    # of one value at a time
    **{
        name: getattr(F, name)
        for name in (
            *("relu", "relu6", "leaky_relu", "celu", "selu", "gelu", "silu", "mish", "softplus", "softsign"),
            *("hardtanh", "hardsigmoid", "hardswish", "hardshrink", "softshrink", "threshold", "glu", "prelu"),
        )
    },
    **{
        name: getattr(torch, name)
        for name in (
            *(
                "tanh",
                "sigmoid",
                "clamp",
                "clamp_min",
                "clamp_max",
                "abs",
                "square",
                "exp",
                "expm1",
                "log",
                "log1p",
                "sqrt",
            ),
            *("rsqrt", "reciprocal", "neg", "pow", "sin", "cos", "erf", "floor", "ceil", "round", "sign"),
            *("add", "sub", "mul", "maximum", "minimum", "gt", "ge", "lt", "le", "eq", "ne", "masked_fill"),
            *("logical_not", "logical_and", "logical_or", "full_like"),
        )
    },
    "log_sigmoid": F.logsigmoid,
    "elu": _elu,
    "rsub": _subtracted,
    "div": _divided,
    "where": _where,
    # of places
    **{
        f"{name}{rank}d": getattr(F, f"{name}{rank}d")
        for name in ("max_pool", "avg_pool", "adaptive_avg_pool", "adaptive_max_pool", "conv", "conv_transpose")
        for rank in (1, 2, 3)
    },
    "pad": F.pad,
    "pixel_shuffle": F.pixel_shuffle,
    "pixel_unshuffle": F.pixel_unshuffle,
    "channel_shuffle": F.channel_shuffle,
    # of whole rows
    **{
        name: getattr(torch, name)
        for name in (
            *("mean", "sum", "amax", "amin", "any", "var", "std", "softmax", "log_softmax", "matmul", "bmm", "baddbmm"),
            *("addmm", "cumsum", "flatten", "reshape", "permute", "transpose", "squeeze", "unsqueeze", "select"),
            *("cat", "stack", "chunk", "unbind", "flip", "roll"),
        )
    },
    "linalg_vector_norm": torch.linalg.vector_norm,
    "einsum": lambda equation, tensors, path=None: torch.einsum(equation, *tensors),
    "linear": F.linear,
    "layer_norm": F.layer_norm,
    "group_norm": F.group_norm,
    "rms_norm": F.rms_norm,
    "scaled_dot_product_attention": F.scaled_dot_product_attention,
    "slice": _slice,
    "split": lambda x, sizes, dim: x.split(sizes, dim),
    "expand": lambda x, size: x.expand(size),
    "repeat": lambda x, repeats: x.repeat(repeats),
}
