"""The operations of a network and the shapes of its tensors, by torch.fx."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, fx, nn

from steerage.errors import BadArgument, UnsupportedLayer
from steerage.nn.kinds import ELEMENTWISE, NORMS, NOTHINGS
from steerage.nn.reduction import Reduce

_SAME_SHAPE = (*NORMS, *NOTHINGS, *ELEMENTWISE)


@final
@dataclass(frozen=True, eq=False)
class Traced:
    """``root`` holds the modules that ``graph`` names; ``shapes`` are those of every tensor, for a batch of two."""

    root: nn.Module
    graph: fx.Graph
    shapes: dict[fx.Node, torch.Size]


def trace(model: nn.Module, input_shape: tuple[int, ...], *, whole: tuple[type[nn.Module], ...] = (Reduce,)) -> Traced:
    """Operations of ``model`` on inputs of shape (batch, *input_shape), its modules' modes taken as they are.

    ``whole``: modules besides PyTorch's own that count as one operation.

    Raises: UnsupportedLayer if the model cannot be traced, BadArgument if it cannot run on such an input.
    """
    root = _Root(model)
    try:
        graph = _Tracer(whole).trace(root)
    except Exception as error:  # what a model raises when it meets a stand-in instead of a tensor can be anything
        line = str(error).strip().partition("\n")[0]
        raise UnsupportedLayer(f"{type(model).__name__} cannot be traced by torch.fx: {line}") from error
    return Traced(root, graph, _shapes(root, graph, (2, *input_shape)))


class _Root(nn.Module):
    """Calls the model with one input, so that its other arguments have their defaults."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Any:
        return self.model(x)


class _Proxy(fx.Proxy):
    """Records ``x += y`` as what it is; fx takes it for ``x = x + y``, but others may hold the tensor ``x``."""


def _in_place(operation: Callable[..., Any]) -> Callable[[_Proxy, Any], fx.Proxy]:
    return lambda self, other: self.tracer.create_proxy("call_function", operation, (self, other), {})


for _name in ("iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow", "imatmul", "iand", "ior", "ixor"):
    setattr(_Proxy, f"__{_name}__", _in_place(getattr(operator, _name)))


class _Tracer(fx.Tracer):
    def __init__(self, whole: tuple[type[nn.Module], ...]) -> None:
        super().__init__()
        self.whole = whole

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, self.whole) or super().is_leaf_module(m, module_qualified_name)


class _Shapes(fx.Interpreter):
    """Runs a graph and keeps the shape of every tensor."""

    def __init__(self, root: nn.Module, graph: fx.Graph) -> None:
        super().__init__(root, graph=graph)
        self.shapes: dict[fx.Node, torch.Size] = {}

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        module = self.fetch_attr(target)
        if type(module) in _SAME_SHAPE and len(args) == 1 and not (module._forward_hooks or module._forward_pre_hooks):
            return args[0]  # a batch norm without storage takes milliseconds
        return super().call_module(target, args, kwargs)

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, Tensor):
            self.shapes[n] = result.shape
        return result


def _shapes(root: nn.Module, graph: fx.Graph, shape: tuple[int, ...]) -> dict[fx.Node, torch.Size]:
    """Shape of every tensor, found by running the model.

    Really running it on one or two rows is quicker than without storage, which brings in PyTorch's compiler.
    """
    tensors = [*root.parameters(), *root.buffers()]
    first = next((tensor for tensor in tensors if tensor.is_floating_point()), torch.empty(0))
    try:
        real = _Shapes(root, graph)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            real.run(torch.zeros(shape, dtype=first.dtype, device=first.device))
        return real.shapes
    except Exception as error:
        why = str(error).partition("\n")[0].rstrip(".")  # torch tells the operation and the stack below
        raise BadArgument(f"the network fails on inputs {shape[1:]}: {why}; give one that takes them") from error
