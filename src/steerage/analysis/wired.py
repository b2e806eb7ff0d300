"""Which numbers of the input are still wired: the connections that read each of them."""

from __future__ import annotations

from collections.abc import Mapping
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


def connections_from_input(model: nn.Module, shape: tuple[int, ...], masks: Mapping[str, Tensor]) -> Tensor | None:
    """Active connections from each number of an input of ``shape``, float64; None for what cannot be traced.

    Those of layers that the input reaches past other layers count, too; a bin of an encoding is its feature, and a
    kernel counts once for each place.
    """
    try:
        with evaluating(model):
            traced = trace(model, shape, whole=(Reduce, PiecewiseLinear))
            counting = _Counting(fx.GraphModule(traced.root, traced.graph), model, masks)
            x = torch.zeros(2, *shape, dtype=torch.float64, requires_grad=True)
            with torch.enable_grad():
                counting.run(x)
                total = torch.stack(counting.sums).sum() if counting.sums else x.sum() * 0.0
                (found,) = torch.autograd.grad(total, x, allow_unused=True)
    except (UnsupportedLayer, RuntimeError, TypeError):  # an operation that does not run on these numbers
        return None
    return torch.zeros(shape, dtype=torch.float64) if found is None else found[0]


@final
class _Counting(fx.Interpreter):
    """Runs a network so that the derivative of ``sums`` by an input counts its connections."""

    def __init__(self, module: fx.GraphModule, model: nn.Module, masks: Mapping[str, Tensor]) -> None:
        super().__init__(module)
        self.sums: list[Tensor] = []
        self._names = {one: name for name, one in model.named_modules()}
        self._masks = masks

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        tensors = [one for one in map(self.env.get, n.all_input_nodes) if isinstance(one, Tensor)]
        number_by_number = len(tensors) == 1 and isinstance(result, Tensor) and result.shape == tensors[0].shape
        # An activation or a scale passes each number on as itself.
        return tensors[0] if n.op == "call_function" and number_by_number else result

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        module: Any = self.fetch_attr(target)
        x = args[0]
        if isinstance(module, PRUNABLE):
            output = self._layer(module, x)
            self.sums.append(output.sum())
            return output.detach()
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
