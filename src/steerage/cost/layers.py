"""Which layers a network runs, where their weights are applied, and which normalizations fold into them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from steerage.nn.encoding import PiecewiseLinear
from steerage.nn.feedforward import FeedForward
from steerage.nn.reduction import Reduce
from steerage.nn.residual import PaddedResidual, Residual
from steerage.nn.squeeze import SqueezeExcitation

Shape = tuple[int, ...]  # of one row: without the batch
BATCH_NORMS: tuple[type[_BatchNorm], ...] = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
OTHER_NORMS = (nn.LayerNorm, nn.GroupNorm)


@final
@dataclass(frozen=True, eq=False)
class LayerUse:
    """One call of a layer on one input row.

    ``name``: in ``model.named_modules()``. ``positions``: number of places at which the whole weight is applied, such
    as the output pixels of a convolution; 0 for normalizations. ``folds_into``: name of the layer that absorbs this
    batch norm, None if none does.
    """

    name: str
    module: nn.Module
    positions: int
    folds_into: str | None = None

    @property
    def weight(self) -> Tensor | None:
        """Matrix or kernel that inputs are multiplied by; None for normalizations, selections and encodings."""
        if isinstance(self.module, Reduce):
            return self.module.projection
        if isinstance(self.module, (nn.Linear, *CONVOLUTIONS)):
            return self.module.weight
        return None

    @property
    def encoded(self) -> int:
        """Live bins of an encoding, one MAC each; 0 for any other layer."""
        return self.module.live_bins() if isinstance(self.module, PiecewiseLinear) else 0


def layer_uses(model: nn.Module, input_shape: Shape) -> tuple[list[LayerUse], int]:
    """Layer calls in order, and the MACs per row that happen outside of them (attention, recurrence, functions).

    A model made of known modules alone is followed on paper, in microseconds a layer; any other is run once.

    Raises: BadArgument if the model cannot run on a row of ``input_shape``.
    """
    walk = _Walk()
    try:
        walk.run(model, "", input_shape)
    except _Unknown:
        from steerage.cost.trace import trace  # torch's operation counter takes its time to import

        return trace(model, input_shape)
    return only_sole_folds(walk.layers), 0


def can_fold(layer: LayerUse, norm: _BatchNorm) -> bool:
    """Whether ``norm``, applied to nothing but the output of ``layer``, can become part of its weight and bias."""
    module = layer.module
    if norm.running_mean is None:
        return False
    if isinstance(module, nn.Linear):
        return isinstance(norm, nn.BatchNorm1d) and layer.positions == 1 and norm.num_features == module.out_features
    return isinstance(module, CONVOLUTIONS) and norm.num_features == module.out_channels


def only_sole_folds(layers: Sequence[LayerUse]) -> list[LayerUse]:
    """``layers`` without the folds into a layer that is called more than once: its weight cannot serve two norms."""
    calls = Counter(layer.name for layer in layers)
    shared = {name for name, times in calls.items() if times > 1}
    return [replace(layer, folds_into=None) if layer.folds_into in shared else layer for layer in layers]


class _Unknown(Exception):
    """A module or shape that the walk has no rule for."""


class _Walk:
    """State of a walk: the calls so far, and the layer whose output is the current value, untouched."""

    def __init__(self) -> None:
        self.layers: list[LayerUse] = []
        self.last: LayerUse | None = None
        self.names: dict[nn.Module, str] = {}

    def run(self, module: nn.Module, name: str, shape: Shape) -> Shape:
        """Shape that ``module`` returns for ``shape``. Raises: _Unknown."""
        rule = _RULES.get(type(module))
        if rule is None:
            raise _Unknown
        return rule(self, module, name, shape)

    def add(self, module: nn.Module, name: str, positions: int, folds_into: str | None = None) -> LayerUse:
        """Record a call; a module met again keeps its first name, as in ``named_modules``."""
        layer = LayerUse(self.names.setdefault(module, name), module, positions, folds_into)
        self.layers.append(layer)
        self.last = None
        return layer


def _sequential(walk: _Walk, module: Any, name: str, shape: Shape) -> Shape:
    prefix = f"{name}." if name else ""
    for key, child in module._modules.items():  # named_children() skips a child met before
        shape = walk.run(child, prefix + key, shape)
    return shape


def _residual(walk: _Walk, module: Any, name: str, shape: Shape) -> Shape:
    result = _branch(walk, module.body, f"{name}.body" if name else "body", shape)
    if module.shortcut is not None:
        shape = _branch(walk, module.shortcut, f"{name}.shortcut" if name else "shortcut", shape)
    return _checked(shape, result == shape)


def _padded_residual(walk: _Walk, module: Any, name: str, shape: Shape) -> Shape:
    result = _branch(walk, module.body, f"{name}.body" if name else "body", shape)
    pixels = tuple(-(-n // module.stride) for n in shape[1:])
    return _checked(result, result[0] >= shape[0] and result[1:] == pixels)


def _squeeze_excitation(walk: _Walk, module: Any, name: str, shape: Shape) -> Shape:
    result = _branch(walk, module.gate, f"{name}.gate" if name else "gate", shape)
    return _checked(shape, result == (shape[0], 1, 1))


def _branch(walk: _Walk, module: nn.Module, name: str, shape: Shape) -> Shape:
    """Shape that ``module`` returns as one side of a sum or product: no norm folds over either of its ends."""
    walk.last = None
    result = walk.run(module, name, shape)
    walk.last = None
    return result


def _feedforward(walk: _Walk, module: Any, name: str, shape: Shape) -> Shape:
    prefix = f"{name}." if name else ""
    for index, layer in enumerate(module.hidden):
        walk.last = None
        (width,) = walk.run(layer, f"{prefix}hidden.{index}", shape)
        shape = (shape[0] + width if module.skips else width,)
    walk.last = None
    return walk.run(module.output, f"{prefix}output", shape)


def _linear(walk: _Walk, module: Any, name: str, shape: Shape) -> Shape:
    _checked(shape, len(shape) > 0 and shape[-1] == module.in_features)
    walk.last = walk.add(module, name, math.prod(shape[:-1]))
    return (*shape[:-1], module.out_features)


def _convolution(walk: _Walk, module: Any, name: str, shape: Shape) -> Shape:
    _checked(shape, len(shape) == len(module.kernel_size) + 1 and shape[0] == module.in_channels)
    _checked(shape, not isinstance(module.padding, str))
    geometry = zip(shape[1:], module.kernel_size, module.stride, module.padding, module.dilation, strict=True)
    pixels = tuple((n + 2 * pad - dilation * (k - 1) - 1) // stride + 1 for n, k, stride, pad, dilation in geometry)
    _checked(pixels, min(pixels) > 0)
    walk.last = walk.add(module, name, math.prod(pixels))
    return (module.out_channels, *pixels)


def _batch_norm(walk: _Walk, module: Any, name: str, shape: Shape) -> Shape:
    _checked(shape, shape[0] == module.num_features and len(shape) in _NORM_RANKS[type(module)])
    last = walk.last
    walk.add(module, name, 0, last.name if last is not None and can_fold(last, module) else None)
    return shape


def _other_norm(walk: _Walk, module: Any, name: str, shape: Shape) -> Shape:
    walk.add(module, name, 0)
    return shape


def _reduce(walk: _Walk, module: Any, name: str, shape: Shape) -> Shape:
    _checked(shape, shape == (module.features,))
    walk.add(module, name, 1)
    return (module.k,)


def _encoding(walk: _Walk, module: Any, name: str, shape: Shape) -> Shape:
    _checked(shape, shape == (module.features,))
    walk.add(module, name, 1)
    return (module.features * (1 + module.bins),)


def _unchanged(walk: _Walk, module: Any, name: str, shape: Shape) -> Shape:
    return shape


def _elementwise(walk: _Walk, module: Any, name: str, shape: Shape) -> Shape:
    walk.last = None
    return shape


def _flatten(walk: _Walk, module: Any, name: str, shape: Shape) -> Shape:
    _checked(shape, (module.start_dim, module.end_dim) == (1, -1))
    walk.last = None
    return (math.prod(shape),)


def _pool(walk: _Walk, module: Any, name: str, shape: Shape) -> Shape:
    size, stride, padding = (
        number[0] if isinstance(number, tuple) and len(number) == 1 else number  # as AvgPool1d has them
        for number in (module.kernel_size, module.stride, module.padding)
    )
    plain = all(isinstance(number, int) for number in (size, stride, padding)) and not module.ceil_mode
    _checked(shape, plain and getattr(module, "dilation", 1) == 1 and len(shape) == _RANKS[type(module)])
    pixels = tuple((n + 2 * padding - size) // stride + 1 for n in shape[1:])
    walk.last = None
    return _checked((shape[0], *pixels), min(pixels) > 0)


def _global_pool(walk: _Walk, module: Any, name: str, shape: Shape) -> Shape:
    _checked(shape, module.output_size == 1 and len(shape) == _RANKS[type(module)])
    walk.last = None
    return (shape[0], *[1] * (len(shape) - 1))


def _checked(shape: Shape, known: bool) -> Shape:
    """``shape``, if the rule knows what happens. Raises: _Unknown."""
    if not known:
        raise _Unknown
    return shape


_NORM_RANKS: dict[type[nn.Module], tuple[int, ...]] = {nn.BatchNorm1d: (1, 2), nn.BatchNorm2d: (3,)}
_RANKS: dict[type[nn.Module], int] = {  # of what a pooling takes, without the batch
    **dict.fromkeys((nn.MaxPool1d, nn.AvgPool1d, nn.AdaptiveAvgPool1d), 2),
    **dict.fromkeys((nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d), 3),
}
_RULES: dict[type[nn.Module], Callable[[_Walk, Any, str, Shape], Shape]] = {
    nn.Sequential: _sequential,
    Residual: _residual,
    PaddedResidual: _padded_residual,
    SqueezeExcitation: _squeeze_excitation,
    FeedForward: _feedforward,
    Reduce: _reduce,
    PiecewiseLinear: _encoding,
    nn.Linear: _linear,
    nn.Conv1d: _convolution,
    nn.Conv2d: _convolution,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.LayerNorm: _other_norm,
    nn.GroupNorm: _other_norm,
    nn.MaxPool1d: _pool,
    nn.MaxPool2d: _pool,
    nn.AvgPool1d: _pool,
    nn.AvgPool2d: _pool,
    nn.AdaptiveAvgPool1d: _global_pool,
    nn.AdaptiveAvgPool2d: _global_pool,
    nn.Flatten: _flatten,
    nn.Identity: _unchanged,
    nn.Dropout: _unchanged,
    nn.Dropout2d: _unchanged,
    **dict.fromkeys(
        (nn.ReLU, nn.ReLU6, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.Hardswish, nn.LeakyReLU, nn.ELU), _elementwise
    ),
}
