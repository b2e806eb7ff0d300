"""Columns of a table as integers without any arithmetic of floats: numbers, bins, indicators and codes.

A core without a floating-point unit would take 2 to 3 kilobytes of flash, and most of its time, to scale columns in
floats. The bits of a float are a whole number and a power of two; shifted by another power of two, it is one in fixed
point, which a factor and a shift bring into steps of 8 bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from steerage.micro.calibrate import HIGH, LOW, Scheme
from steerage.micro.ir import (
    Bins,
    Column,
    Encode,
    Features,
    Flag,
    Gather,
    Number,
    Op,
    Program,
    Quantization,
    Ramp,
    Value,
)

BITS = 22  # that a product with a factor is shifted by
REACH = 2**15  # of a difference to the start of a ramp: more than what leads to -128 or 127
LARGEST = 2**30  # of a number in fixed point
POWERS = 120  # up to which the least float that is not zero stays nothing
FARTHEST = 2.0**12  # of what is 0 from where steps are 0, in ranges of 256 steps


def encoded(program: Program, scheme: Scheme) -> Mapping[Op, Encode]:
    """What does the same as the ``Features`` and ``Bins`` of a float program, in integers.

    Empty if one of them cannot: a logarithm, or a column that hardly differs from a large number.
    """
    places: dict[Value, list[_Source]] = {}  # where the numbers are from that operations make of columns
    found: dict[Op, Encode] = {}
    for op in program.ops:
        made: Encode | None = None
        if isinstance(op, Features):
            places[op.output] = _sources(op)
            made = _of_features(op, scheme.values[op.output])
        elif isinstance(op, Gather) and op.x in places:
            index = range(op.x.size) if op.index is None else op.index.tolist()
            places[op.output] = [places[op.x][at] for at in index]
            continue
        elif isinstance(op, Bins):
            made = _of_bins(op, places.get(op.x, []), scheme.values[op.output])
        else:
            continue
        if made is None:
            return {}
        found[op] = made
    return found


def ramp_of(one: Quantization, place: int = 0) -> Ramp:
    """What makes floats integers of that quantization, of its number at ``place``."""
    scale, zero = (float(each[min(place, len(each) - 1)]) for each in (one.scale, one.zero))
    scale = min(max(scale, 2.0**-POWERS), 2.0 ** (POWERS // 2))  # beyond that, no float is far from 0 in steps
    ramp = ramp_between(-zero * scale, scale)
    assert ramp is not None
    return ramp


def ramp_between(zero: float, step: float) -> Ramp | None:
    """``(x - zero) / step`` in integers; None where they would not do: where ``zero`` is too many steps away."""
    if not (math.isfinite(zero) and math.isfinite(step)) or step <= 0.0:
        return None
    power = math.floor(math.log2((2 * REACH - 1) / 256 / step))
    if not -POWERS // 2 <= power <= POWERS + 8 or abs(zero) > FARTHEST * 256 * step:
        return None
    per_step = step * 2.0**power  # 128 to 256
    return Ramp(round(zero * 2.0**power), round(2.0**BITS / per_step), power)


def fixed(x: Tensor, power: int) -> Tensor:
    """``x`` times 2**power towards zero, in whole numbers of 2**30 at most: float64. NAN is as large as can be."""
    scaled = x.double() * 2.0**power
    whole = scaled.sign() * scaled.abs().floor().clamp(max=LARGEST)
    return torch.where(x.isnan(), torch.copysign(torch.tensor(float(LARGEST), dtype=torch.float64), x), whole)


def ramped(ramp: Ramp, x: Tensor) -> Tensor:
    """Floats in steps: float64 of the shape of ``x``, whole numbers from -128 to 127."""
    reached = (fixed(x, ramp.power) - ramp.start).clamp(-REACH, REACH - 1)
    return ((reached * ramp.factor + 2.0 ** (BITS - 1)) * 2.0**-BITS).floor().clamp(LOW, HIGH)


def encode(op: Encode, x: Tensor) -> Tensor:
    """Rows of a table (n, columns), float32: float64 (n, numbers)."""
    made = []
    for number in op.columns:
        column = x[:, number.at]
        made.append(torch.where(column.isfinite(), ramped(number.ramp, column), float(number.filled)))
    on, off = torch.tensor(float(op.on), dtype=torch.float64), torch.tensor(float(op.off), dtype=torch.float64)
    made += [torch.where(x[:, at].isfinite(), off, on) for at in op.missing]
    for one in op.hot:
        codes = _codes(x[:, one.at], one.fill)
        made += [torch.where(codes == code, on, off) for code in range(one.codes)]
    for flag in op.flags:
        column = x[:, flag.at]
        holds = ~column.isfinite() if flag.code is None else _codes(column, flag.fill) == flag.code
        made.append(torch.where(holds, float(flag.on), float(flag.off)).double())
    return torch.stack(made, dim=1)


def _codes(column: Tensor, fill: int) -> Tensor:
    """Category codes of a column, ``fill`` where it is missing."""
    return torch.where(column.isfinite(), fixed(column.nan_to_num(0.0, 0.0, 0.0), 0), float(fill))


_Source: TypeAlias = "Number | Flag | None"


def _sources(op: Features) -> list[_Source]:
    """What each number is, where it has a form without floats; flags are of 0 and 1."""
    found: list[_Source] = [*op.numbers, *[None] * len(op.logs)]
    found += [Flag(at, None, 0, 0, 1) for at in op.missing]
    return found + [Flag(one.at, code, one.fill, 0, 1) for one in op.hot for code in range(one.codes)]


def _column(number: Number, zero: float, step: float) -> Column | None:
    """``(x - zero) / step`` of a column."""
    ramp = ramp_between(zero, step)
    if ramp is None:
        return None
    filled = ramped(ramp, torch.tensor([number.fill], dtype=torch.float32))
    return Column(number.at, ramp, int(filled.item()))


def _of_features(op: Features, one: Quantization) -> Encode | None:
    if op.logs or op.clipped:
        return None
    scale, zero = (np.broadcast_to(each, op.output.size) for each in (one.scale, one.zero))
    columns = [
        _column(number, number.mean - number.std * zero[place] * scale[place], number.std * scale[place])
        for place, number in enumerate(op.numbers)
    ]
    last = op.output.size - 1
    off, on = (round(float(np.clip(truth / scale[last] + zero[last], LOW, HIGH))) for truth in (0.0, 1.0))
    return _complete(op, columns, off, on)


def _of_bins(op: Bins, sources: list[_Source], one: Quantization) -> Encode | None:
    scale, zero = (np.broadcast_to(each, op.output.size) for each in (one.scale, one.zero))
    ends = np.stack([(LOW - zero) * scale, (HIGH - zero) * scale])
    if not np.allclose(ends, [[0.0], [1.0]]):  # what cuts bins off at 0 and 1
        return None
    columns: list[Column | None] = []
    flags: list[Flag] = []
    for place, (at, low, high) in enumerate(_bins(op)):
        source, step = sources[at] if at < len(sources) else None, (high - low) * scale[place]
        if isinstance(source, Flag):
            off, on = (round(min(max((truth - low) / step + LOW, LOW), HIGH)) for truth in (0.0, 1.0))
            flags.append(replace(source, off=off, on=on))
        elif source is None or flags:  # numbers come first
            return None
        else:
            columns.append(_column(source, source.mean + source.std * (low - zero[place] * step), source.std * step))
    return _complete(op, columns, LOW, HIGH, tuple(flags))


def _bins(op: Bins) -> Iterator[tuple[int, float, float]]:
    for run in op.runs:
        for low, high in zip(run.edges, run.edges[1:], strict=False):
            yield run.at, low, high


def _complete(
    op: Features | Bins, columns: list[Column | None], off: int, on: int, flags: tuple[Flag, ...] = ()
) -> Encode | None:
    whole = [column for column in columns if column is not None]
    if len(whole) != len(columns):
        return None
    missing, hot = (op.missing, op.hot) if isinstance(op, Features) else ((), ())
    return Encode(op.label, op.x, op.output, tuple(whole), missing, hot, off, on, flags)
