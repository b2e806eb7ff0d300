"""Which connections are left between the layers of a network, and from each number of its input."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from steerage.cost.count import PRUNABLE
from steerage.errors import UnsupportedLayer
from steerage.nn.encoding import PiecewiseLinear
from steerage.nn.modes import evaluating
from steerage.nn.reduction import Reduce
from steerage.nn.trace import trace

INPUT = None  # the input, where the name of a layer would be
_PRODUCTS = (operator.mul, torch.mul)


@final
@dataclass(frozen=True, eq=False)
class Wiring:
    """``inputs``: active connections from each number of the input, float64, of its shape.

    ``reads``: by name of a layer, those that it reads, with no other layer between (``INPUT`` for the input), and how
    many active connections there are from each.
    """

    inputs: Tensor
    reads: Mapping[str, Mapping[str | None, float]]


def wiring(model: nn.Module, shape: tuple[int, ...], masks: Mapping[str, Tensor]) -> Wiring | None:
    """Active connections of ``model`` on inputs of ``shape``; None for what cannot be traced.

    A bin of an encoding is its feature, and a kernel counts once for each place; behind a mean, each of its numbers has
    its share of a connection.
    """
    try:
        with evaluating(model):
            traced = trace(model, shape, whole=(Reduce, PiecewiseLinear))
            counting = _Counting(fx.GraphModule(traced.root, traced.graph), model, masks)
            x = torch.zeros(2, *shape, dtype=torch.float64, requires_grad=True)
            with torch.enable_grad():
                counting.start(x)
                counting.run(x)
    except (UnsupportedLayer, RuntimeError, TypeError):  # an operation that does not run on these numbers
        return None
    return Wiring(counting.inputs[0], counting.reads)


@final
class _Counting(fx.Interpreter):
    """Runs a network in which each layer begins anew, so that derivatives by what it reads count connections."""

    def __init__(self, module: fx.GraphModule, model: nn.Module, masks: Mapping[str, Tensor]) -> None:
        super().__init__(module)
        self.inputs = torch.empty(0)
        self.reads: dict[str, dict[str | None, float]] = {}
        self._sources: list[tuple[str | None, Tensor]] = []
        self._names = {one: name for name, one in model.named_modules()}
        self._masks = masks

    def start(self, x: Tensor) -> None:
        """``x``: the input that the network will run on."""
        self._sources, self.inputs = [(INPUT, x)], torch.zeros_like(x)

    def run_node(self, n: fx.Node) -> Any:
        tensors = [one for one in map(self.env.get, n.all_input_nodes) if isinstance(one, Tensor)]
        if n.op == "call_function" and n.target in _PRODUCTS and len(tensors) == 2:
            return tensors[0] + tensors[1]  # whoever reads a product reads both factors
        result = super().run_node(n)
        number_by_number = len(tensors) == 1 and isinstance(result, Tensor) and result.shape == tensors[0].shape
        # An activation or a scale passes each number on as itself.
        return tensors[0] if n.op == "call_function" and number_by_number else result

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        module: Any = self.fetch_attr(target)
        x = args[0]
        if isinstance(module, PRUNABLE):
            return self._begun_anew(self._names.get(module, ""), self._layer(module, x))
        if isinstance(module, PiecewiseLinear):
            return torch.cat([x, x.repeat_interleave(module.bins, dim=1)], dim=1)
        if isinstance(module, Reduce):
            return x[:, module.index] if module.index is not None else x.sum(dim=1, keepdim=True).expand(-1, module.k)
        result = module(*(one.float() if isinstance(one, Tensor) else one for one in args), **kwargs)
        return x if result.shape == x.shape else super().call_module(target, args, kwargs)

    def _layer(self, module: Any, x: Tensor) -> Tensor:
        name = self._names.get(module, "")
        mask = self._masks.get(f"{name}.weight" if name else "weight")
        ones = torch.ones(module.weight.shape) if mask is None else mask.detach().cpu()
        if isinstance(module, nn.Linear):
            return F.linear(x, ones.double())
        function = F.conv2d if ones.ndim == 4 else F.conv1d
        return function(x, ones.double(), None, module.stride, module.padding, module.dilation, module.groups)

    def _begun_anew(self, name: str, output: Tensor) -> Tensor:
        """Note what the layer ``name`` reads; what others read of it."""
        counted = self.reads.setdefault(name, {})
        tensors = [tensor for _, tensor in self._sources]
        found = torch.autograd.grad(output.sum(), tensors, allow_unused=True) if output.requires_grad else ()
        for (source, _), connections in zip(self._sources, found, strict=False):
            if connections is not None:
                counted[source] = counted.get(source, 0.0) + float(connections[0].sum())
                if source is INPUT:
                    self.inputs += connections
        fresh = torch.zeros_like(output).requires_grad_()
        self._sources.append((name, fresh))
        return fresh
