"""The constant tables of generated code: what is in them, and their exact sizes, known before there are any weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from steerage.data.tabular import CLIP
from steerage.micro.ir import (
    Affine,
    Bins,
    Column,
    Combine,
    Conv,
    Encode,
    Features,
    Flag,
    Gate,
    Gather,
    Linear,
    Number,
    Op,
    Pixels,
    Pool,
)
from steerage.micro.storage import Layer, Stored, in_memory_order

Type = Literal["float", "uint8_t", "int8_t", "uint16_t", "int16_t", "int32_t", "conv", "plus", "pool", "rescale"]
SIZES: Mapping[Type, int] = {
    **{"float": 4, "uint8_t": 1, "int8_t": 1, "uint16_t": 2, "int16_t": 2, "int32_t": 4},
    **{"conv": 36, "plus": 6, "pool": 24, "rescale": 12},
}
MISSING = -128  # in place of a code
ACT_BYTES = 256  # of an activation of integers


@final
@dataclass(frozen=True, eq=False)
class Table:
    """``count`` constants of one type; "conv", "plus", "pool" and "rescale" are records that functions read.

    ``name``: what it is to its operation. ``values``: computed only when asked for.
    """

    name: str
    type: Type
    count: int
    values: Callable[[], NDArray[Any]]

    @property
    def bytes(self) -> int:
        """Of flash."""
        return SIZES[self.type] * self.count


def tables(op: Op, stored: Mapping[Layer, Stored]) -> tuple[Table, ...]:
    """Tables of an operation that are not empty, in the order in which its function takes them."""
    return tuple(table for table in _of(op, stored) if table.count)


def _of(op: Op, stored: Mapping[Layer, Stored]) -> Iterator[Table]:
    if isinstance(op, Linear | Conv):
        if isinstance(op, Conv):
            yield Table("shape", "conv", 1, lambda: np.empty(0))
            yield Table("plus", "plus", int(op.plus is not None), lambda: np.empty(0))
        yield from _of_layer(op, stored[op])
        if isinstance(op, Conv) and op.mean is not None:
            yield _constants("mean", op.mean, "int8_t" if op.output.dtype == "int8" else "float")
    elif isinstance(op, Pool):
        yield Table("shape", "pool", 1, lambda: np.empty(0))
    elif isinstance(op, Affine):
        small, large = _types(op.output.dtype == "int8")
        yield from (_constants("scale", op.scale, small), _constants("shift", op.shift, large))
    elif isinstance(op, Pixels) and op.ramps:
        yield Table("start", "int32_t", len(op.ramps), lambda: np.array([one.start for one in op.ramps]))
        yield Table("factor", "uint16_t", len(op.ramps), lambda: np.array([one.factor for one in op.ramps]))
        yield Table("power", "int8_t", len(op.ramps), lambda: np.array([one.power for one in op.ramps]))
    elif isinstance(op, Pixels):
        small, large = _types(op.output.dtype == "int8")
        yield from (_constants("mean", op.mean, large), _constants("scale", op.scale, small))
    elif isinstance(op, Features):
        yield from _of_features(op)
    elif isinstance(op, Encode):
        yield from _of_encode(op)
    elif isinstance(op, Bins):
        yield _numbers("inputs", [run.at for run in op.runs], wide=op.x.size > 256)
        yield _numbers("bins", [len(run.edges) - 1 for run in op.runs], wide=False)
        edges = [edge for run in op.runs for edge in run.edges]
        yield Table("edges", "float", len(edges), lambda: np.array(edges))
    elif isinstance(op, Gather) and op.index is not None:
        yield _numbers("index", op.index.tolist(), wide=op.x.size > 256)
    if isinstance(op, Conv | Pool | Combine | Gate) and op.rescale is not None:
        yield Table("rescale", "rescale", 1, lambda: np.empty(0))


def _types(whole: bool) -> tuple[Type, Type]:
    """Of factors, and of what is added to products with them."""
    return ("int16_t", "int32_t") if whole else ("float", "float")


def _of_layer(op: Layer, how: Stored) -> Iterator[Table]:
    whole = op.output.dtype != "float32"
    if how.format != "unrolled":
        yield Table("weights", "int8_t" if whole else "float", how.values, lambda: _weights(op, how))
    if how.index is not None:
        index = how.index
        yield Table("index", "uint16_t" if index.dtype == np.uint16 else "uint8_t", index.size, lambda: index)
    if op.weights.bias is not None and how.format != "unrolled":
        yield _constants("bias", op.weights.bias, "int32_t" if whole else "float")
    if op.weights.codes is not None and how.format != "unrolled":
        yield _constants("codes", op.weights.codes, "uint8_t")


def _weights(op: Layer, how: Stored) -> NDArray[Any]:
    """Values in the order in which they are read."""
    values = in_memory_order(op, op.weights.values).numpy()
    if how.format != "dense":
        kept: NDArray[Any] = values[in_memory_order(op, op.weights.active).numpy()]
        return kept
    if isinstance(op, Conv):
        return values.ravel()
    fours = len(values) // 4 * 4  # four outputs at a time
    groups = values[:fours].reshape(-1, 4, values.shape[1]).transpose(0, 2, 1)
    return np.concatenate([groups.ravel(), values[fours:].ravel()])


def _constants(name: str, tensor: Tensor, type: Type) -> Table:
    return Table(name, type, tensor.numel(), lambda: tensor.numpy())


def _numbers(name: str, numbers: list[int], *, wide: bool) -> Table:
    return Table(name, "uint16_t" if wide else "uint8_t", len(numbers), lambda: np.array(numbers))


def _of_features(op: Features) -> Iterator[Table]:
    def column(group: str, name: str, numbers: tuple[Number, ...], of: Callable[[Number], float]) -> Table:
        return Table(f"{group}_{name}", "float", len(numbers), lambda: np.array([of(one) for one in numbers]))

    for group, numbers in (("numbers", op.numbers), ("logs", op.logs)):
        yield from _places(group, [one.at for one in numbers], op.x.size)
        yield column(group, "fill", numbers, lambda one: one.fill)
        if group == "logs":
            yield column(group, "unit", numbers, lambda one: one.log_unit)
        if group == "numbers" and op.clipped:
            yield column(group, "low", numbers, lambda one: one.mean - CLIP * one.std)
            yield column(group, "high", numbers, lambda one: one.mean + CLIP * one.std)
        else:
            yield column(group, "mean", numbers, lambda one: one.mean)
            yield column(group, "scale", numbers, lambda one: 1.0 / one.std)
    yield from _places("missing", list(op.missing), op.x.size)
    yield from _of_hot(op)


def _of_encode(op: Encode) -> Iterator[Table]:
    def column(name: str, type: Type, of: Callable[[Column], int]) -> Table:
        return Table(f"columns_{name}", type, len(op.columns), lambda: np.array([of(one) for one in op.columns]))

    yield from _places("columns", [one.at for one in op.columns], op.x.size)
    yield column("start", "int32_t", lambda one: one.ramp.start)
    yield column("factor", "uint16_t", lambda one: one.ramp.factor)
    yield column("power", "int8_t", lambda one: one.ramp.power)
    yield column("filled", "int8_t", lambda one: one.filled)
    yield from _places("missing", list(op.missing), op.x.size)
    yield from _of_hot(op)
    yield _numbers("flags_at", [one.at for one in op.flags], wide=op.x.size > 256)

    def flag(name: str, of: Callable[[Flag], int]) -> Table:
        return Table(f"flags_{name}", "int8_t", len(op.flags), lambda: np.array([of(one) for one in op.flags]))

    yield flag("code", lambda one: MISSING if one.code is None else one.code)
    yield flag("fill", lambda one: one.fill)
    yield flag("off", lambda one: one.off)
    yield flag("on", lambda one: one.on)


def _of_hot(op: Features | Encode) -> Iterator[Table]:
    yield from _places("hot", [one.at for one in op.hot], op.x.size)
    yield _numbers("hot_codes", [one.codes for one in op.hot], wide=False)
    yield Table("hot_fill", "int8_t", len(op.hot), lambda: np.array([one.fill for one in op.hot]))


def _places(group: str, places: list[int], columns: int) -> Iterator[Table]:
    """Where the columns are, unless they are the first ones."""
    if places != [*range(len(places))]:
        yield _numbers(f"{group}_at", places, wide=columns > 256)
