"""What a stack must know of a feed-forward network to compute its gradients by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast, final

import torch
from torch import Tensor, nn

from steerage.nn.encoding import PiecewiseLinear
from steerage.nn.feedforward import FeedForward
from steerage.nn.reduction import Reduce

MOMENTUM, EPSILON = 0.1, 1e-5  # of batch norms, PyTorch's defaults
UNTRAINED = (nn.Flatten, Reduce, PiecewiseLinear)  # what may stand before the first layer


@final
@dataclass(frozen=True)
class Activation:
    """``forward(x, out)`` writes its outputs; ``backward(gradient, x)`` turns their gradients into those of ``x``."""

    forward: Callable[[Tensor, Tensor], object]
    backward: Callable[[Tensor, Tensor], object]


_aten = torch.ops.aten
RELU = Activation(
    lambda x, out: torch.clamp_min(x, 0.0, out=out),
    lambda gradient, x: _aten.threshold_backward.grad_input(gradient, x, 0.0, grad_input=gradient),
)
SILU = Activation(
    lambda x, out: _aten.silu.out(x, out=out),
    lambda gradient, x: _aten.silu_backward.grad_input(gradient, x, grad_input=gradient),
)
GELU = Activation(
    lambda x, out: _aten.gelu.out(x, out=out),
    lambda gradient, x: _aten.gelu_backward.grad_input(gradient, x, grad_input=gradient),
)
ACTIVATIONS: dict[type[nn.Module], Activation] = {nn.ReLU: RELU, nn.SiLU: SILU, nn.GELU: GELU}


@final
@dataclass(frozen=True, eq=False)
class Layer:
    """A hidden layer: linear without bias, batch norm, activation, dropout."""

    linear: nn.Linear
    norm: nn.BatchNorm1d
    activation: Activation
    dropout: float


@final
@dataclass(frozen=True, eq=False)
class Chain:
    """A ``FeedForward`` after modules that are not trained; the tensors are the network's own."""

    before: tuple[nn.Module, ...]
    layers: tuple[Layer, ...]
    output: nn.Linear
    skips: bool

    def inputs(self, x: Tensor) -> Tensor:
        """What the first layer reads of a batch."""
        for module in self.before:
            x = module(x)
        return x

    def weights(self) -> list[nn.Parameter]:
        """Of all linear layers, in order."""
        linears = [*(layer.linear for layer in self.layers), self.output]
        return [cast(nn.Parameter, linear.weight) for linear in linears]


def chain_of(model: nn.Module) -> Chain | None:
    """``model`` as a stack takes it; None for any other network."""
    parts = [*model.children()] if isinstance(model, nn.Sequential) else [model]
    if not parts or not isinstance(parts[-1], FeedForward) or not all(isinstance(one, UNTRAINED) for one in parts[:-1]):
        return None
    if not all(parameter.requires_grad for parameter in model.parameters()):
        return None
    if any(_hooked(module) for module in model.modules()):  # a stack calls none of them
        return None
    net, layers = parts[-1], []
    for part in net.hidden:
        layer = _layer_of(dict(part.named_children()))
        if layer is None:
            return None
        layers.append(layer)
    return Chain(tuple(parts[:-1]), tuple(layers), net.output, net.skips) if layers else None


def _hooked(module: nn.Module) -> bool:
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return any(hooks)


def _layer_of(parts: dict[str, nn.Module]) -> Layer | None:
    linear, norm, activation = parts.get("linear"), parts.get("norm"), parts.get("activation")
    dropout = parts.get("dropout")
    if not isinstance(linear, nn.Linear) or linear.bias is not None or type(activation) not in ACTIVATIONS:
        return None
    if (
        not isinstance(norm, nn.BatchNorm1d)
        or (norm.momentum, norm.eps) != (MOMENTUM, EPSILON)
        or norm.running_var is None
    ):
        return None
    if isinstance(activation, nn.GELU) and activation.approximate != "none":
        return None
    return Layer(linear, norm, ACTIVATIONS[type(activation)], dropout.p if isinstance(dropout, nn.Dropout) else 0.0)
