"""Columns of a table as integers without any arithmetic of floats: numbers, bins, indicators and codes.

A core without a floating-point unit would take 2 to 3 kilobytes of flash, and most of its time, to scale columns in
floats. The bits of a float are a whole number and a power of two; shifted by another power of two, it is one in fixed
point, which a factor and a shift bring into steps of 8 bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias, final

import numpy as np
import torch
from torch import Tensor

from steerage.micro.calibrate import HIGH, LOW, Scheme
from steerage.micro.ir import Bins, Encode, Features, Flag, Gather, Number, Op, Program, Quantization, Ramp, Value

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


def fixed(x: Tensor, power: int) -> Tensor:
    """``x`` (n,) times 2**power towards zero, in whole numbers of 2**30 at most: float64 (n,)."""
    scaled = x.double() * 2.0**power
    return scaled.sign() * scaled.abs().floor().clamp(max=LARGEST)


def ramped(ramp: Ramp, x: Tensor) -> Tensor:
    """A column (n,), float32, in steps: float64 (n,), whole numbers from -128 to 127."""
    there = x.isfinite()
    reached = (fixed(torch.where(there, x, 0.0), ramp.power) - ramp.start).clamp(-REACH, REACH - 1)
    steps = ((reached * ramp.factor + 2.0 ** (BITS - 1)) * 2.0**-BITS).floor().clamp(LOW, HIGH)
    return torch.where(there, steps, float(ramp.filled))


def encode(op: Encode, x: Tensor) -> Tensor:
    """Rows of a table (n, columns), float32: float64 (n, numbers)."""
    made = [ramped(one, x[:, one.at]) for one in op.ramps]
    on, off = torch.tensor(float(op.on), dtype=torch.float64), torch.tensor(float(op.off), dtype=torch.float64)
    made += [torch.where(x[:, at].isfinite(), off, on) for at in op.missing]
    for one in op.hot:
        column = x[:, one.at]
        codes = torch.where(column.isfinite(), fixed(column.nan_to_num(0.0, 0.0, 0.0), 0), float(one.fill))
        made += [torch.where(codes == code, on, off) for code in range(one.codes)]
    for flag in op.flags:
        column = x[:, flag.at]
        there = column.isfinite()
        codes = torch.where(there, fixed(column.nan_to_num(0.0, 0.0, 0.0), 0), float(flag.fill))
        holds = ~there if flag.code is None else codes == flag.code
        made.append(torch.where(holds, float(flag.on), float(flag.off)).double())
    return torch.stack(made, dim=1)


_Source: TypeAlias = "Number | Flag | None"


def _sources(op: Features) -> list[_Source]:
    """What each number is, where it has a form without floats; flags are of 0 and 1."""
    found: list[_Source] = [*op.numbers, *[None] * len(op.logs)]
    found += [Flag(at, None, 0, 0, 1) for at in op.missing]
    return found + [Flag(one.at, code, one.fill, 0, 1) for one in op.hot for code in range(one.codes)]


@final
@dataclass(frozen=True)
class _Line:
    """``(x - zero) / step``, rounded to the nearest: what a ramp is to be."""

    zero: float
    step: float

    def ramp(self, number: Number) -> Ramp | None:
        """In integers; None where they would not do."""
        if not (math.isfinite(self.zero) and math.isfinite(self.step)) or self.step <= 0.0:
            return None
        power = math.floor(math.log2((2 * REACH - 1) / 256 / self.step))
        if abs(power) > POWERS or abs(self.zero) > FARTHEST * 256 * self.step:
            return None
        per_step = self.step * 2.0**power  # 128 to 256
        ramp = Ramp(number.at, round(self.zero * 2.0**power), round(2.0**BITS / per_step), power, 0)
        filled = ramped(ramp, torch.tensor([number.fill], dtype=torch.float32))
        return Ramp(ramp.at, ramp.start, ramp.factor, ramp.power, int(filled.item()))


def _of_features(op: Features, one: Quantization) -> Encode | None:
    if op.logs or op.clipped:
        return None
    scale, zero = (np.broadcast_to(each, op.output.size) for each in (one.scale, one.zero))
    ramps = []
    for place, number in enumerate(op.numbers):
        line = _Line(number.mean - number.std * zero[place] * scale[place], number.std * scale[place])
        ramps.append(line.ramp(number))
    last = op.output.size - 1
    off, on = (round(float(np.clip(truth / scale[last] + zero[last], LOW, HIGH))) for truth in (0.0, 1.0))
    return _complete(op, ramps, off, on)


def _of_bins(op: Bins, sources: list[_Source], one: Quantization) -> Encode | None:
    scale, zero = (np.broadcast_to(each, op.output.size) for each in (one.scale, one.zero))
    ends = np.stack([(LOW - zero) * scale, (HIGH - zero) * scale])
    if not np.allclose(ends, [[0.0], [1.0]]):  # what cuts bins off at 0 and 1
        return None
    ramps: list[Ramp | None] = []
    flags: list[Flag] = []
    for place, (at, low, high) in enumerate(_bins(op)):
        source, step = sources[at] if at < len(sources) else None, (high - low) * scale[place]
        if isinstance(source, Flag):
            off, on = (round(min(max((truth - low) / step + LOW, LOW), HIGH)) for truth in (0.0, 1.0))
            flags.append(replace(source, off=off, on=on))
        elif source is None or flags:  # ramps come first
            return None
        else:
            ramps.append(_Line(source.mean + source.std * (low - zero[place] * step), source.std * step).ramp(source))
    return _complete(op, ramps, LOW, HIGH, tuple(flags))


def _bins(op: Bins) -> Iterator[tuple[int, float, float]]:
    for run in op.runs:
        for low, high in zip(run.edges, run.edges[1:], strict=False):
            yield run.at, low, high


def _complete(
    op: Features | Bins, ramps: list[Ramp | None], off: int, on: int, flags: tuple[Flag, ...] = ()
) -> Encode | None:
    whole = [ramp for ramp in ramps if ramp is not None]
    if len(whole) != len(ramps):
        return None
    missing, hot = (op.missing, op.hot) if isinstance(op, Features) else ((), ())
    return Encode(op.label, op.x, op.output, tuple(whole), missing, hot, off, on, flags)
