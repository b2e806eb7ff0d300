"""Lowering of what has weights: linear layers, convolutions, norms, reductions and encodings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from steerage.micro.held import Held, Part, a_map, columns, flattened, vector
from steerage.micro.inputs import as_map
from steerage.micro.ir import Affine, Bins, Conv, Linear, Op, Run, Value, Weights, Window
from steerage.micro.lower import Rule, Walk
from steerage.nn.encoding import PiecewiseLinear
from steerage.nn.reduction import Reduce


def linear(walk: Walk, node: fx.Node, module: Any) -> Held:
    held = walk.of(node, node.args[0])
    if len(held.shape) != 1:
        walk.refuse(node, f"it needs (inputs,), and gets {held.shape}")
    active = walk.mask(module, module.weight)
    return vector(_linear(walk, node, held, Weights(_exact(module.weight), active, _exact_or_none(module.bias))))


def _linear(walk: Walk, node: fx.Node, held: Held, weights: Weights, shape: tuple[int, ...] | None = None) -> Value:
    """A linear operation for each part that it reads, each onto the sum of those before."""
    outputs, bias = weights.shape[0], weights.bias
    terms: list[tuple[Value, Tensor, Tensor]] = []
    for part in held.parts:
        assert part.order is not None
        active = columns(weights.active, part.order)
        values = torch.where(active.to(weights.values.device), columns(weights.values, part.order), 0.0)
        if part.scale is not None and part.shift is not None:
            shift = values @ part.shift.to(values.device)
            bias = shift if bias is None else bias + shift
            values = values * part.scale.to(values.device)
        terms.append((part.value, values, active))
    read = [term for term in terms if bool(term[2].any())] or terms[:1]
    result: Value | None = None
    for value, values, active in read:
        output = walk.value(walk.label(node), shape or (outputs,))
        here = Weights(values, active, bias if result is None else None)
        result = walk.add(Linear(walk.label(node), value, output, here, onto=result))
    assert result is not None
    return result


def convolution(walk: Walk, node: fx.Node, module: Any) -> Held:
    held = walk.of(node, node.args[0])
    along = isinstance(module, nn.Conv1d)
    kernel, stride, padding = module.kernel_size, module.stride, _padding(walk, node, module)
    if along:
        kernel, stride, padding = as_map(kernel, 1), as_map(stride, 1), as_map(padding, 0)
    window = Window(tuple(kernel), tuple(stride), (padding[0], padding[1]))
    if module.padding_mode != "zeros" and window.padding != (0, 0):
        walk.refuse(node, f"its padding is {module.padding_mode!r}, not zeros")
    if any(step != 1 for step in module.dilation):
        walk.refuse(node, f"its dilation is {tuple(module.dilation)}, not 1")
    if len(held.shape) != 3 or along != walk.start.signal:
        walk.refuse(node, f"it needs (channels, height, width), and gets {held.shape}")
    if max(*window.kernel, *window.stride, *window.padding) > 255 or max(*held.shape, module.out_channels) > 65535:
        walk.refuse(node, "it is larger than the records of the code have room for")
    active, values = walk.mask(module, module.weight), _exact(module.weight)
    if along:
        active, values = active.unsqueeze(2), values.unsqueeze(2)
    weights = Weights(values, active, _exact_or_none(module.bias))
    if held.shape[1:] == window.kernel == (1, 1) and window.padding == (0, 0) and module.groups == 1:
        flat = Weights(weights.values.flatten(1), active.flatten(1), weights.bias)  # a single pixel
        return a_map(_linear(walk, node, flattened(held), flat, (module.out_channels, 1, 1)))
    (part, *_) = held.parts
    mean: Tensor | None = None
    if part.raw and part.order is None:  # pixels are scaled by the weights, and shifted before zeros surround them
        scale, shift = part.affine()
        mean, x = -shift / scale, part.value
        of_group = scale.reshape(module.groups, -1).repeat_interleave(module.out_channels // module.groups, 0)
        weights = replace(weights, values=weights.values * of_group[:, :, None, None].to(weights.values.device))
    else:
        x = walk.map(node, held)
    rows, cols = window.places(x.shape)
    output = walk.value(walk.label(node), (module.out_channels, rows, cols))
    return a_map(walk.add(Conv(walk.label(node), x, output, weights, window, module.groups, mean=mean)))


def _padding(walk: Walk, node: fx.Node, module: Any) -> tuple[int, ...]:
    if module.padding == "valid":
        return (0,) * len(module.kernel_size)
    if module.padding == "same":
        if any(size % 2 == 0 for size in module.kernel_size):
            walk.refuse(node, "its padding is not the same on both sides")
        return tuple(size // 2 for size in module.kernel_size)
    return tuple(module.padding)


def batch_norm(walk: Walk, node: fx.Node, module: Any) -> Held:
    """Part of the layer before it where that has no other reader, else a scale and a shift."""
    if module.running_mean is None or module.running_var is None:
        walk.refuse(node, "it looks at the batch")
    scale = (_exact(module.running_var) + module.eps).rsqrt()
    if module.weight is not None:
        scale = scale * _exact(module.weight)
    shift = -_exact(module.running_mean) * scale
    if module.bias is not None:
        shift = shift + _exact(module.bias)
    held = walk.of(node, node.args[0])
    if held.shape[0] != len(scale) or len(held.shape) not in (1, 3):
        walk.refuse(node, f"it has {len(scale)} features, and gets {held.shape}")
    places = walk.sole(node.args[0])
    if places and all(_absorbs(walk.ops[place], len(scale)) for place in places):
        for place in places:
            walk.ops[place] = scaled(walk.ops[place], scale, shift if place == places[0] else None)
        return held
    return affine(walk, node, held, scale, shift)


def _absorbs(op: Op, features: int) -> bool:
    """Whether a scale and a shift of each of so many features can be part of a layer."""
    return isinstance(op, Conv | Linear) and op.bare and op.weights.shape[0] == features


def scaled(op: Any, scale: Tensor, shift: Tensor | None) -> Any:
    """A layer with its outputs scaled, and shifted."""
    values = op.weights.values * scale.reshape(-1, *[1] * (op.weights.values.ndim - 1))
    bias = op.weights.bias
    if shift is not None:
        bias = shift if bias is None else bias * scale + shift
    return replace(op, weights=Weights(values, op.weights.active, bias))


def affine(walk: Walk, node: fx.Node, held: Held, scale: Tensor, shift: Tensor) -> Held:
    """``held * scale + shift``, one of each per feature or channel."""
    if len(held.shape) == 3 and held.parts[0].order is None:
        x = walk.map(node, held)
        return a_map(walk.add(Affine(walk.label(node), x, walk.value(walk.label(node), x.shape), scale, shift)))
    part = walk.complete(node, held)
    assert part.order is not None
    order = torch.from_numpy(np.where(part.order < 0, 0, part.order)).to(scale.device)
    output = walk.value(walk.label(node), part.value.shape)
    walk.add(Affine(walk.label(node), part.value, output, scale[order], shift[order]))
    return Held(held.shape, (Part(output, part.order),))


def reduction(walk: Walk, node: fx.Node, module: Reduce) -> Held:
    """A matrix, or the same memory with another order: what is not selected belongs to nothing."""
    held = walk.of(node, node.args[0])
    if module.projection is not None:
        weights = _exact(module.projection)
        return vector(_linear(walk, node, held, Weights(weights, torch.ones(weights.shape, dtype=torch.bool), None)))
    assert module.index is not None
    place = np.full(held.size + 1, -1)  # the last one is for numbers that belonged to nothing before
    index = np.arange(module.k) if module.index.is_meta else module.index.cpu().numpy()
    place[index] = np.arange(module.k)
    parts = [replace(part, order=place[part.order]) for part in held.parts if part.order is not None]
    return Held((module.k,), tuple(parts))


def encoding(walk: Walk, node: fx.Node, module: PiecewiseLinear) -> Held:
    """The inputs, and beside them the bins that are alive and read."""
    held, label = walk.of(node, node.args[0]), walk.label(node)
    if module.bins > 255:
        walk.refuse(node, f"it has {module.bins} bins, and the tables have room for 255")
    shape = (held.size * (1 + module.bins),)
    live = np.arange(module.live.numel()) if module.live.is_meta else np.flatnonzero(module.live.cpu().numpy())
    read = walk.read_bins.get(label)
    wanted = [bin for bin in live.tolist() if read is None or bin in read]
    if not wanted:
        return Held(shape, held.parts)
    x = walk.one(node, held)
    assert x.order is not None
    at = np.full(held.size, -1)
    at[x.order[x.order >= 0]] = np.flatnonzero(x.order >= 0)
    edges = np.zeros(module.edges.shape) if module.edges.is_meta else module.edges.cpu().double().numpy()
    runs: list[tuple[int, list[float]]] = []
    before = (-1, -1)
    for bin in wanted:
        feature, step = divmod(bin, module.bins)
        if before != (feature, step - 1):
            runs.append((int(at[feature]), [edges[feature, step].item()]))
        runs[-1][1].append(edges[feature, step + 1].item())
        before = (feature, step)
    output = walk.value(label, (len(wanted),))
    walk.bins[output] = (label, np.array(wanted))
    walk.add(Bins(label, x.value, output, tuple(Run(place, tuple(ends)) for place, ends in runs)))
    return Held(shape, (walk.join([x, Part(output, held.size + np.array(wanted))]),))


def _exact(tensor: Tensor) -> Tensor:
    return tensor.detach().to("meta" if tensor.is_meta else "cpu", torch.float64)


def _exact_or_none(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else _exact(tensor)


RULES: dict[Any, Rule] = {
    nn.Linear: linear,
    nn.Conv1d: convolution,
    nn.Conv2d: convolution,
    nn.BatchNorm1d: batch_norm,
    nn.BatchNorm2d: batch_norm,
    Reduce: reduction,
    PiecewiseLinear: encoding,
}
