"""Programs run on rows, by this program: what both kinds of arithmetic share.

Maps are (rows, channels, height, width), vectors (rows, numbers) in the order of memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from steerage.data.straighten import Straighten
from steerage.data.tabular import CLIP
from steerage.micro.ir import Bins, Combine, Features, Gather, Join, Number, Op, Program, Shape, Stack, Upright, Value

Arithmetic: TypeAlias = Mapping[type[Op], Callable[..., Tensor]]


def run(program: Program, rows: Tensor, arithmetic: Arithmetic) -> Tensor:
    """What ``program`` returns for encoded ``rows`` (n, *input): (n, outputs).

    ``arithmetic``: by type of operation, a function of it and the tensors that it reads.
    """
    rows = rows.reshape(len(rows), *program.input.shape)  # a signal is a map with a single row
    made: dict[Value, Tensor] = {program.input: rows}
    functions: Arithmetic = {**_MOVES, **arithmetic}
    for op in program.ops:
        inputs = [_read(op, value, made[value], program) for value in op.inputs]
        made[op.output] = shaped(functions[type(op)](op, *inputs), op.output.shape)
    return as_vector(made[program.output])


def _read(op: Op, value: Value, tensor: Tensor, program: Program) -> Tensor:
    """An input as its operation needs it: of an image, which is no map of ours, a linear layer reads the pixels."""
    if value is program.image and tensor.ndim == 4 and len(op.output.shape) == 1:
        return tensor.flatten(1)
    return tensor


def as_vector(tensor: Tensor) -> Tensor:
    """A map row by row, [y][channel][x], as it lies in memory; a vector as it is."""
    return tensor.permute(0, 2, 1, 3).flatten(1) if tensor.ndim == 4 else tensor


def shaped(tensor: Tensor, shape: Shape) -> Tensor:
    """The same memory as a vector or map of that shape."""
    if tuple(tensor.shape[1:]) == shape:
        return tensor
    flat = as_vector(tensor)
    if len(shape) == 1:
        return flat
    channels, height, width = shape
    return flat.reshape(-1, height, channels, width).permute(0, 2, 1, 3)


def beside(op: Combine, y: Tensor, filler: float = 0.0) -> Tensor:
    """What is added to each number of ``op.x``: each ``stride``-th pixel of ``y``, ``filler`` in further channels."""
    return widened(y, op.x.shape[0], op.stride, filler) if op.padded else shaped(y, op.x.shape)


def widened(y: Tensor, channels: int, stride: int, filler: float = 0.0) -> Tensor:
    """Each ``stride``-th pixel of a map, and channels of ``filler`` up to so many."""
    return F.pad(y[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, channels - y.shape[1]), value=filler)


def features(op: Features, x: Tensor) -> Tensor:
    """In single precision, step by step as the code does it."""
    parts = []
    for numbers, logs in ((op.numbers, False), (op.logs, True)):
        v = _filled(x, [one.at for one in numbers], [one.fill for one in numbers])
        if logs:
            v = v.sign() * (v.abs() / _single(numbers, lambda one: one.log_unit)).log1p()
        if op.clipped and not logs:
            low = _single(numbers, lambda one: one.mean - CLIP * one.std)
            high = _single(numbers, lambda one: one.mean + CLIP * one.std)
            parts.append(torch.minimum(torch.maximum(v, low), high))
        else:
            v = (v - _single(numbers, lambda one: one.mean)) * _single(numbers, lambda one: 1.0 / one.std)
            parts.append(v.clamp(-CLIP, CLIP))
    parts.append((~x[:, list(op.missing)].isfinite()).float())
    codes = _filled(x, [one.at for one in op.hot], [float(one.fill) for one in op.hot])
    for place, one in enumerate(op.hot):
        parts.append((codes[:, place, None] == torch.arange(one.codes)).float())
    return torch.cat(parts, dim=1)


def _filled(x: Tensor, at: list[int], fill: list[float]) -> Tensor:
    v = x[:, at]
    return torch.where(v.isfinite(), v, torch.tensor(fill, dtype=torch.float32))


def _single(numbers: tuple[Number, ...], of: Callable[[Number], float]) -> Tensor:
    return torch.tensor([of(one) for one in numbers], dtype=torch.float32)


def _bins(op: Bins, x: Tensor) -> Tensor:
    found = []
    for one in op.runs:
        edges = torch.tensor(one.edges, dtype=torch.float32)
        found.append(((x[:, one.at, None] - edges[:-1]) / (edges[1:] - edges[:-1])).clamp(0.0, 1.0))
    return torch.cat(found, dim=1)


def _gather(op: Gather, x: Tensor) -> Tensor:
    flat = as_vector(x)
    return flat if op.index is None else flat[:, torch.from_numpy(op.index)]


def _stack(op: Stack, *maps: Tensor) -> Tensor:
    return torch.cat(maps, dim=1)


def _join(op: Join, *parts: Tensor) -> Tensor:
    return torch.cat([as_vector(part) for part in parts], dim=1)


_MOVES: Mapping[type[Any], Callable[..., Tensor]] = {
    Upright: lambda op, x: Straighten(op.background).module()(x),
    Features: features,
    Bins: _bins,
    Gather: _gather,
    Stack: _stack,
    Join: _join,
}
