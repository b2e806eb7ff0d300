"""Lowering of what has no weights: activations, pooling, sums, products, and changes of shape."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from steerage.micro.held import Held, Part, a_map, flattened, vector
from steerage.micro.inputs import as_map
from steerage.micro.ir import Act, Activate, Combine, Conv, Gate, Kind, Linear, Pool, Shape, Stack, Window
from steerage.micro.layers import affine
from steerage.micro.lower import Rule, Walk
from steerage.nn.kinds import NOTHINGS
from steerage.nn.residual import padded_sum


def _activation(of: Callable[[Walk, fx.Node, Any], Act]) -> Rule:
    def rule(walk: Walk, node: fx.Node, module: Any) -> Held:
        walk.check_overwriting(node, module)
        held, act = walk.of(node, node.args[0]), of(walk, node, module)
        places = walk.sole(node.args[0])
        last = walk.ops[places[-1]] if places else None
        if isinstance(last, Conv) and last.plus is not None and last.then is None:
            walk.ops[places[-1]] = replace(last, then=act)
            return held
        if isinstance(last, Conv | Linear) and last.bare:
            walk.ops[places[-1]] = replace(last, act=act)
            return held
        if len(held.shape) == 3 and held.parts[0].order is None:
            x = walk.map(node, held)
            return a_map(walk.add(Activate(walk.label(node), x, walk.value(walk.label(node), x.shape), act)))
        part = walk.complete(node, held)
        output = walk.value(walk.label(node), part.value.shape)
        walk.add(Activate(walk.label(node), part.value, output, act))
        return Held(held.shape, (Part(output, part.order),))

    return rule


def _plain(kind: str) -> Rule:
    return _activation(lambda walk, node, module: Act(kind))


def _option(walk: Walk, node: fx.Node, module: Any, place: int, name: str, default: Any) -> Any:
    """A setting of a module, or an argument of the function that does the same."""
    return walk.argument(node, place, name, default) if module is None else getattr(module, name)


def _leaky(walk: Walk, node: fx.Node, module: Any) -> Act:
    return Act("leaky_relu", (float(_option(walk, node, module, 1, "negative_slope", 0.01)),))


def _elu(walk: Walk, node: fx.Node, module: Any) -> Act:
    return Act("elu", (float(_option(walk, node, module, 1, "alpha", 1.0)),))


def _gelu(walk: Walk, node: fx.Node, module: Any) -> Act:
    form = module.approximate if module is not None else node.kwargs.get("approximate", "none")
    return Act("gelu" if form == "none" else "gelu_tanh")


def _clip(walk: Walk, node: fx.Node, module: Any) -> Act:
    low, high = (_option(walk, node, module, *one) for one in ((1, "min_val", -1.0), (2, "max_val", 1.0)))
    return Act("clip", (float(low), float(high)))


def _clamp(walk: Walk, node: fx.Node, module: Any) -> Act:
    low, high = (walk.argument(node, *one) for one in ((1, "min"), (2, "max")))
    if low == 0 and high is None:
        return Act("relu")
    if not all(isinstance(bound, (int, float)) for bound in (low, high)):
        walk.refuse(node, f"its bounds are {low} and {high}, and must be two numbers, or 0 and none")
    return Act("clip", (float(low), float(high)))


def _nothing(walk: Walk, node: fx.Node, module: Any) -> Held:
    return walk.of(node, node.args[0])


def _dropout(walk: Walk, node: fx.Node, module: Any) -> Held:
    if node.kwargs.get("training", True) is not False:
        walk.refuse(node, "it drops numbers whatever the mode; give training=self.training, or use a module")
    return walk.of(node, node.args[0])


def _pair(walk: Walk, node: fx.Node, number: Any, across: int = 1) -> tuple[int, int]:
    """Two sizes; ``across``: the other one of a signal, which has one."""
    if walk.start.signal:
        sizes = (number,) if isinstance(number, int) else tuple(number)
        if len(sizes) != 1 or not isinstance(sizes[0], int):
            walk.refuse(node, f"it has the sizes {number}, and needs one")
        return as_map(sizes, across)
    pair = (number, number) if isinstance(number, int) else tuple(number)
    if len(pair) != 2 or not all(isinstance(one, int) for one in pair):
        walk.refuse(node, f"it has the sizes {number}, and needs two")
    return (pair[0], pair[1])


def _pooling(kind: Literal["max", "average"]) -> Rule:
    def rule(walk: Walk, node: fx.Node, module: Any) -> Held:
        def option(place: int, name: str, default: Any) -> Any:
            return _option(walk, node, module, place, name, default)

        kernel = _pair(walk, node, option(1, "kernel_size", None))
        stride = option(2, "stride", None)
        window = Window(
            kernel,
            kernel if stride is None or stride == [] else _pair(walk, node, stride),
            _pair(walk, node, option(3, "padding", 0), across=0),
        )
        average = kind == "average"
        dilation = 1 if average else option(4, "dilation", 1)
        if option(4 if average else 5, "ceil_mode", False) or _pair(walk, node, dilation) != (1, 1):
            walk.refuse(node, "it rounds sizes up, or has a dilation")
        if average and not walk.start.signal and option(6, "divisor_override", None) is not None:
            walk.refuse(node, "it has a divisor of its own")
        inside = average and window.padding != (0, 0) and not option(5, "count_include_pad", True)
        return _pooled(walk, node, window, "inside" if inside else kind)

    return rule


def _adaptive(kind: Literal["max", "average"]) -> Rule:
    def rule(walk: Walk, node: fx.Node, module: Any) -> Held:
        shape = walk.of(node, node.args[0]).shape
        wanted = _option(walk, node, module, 1, "output_size", None)
        pair = wanted if isinstance(wanted, (tuple, list)) else (wanted, wanted)
        if walk.start.signal:
            pair = (1, pair[0])
        if len(shape) != 3 or len(pair) != 2:
            walk.refuse(node, f"it makes {wanted} of {shape}")
        sizes = [whole if size is None else size for size, whole in zip(pair, shape[1:], strict=True)]
        if any(whole % size for whole, size in zip(shape[1:], sizes, strict=True)):
            walk.refuse(node, f"it makes {sizes} of {shape}, whose parts are not of one size")
        kernel = (shape[1] // sizes[0], shape[2] // sizes[1])
        return _pooled(walk, node, Window(kernel, kernel), kind)

    return rule


def _pooled(walk: Walk, node: fx.Node, window: Window, kind: Kind) -> Held:
    """A pooling; that of a convolution's output is done with it where the pooled areas lie side by side."""
    held = walk.of(node, node.args[0])
    if held.parts[0].order is not None and window.kernel == (1, 1) and window.padding == (0, 0):
        return held  # a single pixel
    x = walk.map(node, held)
    output = walk.value(walk.label(node), (x.shape[0], *window.places(x.shape)))
    places = walk.sole(node.args[0])
    op = walk.ops[places[0]] if places else None
    apart = window.kernel == window.stride and window.padding == (0, 0)
    if isinstance(op, Conv) and op.pool is None and op.plus is None and apart:
        walk.ops[places[0]] = replace(op, output=output, pool=window.kernel, pooling=kind)
        return a_map(output)
    return a_map(walk.add(Pool(walk.label(node), x, output, window, kind)))


def _over_pixels(kind: Literal["max", "average"]) -> Rule:
    """``x.mean((2, 3))`` or ``x.amax((2, 3))``; of a signal ``x.mean(2)``."""

    def rule(walk: Walk, node: fx.Node, module: Any) -> Held:
        held = walk.of(node, node.args[0])
        dims = walk.argument(node, 1, "dim")
        if walk.start.signal and len(held.shape) == 3:
            over = dims if isinstance(dims, (tuple, list)) else (dims,)
            given = {2, 3} if [dim % 3 for dim in over if isinstance(dim, int)] == [2] else None
        else:
            given = {dim % 4 for dim in dims} if isinstance(dims, (tuple, list)) and len(held.shape) == 3 else None
        if given != {2, 3}:
            walk.refuse(node, f"it goes over the dimensions {dims} of {held.shape}, and must over all pixels")
        whole = (held.shape[1], held.shape[2])
        window = Window(whole, whole)
        pooled = _pooled(walk, node, window, kind)
        return pooled if walk.argument(node, 2, "keepdim", False) else flattened(pooled)

    return rule


def _reshape(walk: Walk, node: fx.Node, module: Any) -> Held:
    """Flattening, and what leaves the order of numbers as it is."""
    held, shape = walk.of(node, node.args[0]), walk.shape(node)
    if shape == held.shape:
        return held
    if len(shape) == 1:
        return flattened(held)
    if shape == (held.size, 1, 1):
        return Held(shape, flattened(held).parts)
    walk.refuse(node, f"it makes {shape} of {held.shape}")


def _cat(walk: Walk, node: fx.Node, module: Any) -> Held:
    tensors = walk.argument(node, 0, "tensors")
    dim = walk.argument(node, 1, "dim", 0)
    helds = [walk.of(node, tensor) for tensor in tensors]
    ranks = {len(held.shape) for held in helds}
    if len(ranks) != 1 or dim % (1 + max(ranks)) != 1:
        walk.refuse(node, "it does not put features or channels side by side")
    if ranks == {3}:
        maps = tuple(walk.map(node, held) for held in helds)
        shape = (sum(one.shape[0] for one in maps), *maps[0].shape[1:])
        return a_map(walk.add(Stack(walk.label(node), maps, walk.value(walk.label(node), shape))))
    parts: list[Part] = []
    size = 0
    for held in helds:
        for part in held.parts:
            assert part.order is not None
            parts.append(replace(part, order=part.order + size * (part.order >= 0)))
        size += held.size
    stored = [part for part in parts if not part.raw]
    together = [walk.join(stored)] if len(stored) > 1 else stored
    return Held((size,), (*(part for part in parts if part.raw), *together))


def _arithmetic(kind: Literal["add", "subtract", "multiply"]) -> Rule:
    def rule(walk: Walk, node: fx.Node, module: Any) -> Held:
        walk.check_overwriting(node, module)
        if walk.argument(node, 2, "alpha", 1) != 1:
            walk.refuse(node, "it has a factor of its own")
        first, second = (walk.argument(node, *one) for one in ((0, "input"), (1, "other")))
        if first in walk.held and second in walk.held:
            if kind == "add" and (made := _added(walk, node, (first, second))) is not None:
                return made
            return _combined(walk, node, kind, walk.held[first], walk.held[second])
        (source, other), turned = ((first, second), False) if first in walk.held else ((second, first), True)
        return _with_constant(walk, node, kind, walk.of(node, source), walk.constants.get(other, other), turned)

    return rule


def _added(walk: Walk, node: fx.Node, terms: tuple[fx.Node, fx.Node], stride: int = 1) -> Held | None:
    """A sum as the last act of the convolution that made one of its terms, the later one; None where there is none.

    ``stride``: that of the second term's pixels, of which only the first may be a convolution's then.
    """
    helds = [walk.held[term] for term in terms]
    if terms[0] is terms[1] or any(len(held.shape) != 3 or held.parts[0].order is not None for held in helds):
        return None
    padded = stride != 1 or helds[0].shape != helds[1].shape
    options = [(walk.sole(term), other) for term, other in zip(terms, reversed(helds), strict=True)]
    usable = [(places[0], other) for places, other in (options[:1] if padded else options) if places]
    for place, other in sorted(usable, key=lambda one: -one[0]):
        op = walk.ops[place]
        if isinstance(op, Conv) and op.pool is None and op.plus is None:
            plus = walk.map(node, other)
            del walk.ops[walk.ops.index(op)]  # it comes after what it adds
            return a_map(walk.add(replace(op, plus=plus, plus_stride=stride)))
    return None


def _combined(walk: Walk, node: fx.Node, kind: Literal["add", "subtract", "multiply"], a: Held, b: Held) -> Held:
    label = walk.label(node)
    if a.shape == b.shape:
        if len(a.shape) == 3 and a.parts[0].order is None and b.parts[0].order is None:
            x, y = walk.map(node, a), walk.map(node, b)
            return a_map(walk.add(Combine(label, kind, x, y, walk.value(label, x.shape))))
        x, y = walk.line(node, flattened(a)), walk.line(node, flattened(b))
        made = walk.add(Combine(label, kind, x, y, walk.value(label, (x.size,))))
        return Held(a.shape, vector(made).parts)
    if kind == "multiply" and len(a.shape) == len(b.shape) == 3:
        gated, gate = (b, a) if a.shape[1:] == (1, 1) else (a, b)
        if gate.shape == (gated.shape[0], 1, 1):
            x = walk.map(node, gated)
            by = walk.line(node, flattened(gate))
            return a_map(walk.add(Gate(label, x, by, walk.value(label, x.shape))))
    walk.refuse(node, f"it combines {a.shape} with {b.shape}")


def _with_constant(walk: Walk, node: fx.Node, kind: str, held: Held, other: Any, turned: bool) -> Held:
    """A tensor and a number, or one number per channel or feature; ``turned``: the constant comes first."""
    numbers = _per_unit(other, held.shape)
    if numbers is None:
        walk.refuse(node, f"it combines {held.shape} with what is no number, nor one per channel or feature")
    ones, zeros = torch.ones_like(numbers), torch.zeros_like(numbers)
    if kind == "multiply":
        return affine(walk, node, held, numbers, zeros)
    if kind == "add":
        return affine(walk, node, held, ones, numbers)
    return affine(walk, node, held, -ones if turned else ones, numbers if turned else -numbers)


def _per_unit(constant: Any, shape: Shape) -> Tensor | None:
    """A number or tensor as float64 (channels or features,); None where it is not of that kind."""
    if isinstance(constant, (int, float)):
        return torch.full(shape[:1], float(constant), dtype=torch.float64)
    if not isinstance(constant, Tensor):
        return None
    wanted = (1, *shape[:1], *[1] * (len(shape) - 1))
    sizes = (*[1] * (len(wanted) - constant.ndim), *constant.shape)
    if len(sizes) != len(wanted) or any(size not in (1, whole) for size, whole in zip(sizes, wanted, strict=True)):
        return None
    return constant.detach().double().reshape(-1).expand(shape[0])


def _divided(walk: Walk, node: fx.Node, module: Any) -> Held:
    by = walk.argument(node, 1, "other")
    if not isinstance(by, (int, float)) or by == 0 or walk.argument(node, 2, "rounding_mode") is not None:
        walk.refuse(node, "it divides by something else than a number")
    return _with_constant(walk, node, "multiply", walk.of(node, node.args[0]), 1.0 / by, False)


def _negated(walk: Walk, node: fx.Node, module: Any) -> Held:
    return _with_constant(walk, node, "multiply", walk.of(node, node.args[0]), -1.0, False)


def _padded_sum(walk: Walk, node: fx.Node, module: Any) -> Held:
    first, second, stride = node.args
    assert isinstance(first, fx.Node) and isinstance(second, fx.Node) and isinstance(stride, int)
    if first in walk.held and second in walk.held and (made := _added(walk, node, (first, second), stride)) is not None:
        return made
    y, x, label = walk.map(node, walk.of(node, first)), walk.map(node, walk.of(node, second)), walk.label(node)
    return a_map(walk.add(Combine(label, "add", y, x, walk.value(label, y.shape), stride)))


ACTIVATIONS: Mapping[str, Rule] = {
    **{name: _plain(name) for name in ("relu", "silu", "tanh", "sigmoid", "hardswish", "hardsigmoid")},
    "gelu": _activation(_gelu),
    "leaky_relu": _activation(_leaky),
    "elu": _activation(_elu),
    "relu6": _activation(lambda walk, node, module: Act("clip", (0.0, 6.0))),
    "hardtanh": _activation(_clip),
    "clamp": _activation(_clamp),
}
RULES: dict[Any, Rule] = {
    **dict.fromkeys((nn.ReLU, F.relu, torch.relu, torch.relu_, "relu", "relu_"), ACTIVATIONS["relu"]),
    **dict.fromkeys((nn.SiLU, F.silu), ACTIVATIONS["silu"]),
    **dict.fromkeys((nn.Tanh, F.tanh, torch.tanh, "tanh", "tanh_"), ACTIVATIONS["tanh"]),
    **dict.fromkeys((nn.Sigmoid, F.sigmoid, torch.sigmoid, "sigmoid", "sigmoid_"), ACTIVATIONS["sigmoid"]),
    **dict.fromkeys((nn.Hardswish, F.hardswish), ACTIVATIONS["hardswish"]),
    **dict.fromkeys((nn.Hardsigmoid, F.hardsigmoid), ACTIVATIONS["hardsigmoid"]),
    **dict.fromkeys((nn.GELU, F.gelu), ACTIVATIONS["gelu"]),
    **dict.fromkeys((nn.LeakyReLU, F.leaky_relu), ACTIVATIONS["leaky_relu"]),
    **dict.fromkeys((nn.ELU, F.elu), ACTIVATIONS["elu"]),
    **dict.fromkeys((nn.ReLU6, F.relu6), ACTIVATIONS["relu6"]),
    **dict.fromkeys((nn.Hardtanh, F.hardtanh), ACTIVATIONS["hardtanh"]),
    **dict.fromkeys((torch.clamp, "clamp", "clamp_"), ACTIVATIONS["clamp"]),
    **dict.fromkeys((*NOTHINGS, "contiguous"), _nothing),
    **dict.fromkeys((F.dropout, F.dropout1d, F.dropout2d, F.dropout3d), _dropout),
    **dict.fromkeys(
        (nn.MaxPool1d, nn.MaxPool2d, F.max_pool1d, F.max_pool2d, torch.max_pool1d, torch.max_pool2d), _pooling("max")
    ),
    **dict.fromkeys((nn.AvgPool1d, nn.AvgPool2d, F.avg_pool1d, F.avg_pool2d), _pooling("average")),
    **dict.fromkeys(
        (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, F.adaptive_avg_pool1d, F.adaptive_avg_pool2d), _adaptive("average")
    ),
    **dict.fromkeys(
        (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, F.adaptive_max_pool1d, F.adaptive_max_pool2d), _adaptive("max")
    ),
    **dict.fromkeys((torch.mean, "mean"), _over_pixels("average")),
    **dict.fromkeys((torch.amax, "amax"), _over_pixels("max")),
    **dict.fromkeys((nn.Flatten, torch.flatten, torch.reshape, "flatten", "view", "reshape"), _reshape),
    **dict.fromkeys((torch.squeeze, torch.unsqueeze, "squeeze", "unsqueeze"), _reshape),
    **dict.fromkeys((torch.cat, torch.concat, torch.concatenate), _cat),
    **dict.fromkeys((operator.add, operator.iadd, torch.add, "add", "add_"), _arithmetic("add")),
    **dict.fromkeys((operator.sub, operator.isub, torch.sub, "sub", "sub_"), _arithmetic("subtract")),
    **dict.fromkeys((operator.mul, operator.imul, torch.mul, "mul", "mul_"), _arithmetic("multiply")),
    **dict.fromkeys((operator.truediv, torch.div, "div"), _divided),
    **dict.fromkeys((operator.neg, torch.neg, "neg"), _negated),
    padded_sum: _padded_sum,
}
