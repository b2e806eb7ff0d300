"""Activation functions by name, as modules, so that tracing, export and code generation see them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import nn

from steerage.errors import BadArgument

ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = MappingProxyType(
    {
        "relu": nn.ReLU,
        "gelu": nn.GELU,
        "silu": nn.SiLU,
        "tanh": nn.Tanh,
        "hardswish": nn.Hardswish,
        "leaky_relu": nn.LeakyReLU,
        "relu6": nn.ReLU6,
    }
)


def activation(name: str) -> nn.Module:
    """New module of the activation ``name``. Raises: BadArgument for a name that is not in ``ACTIVATIONS``."""
    if name not in ACTIVATIONS:
        raise BadArgument(f"activation must be one of {', '.join(ACTIVATIONS)}, got {name!r}")
    return ACTIVATIONS[name]()
