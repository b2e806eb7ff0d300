"""How the numbers of a program become integers: ranges that are measured on calibration rows, and what follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
import torch
from torch import Tensor

from steerage.micro.floats import Stage, evaluate
from steerage.micro.ir import (
    Act,
    Activate,
    Bins,
    Conv,
    Features,
    Gather,
    Join,
    Linear,
    Op,
    Pool,
    Program,
    Quantization,
    Stack,
    Upright,
    Value,
)

Range: TypeAlias = tuple[float, float]

BATCH = 256  # rows at a time
LOW, HIGH = -128, 127
UNIT: Range = (0.0, 1.0)  # of what is there or not, and of bins


@final
@dataclass(frozen=True, eq=False)
class Ranges:
    """Least and largest number of the input, and of what each operation makes at each stage."""

    input: Range
    stages: Mapping[tuple[Op, Stage], Range]


@final
@dataclass(frozen=True, eq=False)
class Scheme:
    """Quantizations: of ``values``, and of ``stages`` within an operation that are not values."""

    values: Mapping[Value, Quantization]
    stages: Mapping[tuple[Op, Stage], Quantization]


def measure(program: Program, rows: Tensor) -> Ranges:
    """Ranges over encoded calibration ``rows`` (n, *input)."""
    found: dict[tuple[Op, Stage], Range] = {}

    def look(op: Op, stage: Stage, made: Tensor) -> Tensor:
        # One-hot codes, indicators of what is missing, and bins have a range of their own.
        seen = made[:, : len(op.numbers) + len(op.logs)] if isinstance(op, Features) else made
        if seen.numel():
            low, high = found.get((op, stage), (0.0, 0.0))
            found[op, stage] = (min(low, seen.min().item()), max(high, seen.max().item()))
        return made

    with torch.no_grad():
        for batch in torch.split(rows, BATCH):
            evaluate(program, batch, look=look)
    finite = rows[rows.isfinite()]
    return Ranges((finite.min().item(), finite.max().item()) if finite.numel() else UNIT, found)


def assumed(program: Program) -> Ranges:
    """Ranges of a program that is not run: what its activations allow, and as much to both sides elsewhere.

    They lead to the same tables as measured ones, of other contents.
    """
    found: dict[tuple[Op, Stage], Range] = {}
    for op in program.ops:
        acts = [op.act] if isinstance(op, Linear | Conv | Activate) else []
        found |= dict.fromkeys(((op, "sum"), (op, "act"), (op, "added"), (op, "output")), (-1.0, 1.0))
        if isinstance(op, Conv):
            found[op, "act"] = _allowed(op.act)
            acts = [op.then] if op.plus is not None else acts
        if acts:
            found[op, "output"] = _allowed(acts[-1])
    return Ranges((-1.0, 1.0), found)


def _allowed(act: Act | None) -> Range:
    numbers = act.numbers if act is not None and act.kind == "clip" else (-1.0, 1.0)
    return (0.0, 1.0) if act is not None and act.kind == "relu" else (numbers[0], numbers[1])


def quantization(range: Range) -> Quantization:
    """255 steps over a range, one of which stands for zero exactly; the range grows to have zero in it."""
    low, high = min(range[0], 0.0), max(range[1], 0.0)
    scale = (high - low) / (HIGH - LOW) or 1.0
    return Quantization(np.array([scale]), np.array([float(np.rint(LOW - low / scale))]))


def scheme(program: Program, ranges: Ranges) -> Scheme:
    """Quantizations for all values of ``program`` that become integers.

    A value has one, for all of its numbers; vectors that only linear layers read have those of their parts. Values
    that are made of each other without arithmetic share one.
    """
    mixed = _mixed(program)
    groups = _Groups()
    for op in program.ops:
        same = isinstance(op, Stack) or (isinstance(op, Pool) and op.kind != "average")
        if same or (isinstance(op, Join | Gather) and op.output not in mixed):
            for value in op.inputs:
                groups.unite(op.output, value)
    for op in program.ops:
        for one in _own_ranges(op, ranges):
            groups.widen(op.output, one)
    values: dict[Value, Quantization] = {}
    if program.input.dtype == "uint8":
        values[program.input] = Quantization(np.ones(1), np.zeros(1))
    else:
        values[program.input] = quantization(ranges.input)
    for op in program.ops:
        if isinstance(op, Upright):
            values[op.output] = values[op.x]
        elif op.output not in mixed:
            values[op.output] = quantization(groups.range(op.output))
        elif isinstance(op, Features):
            spread = quantization(groups.range(op.output))
            numbers = len(op.numbers) + len(op.logs)
            counts = (numbers, op.output.size - numbers)
            values[op.output] = _side_by_side([spread, quantization(UNIT)], counts)
        elif isinstance(op, Bins):
            values[op.output] = quantization(UNIT)
        elif isinstance(op, Join):
            values[op.output] = _side_by_side([values[part] for part in op.inputs], [part.size for part in op.inputs])
        elif isinstance(op, Gather):
            whole = _side_by_side([values[op.x]], [op.x.size])
            index = slice(None) if op.index is None else op.index
            values[op.output] = Quantization(whole.scale[index], whole.zero[index])
    return Scheme(values, {place: quantization(one) for place, one in ranges.stages.items()})


def _own_ranges(op: Op, ranges: Ranges) -> list[Range]:
    if isinstance(op, Bins):
        return [UNIT]
    found = [ranges.stages[op, "output"]] if (op, "output") in ranges.stages else []
    return [*found, UNIT] if isinstance(op, Features) else found


def _mixed(program: Program) -> set[Value]:
    """Vectors in which each number may have a quantization of its own: only linear layers multiply them."""
    mixed: set[Value] = set()
    for op in program.ops:
        joined = isinstance(op, Join) and len(op.output.shape) == 1
        gathered = isinstance(op, Gather) and op.x in mixed
        if joined or gathered or isinstance(op, Features | Bins):
            mixed.add(op.output)
    while True:
        read = {value for op in program.ops if not _takes_any(op, mixed) for value in op.inputs} | {program.output}
        if read.isdisjoint(mixed):
            return mixed
        mixed -= read


def _takes_any(op: Op, mixed: set[Value]) -> bool:
    return isinstance(op, Linear | Bins) or (isinstance(op, Join | Gather) and op.output in mixed)


def _side_by_side(parts: list[Quantization], sizes: list[int] | tuple[int, ...]) -> Quantization:
    def each(name: str) -> list[np.ndarray[tuple[int], np.dtype[np.float64]]]:
        return [np.broadcast_to(getattr(part, name), size) for part, size in zip(parts, sizes, strict=True)]

    return Quantization(np.concatenate(each("scale")), np.concatenate(each("zero")))


@final
class _Groups:
    """Values that share a range."""

    def __init__(self) -> None:
        self._parents: dict[Value, Value] = {}
        self._ranges: dict[Value, Range] = {}

    def _root(self, value: Value) -> Value:
        while value in self._parents:
            value = self._parents[value]
        return value

    def unite(self, one: Value, other: Value) -> None:
        a, b = self._root(one), self._root(other)
        if a is not b:
            self._parents[a] = b

    def widen(self, value: Value, range: Range) -> None:
        root = self._root(value)
        low, high = self._ranges.get(root, range)
        self._ranges[root] = (min(low, range[0]), max(high, range[1]))

    def range(self, value: Value) -> Range:
        return self._ranges.get(self._root(value), UNIT)
