"""Layer calls of any model, found by running it once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.conv import _ConvTransposeNd
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from steerage.cost.layers import BATCH_NORMS, CONVOLUTIONS, OTHER_NORMS, LayerUse, Shape, can_fold, only_sole_folds
from steerage.errors import BadArgument
from steerage.nn.encoding import PiecewiseLinear
from steerage.nn.modes import evaluating
from steerage.nn.reduction import Reduce

_LAYERS = (nn.Linear, Reduce, PiecewiseLinear, *CONVOLUTIONS, *BATCH_NORMS, *OTHER_NORMS)


def trace(model: nn.Module, input_shape: Shape) -> tuple[list[LayerUse], int]:
    """Layer calls in order, and the MACs outside of them, as ``layer_uses`` returns them.

    The model runs in evaluation mode on stand-ins of its tensors: without storage if it can, else on copies of its
    buffers. Neither it nor torch's generator changes.

    Raises: BadArgument if the model cannot run on a row of ``input_shape``.
    """
    with evaluating(model):
        try:
            return _run(model, input_shape, lambda tensor: torch.empty_like(tensor, device="meta"))
        except Exception:  # a branch on values, say: what a model raises without storage can be anything
            pass
        try:
            return _run(model, input_shape, lambda tensor: tensor.detach().clone())
        except Exception as error:
            why = str(error).rstrip(".")
            raise BadArgument(f"the network fails on inputs {input_shape}: {why}; give one that takes them") from error


def _run(model: nn.Module, input_shape: Shape, stand_in: Callable[[Tensor], Tensor]) -> tuple[list[LayerUse], int]:
    """``trace`` with every parameter and buffer replaced by its stand-in."""
    tensors = {name: stand_in(tensor) for name, tensor in (*model.named_parameters(), *model.named_buffers())}
    device = next((tensor.device for tensor in tensors.values()), torch.device("cpu"))
    calls: list[tuple[LayerUse, Tensor, Tensor]] = []
    named: list[tuple[str, nn.Module]] = list(model.named_modules())
    names: dict[nn.Module, str] = {module: name for name, module in named if isinstance(module, _LAYERS)}

    def record(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        use = LayerUse(names[module], module, _positions(module, inputs[0], output))
        calls.append((use, inputs[0], output))

    hooks = [module.register_forward_hook(record) for module in names]
    reads, operations = _Reads(), FlopCounterMode(display=False)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]), operations, reads:
            functional_call(model, tensors, (torch.zeros(1, *input_shape, device=device),))
    finally:
        for hook in hooks:
            hook.remove()
    layers = only_sole_folds([_with_fold(call, calls[:i], reads.counts) for i, call in enumerate(calls)])
    known = sum(layer.weight.numel() * layer.positions for layer in layers if layer.weight is not None)
    return layers, max(0, int(operations.get_total_flops()) // 2 - known)


def _positions(module: nn.Module, x: Tensor, y: Tensor) -> int:
    """Places at which the weight of ``module`` is applied in a batch of one row."""
    if isinstance(module, _ConvTransposeNd):
        return x.numel() // module.in_channels
    if isinstance(module, CONVOLUTIONS):
        return y.numel() // cast(nn.Conv2d, module).out_channels
    if isinstance(module, nn.Linear):
        return y.numel() // module.out_features
    return int(isinstance(module, Reduce | PiecewiseLinear))


def _with_fold(
    call: tuple[LayerUse, Tensor, Tensor], before: list[tuple[LayerUse, Tensor, Tensor]], reads: Mapping[int, int]
) -> LayerUse:
    """The call, naming the layer that absorbs it if it is a batch norm of that layer's output and nothing else is."""
    use, x, _ = call
    if not isinstance(use.module, BATCH_NORMS) or reads.get(id(x), 0) != 1:
        return use
    source = next((earlier for earlier, _, output in reversed(before) if output is x), None)
    folds = source is not None and can_fold(source, use.module)
    return LayerUse(use.name, use.module, use.positions, source.name) if source is not None and folds else use


class _Reads(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves its __init_subclass__ untyped
    """Counts how many operations read each tensor, by identity."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        inputs = {id(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and id(leaf) not in inputs:
                self.counts[id(leaf)] = 0  # an identity can be that of a tensor long gone
        for identity in inputs:
            self.counts[identity] = self.counts.get(identity, 0) + 1
        return result
