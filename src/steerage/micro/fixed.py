"""Arithmetic of integer networks: real multipliers as small integers and shifts, with one rule of rounding.

What is to be rounded is shifted right, which rounds down, after half a step was added; the half is part of a bias.
Numbers have 32 bits on the way, and the largest that any input can lead to is known to fit before a factor is chosen.

Sums of products with weights: ``(sum * (8 + code // 32)) >> code % 32``. So coarse a multiplier costs nothing, as the
steps of a row's weights are chosen to fit it: they are at most an eighth larger than they would have to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray

Reals: TypeAlias = "NDArray[np.float64]"

MOST = 2.0**31 - 1  # of a number of 32 bits
LARGEST_WEIGHT = 127
SHIFTS = 22  # beyond it half a range of outputs would not fit
LARGEST_FACTOR = 2**15 - 1
LARGEST_MULTIPLIER = 15.0  # of a sum of products


@final
@dataclass(frozen=True, eq=False)
class Part:
    """Weights of a sum over one input, (outputs, inputs) in steps of the output for one of the input.

    ``zero``: what stands for zero, (inputs,) or (outputs, inputs). ``largest``: absolute value of an input.
    """

    weights: Reals
    zero: Reals
    largest: float


@final
@dataclass(frozen=True, eq=False)
class Rows:
    """``values``: integers (outputs, inputs) of each part; ``bias``, ``codes``, ``steps`` (outputs,).

    ``steps``: output steps of one step of a sum, the multiplier that the code stands for.
    """

    values: tuple[Reals, ...]
    bias: Reals
    codes: Reals
    steps: Reals


def rows(parts: Sequence[Part], bias: Reals) -> Rows:
    """Integer weights for sums over ``parts``; ``bias``: (outputs,) in steps of the output, its zero with it.

    Weights of a row that moves its output by a multiple of its range are cut off: only a layer whose output hardly
    moved on the calibration rows has such.
    """
    largest = np.max([np.abs(part.weights).max(axis=1, initial=0.0) for part in parts], axis=0)
    steps, shifts = _representable(largest / LARGEST_WEIGHT)
    while True:
        values = tuple(_weights(part.weights / steps[:, None]) for part in parts)
        zeros = sum(((value * part.zero).sum(axis=1) for value, part in zip(values, parts, strict=True)), 0.0 * bias)
        whole = np.rint((bias + 0.5) / steps - zeros)
        reach = [np.abs(value).sum(axis=1) * part.largest for value, part in zip(values, parts, strict=True)]
        room = MOST / LARGEST_MULTIPLIER - sum(reach, 0.0 * bias)
        too_large = (np.abs(whole) > room) & (shifts > 0)
        if not too_large.any():
            break
        steps, shifts = np.where(too_large, 2 * steps, steps), np.where(too_large, shifts - 1, shifts)
    room = np.maximum(np.floor(room), 0.0)
    whole = whole.clip(-room, room)  # where no shift is left, the output is at an end of its range anyway
    codes = 32 * (np.rint(steps * 2.0**shifts) - 8) + shifts
    return Rows(values, whole, codes, steps)


def _weights(real: Reals) -> Reals:
    return np.rint(real).clip(-LARGEST_WEIGHT, LARGEST_WEIGHT)


def _representable(least: Reals) -> tuple[Reals, Reals]:
    """The smallest multipliers of eight to fifteen and a shift that are as large, and their shifts."""
    mantissa, exponent = np.frexp(least.clip(2.0**-40, LARGEST_MULTIPLIER))  # mantissa in [0.5, 1)
    eighths = np.ceil(mantissa * 16.0)  # 8 to 16
    shifts = 4.0 - exponent
    shifts, eighths = np.where(eighths == 16, shifts - 1, shifts), np.where(eighths == 16, 8.0, eighths)
    eighths = np.where(shifts > SHIFTS, 8.0, eighths)
    shifts = np.minimum(shifts, SHIFTS)
    return eighths * 2.0**-shifts, shifts


@final
@dataclass(frozen=True, eq=False)
class Factors:
    """``(sum of factors[k] * x[k] + bias) >> shift``; ``factors``: (terms, channels), ``bias``: (channels,)."""

    factors: Reals
    bias: Reals
    shift: int


def factors(real: Reals, offset: Reals, largest: Sequence[float]) -> Factors:
    """The finest integers for ``sum of real[k] * x[k] + offset``, (terms, channels) and (channels,).

    ``largest``: absolute value of each term's x.
    """
    bounds = np.asarray(largest)[:, None]
    most = MOST / 4 / len(bounds)  # of each term; what is larger leaves the range of outputs anyway
    limits = np.minimum(most / bounds, LARGEST_FACTOR)
    real, offset = real.clip(-limits, limits), offset.clip(-most, most)
    for shift in range(30, -1, -1):
        whole, bias = np.rint(real * 2.0**shift), np.rint((offset + 0.5) * 2.0**shift)
        reach = (np.abs(whole) * bounds).sum(axis=0) + np.abs(bias)
        if np.abs(whole).max(initial=0.0) <= LARGEST_FACTOR and reach.max(initial=0.0) <= MOST:
            return Factors(whole, bias, shift)
    raise AssertionError("terms that fit do so without a shift")
