"""Where each value lies in the one scratch arena: as low a peak as can be found, values written over each other.

Sizes and places are in bytes; what has four bytes a number begins at a multiple of four.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import final

import numpy as np

from steerage.micro.ir import (
    BYTES,
    Activate,
    Affine,
    Combine,
    Conv,
    Gate,
    Gather,
    Join,
    Linear,
    Op,
    Pool,
    Program,
    Quantize,
    Softmax,
    Value,
    steps,
    stored_inputs,
)

WORD = 4
TRIED_ALL = 6  # buffers up to which every order of placement is tried
TRIED = 300  # orders beyond that


@final
@dataclass(frozen=True, eq=False)
class Plan:
    """Places in the arena. ``values``: of every value but the input and what feeds a convolution; ``extra``: of what an
    operation needs beside them.

    ``bytes``: length of the arena.
    """

    values: Mapping[Value, int]
    extra: Mapping[tuple[Op, str], int]
    bytes: int


def plan(program: Program) -> Plan:
    """Places for all values of ``program`` that are stored."""
    buffers = _buffers(program)
    placed = _placed(buffers)
    extra = {buffer.extra: place for buffer, place in zip(buffers, placed, strict=True) if buffer.extra is not None}
    values = {
        value: place + offset
        for buffer, place in zip(buffers, placed, strict=True)
        for value, offset in buffer.values.items()
    }
    length = max((place + buffer.size for buffer, place in zip(buffers, placed, strict=True)), default=0)
    return Plan(values, extra, -(-length // WORD) * WORD)


def extras(op: Op) -> dict[str, int]:
    """Bytes that an operation needs while it is done: rows of its input beside zeros, a row of its output.

    Integers that are averaged are added up before, for a row of all channels.
    """
    if not isinstance(op, Conv):
        return {}
    found, each = {}, BYTES[op.output.dtype]
    if op.loads:
        found["window"] = each * op.window.kernel[0] * op.x.shape[0] * op.padded
    if op.pool is not None or op.plus is not None:
        found["line"] = each * op.computed[1]
    if op.pool is not None and op.pooling != "max" and op.output.dtype == "int8":
        found["sums"] = WORD * op.output.shape[0] * op.output.shape[2]
    return found


def clearance(step: Sequence[Op], value: Value) -> int | None:
    """By how many numbers the input ``value`` must begin after the output, to be read before it is overwritten.

    ``step``: operations that are done together. None where the two must not share memory at all.
    """
    op = step[-1]
    if BYTES[value.dtype] < BYTES[op.output.dtype] or value.dtype == "uint8":  # an image, which is no map of ours
        return None
    if isinstance(op, Activate | Affine | Softmax | Quantize) or (isinstance(op, Gather) and op.index is None):
        return 0
    if isinstance(op, Gate):
        return 0 if value is op.x else None
    if isinstance(op, Linear):
        return 0 if value is op.onto else None
    if isinstance(op, Combine):
        return 0 if (value is op.x or not op.padded) and op.x is not op.y else None
    if isinstance(op, Conv):
        return _clearance_of_rows([one for one in step if isinstance(one, Conv)], value)
    if isinstance(op, Pool):
        return _clearance_of_pixels(op)
    return None


def _clearance_of_rows(step: Sequence[Conv], value: Value) -> int:
    """Convolutions write one row of the last one's output after the other, when they have read ``value`` that far."""
    last = step[-1]
    row_in, row_out = value.shape[0] * value.shape[2], last.output.shape[0] * last.output.shape[2]
    needed = -(2**31)
    for row in range(last.computed[0]):
        written = (row // (last.pool or (1, 1))[0] + 1) * row_out
        if last.plus is value:
            same = last.plus_stride == 1 and value.shape == last.output.shape  # number by number, after it was read
            needed = max(needed, 0 if same else written - row * last.plus_stride * row_in)
        # What is read in place is still being read while a row is written.
        read = _loaded(last, row) if last.loads else min(row * last.window.stride[0], last.x.shape[1])
        for one in reversed(step[:-1]):
            if one.plus is value:
                needed = max(needed, written - read * one.plus_stride * row_in)
            read = _read_for(one, read)
        if step[0].x is value:
            needed = max(needed, written - read * row_in)
    return needed


def _loaded(op: Conv, row: int) -> int:
    """Input rows that were copied when a row of a convolution is computed."""
    return min(max(row * op.window.stride[0] - op.window.padding[0] + op.window.kernel[0], 0), op.x.shape[1])


def _read_for(op: Conv, rows: int) -> int:
    """Input rows that a convolution needs no more when it has made so many rows of its output."""
    done = rows * (op.pool or (1, 1))[0]
    if op.loads:
        return _loaded(op, done - 1) if done else 0
    return min(done * op.window.stride[0], op.x.shape[1])


def _clearance_of_pixels(op: Pool) -> int:
    """A pooling writes one number after the other, each when it has read those that it is made of."""
    channels, height, width = op.x.shape
    _, rows, columns = op.output.shape
    y, channel, x = np.meshgrid(np.arange(rows), np.arange(channels), np.arange(columns), indexing="ij")
    top = np.maximum(y * op.window.stride[0] - op.window.padding[0], 0)
    left = np.maximum(x * op.window.stride[1] - op.window.padding[1], 0)
    first = ((top * channels + channel) * width + left).ravel()
    unread = np.minimum.accumulate(first[::-1])[::-1]  # first place that is read from each number on
    behind = np.append(unread[1:], height * channels * width)
    return int((np.arange(1, behind.size + 1) - behind).max())


@final
@dataclass(frozen=True, eq=False)
class _Buffer:
    """A stretch of the arena: ``values`` at their offsets in it, in use from operation ``start`` to ``end``.

    It begins at a multiple of ``align``.
    """

    size: int
    align: int
    start: int
    end: int
    values: Mapping[Value, int]
    extra: tuple[Op, str] | None
    over: Mapping[int, int]  # by number of another buffer: how far after this one it must begin, to be written over


def _buffers(program: Program) -> list[_Buffer]:
    """Buffers of a program; values that are joined share one."""
    done = steps(program.ops)
    root: dict[Value, tuple[Value, int]] = {}
    for op in program.ops:
        if isinstance(op, Join):
            offset = 0
            for part in op.inputs:
                root[part] = (op.output, offset)
                offset += part.bytes

    def home(value: Value) -> tuple[Value, int]:
        at = 0
        while value in root:
            value, offset = root[value]
            at += offset
        return value, at

    start: dict[Value, int] = {}
    end: dict[Value, int] = {}
    members: dict[Value, dict[Value, int]] = {}
    for place, step in enumerate(done):
        for value in (*stored_inputs(step), step[-1].output):
            if value is not program.input:
                whole, offset = home(value)
                members.setdefault(whole, {})[value] = offset
                start.setdefault(whole, place)
                end[whole] = place
    end[home(program.output)[0]] = len(done)
    number = {whole: index for index, whole in enumerate(members)}
    over: dict[Value, dict[int, int]] = {whole: {} for whole in members}
    for place, step in enumerate(done):
        if isinstance(step[-1], Join):
            continue
        result, at_result = home(step[-1].output)
        distances: defaultdict[Value, list[int | None]] = defaultdict(list)  # several inputs may lie in one buffer
        for value in stored_inputs(step):
            if value is not program.input:
                (source, at_source), needed = home(value), clearance(step, value)
                each = BYTES[step[-1].output.dtype]
                distances[source].append(None if needed is None else each * needed + at_result - at_source)
        for source, found in distances.items():
            allowed = [one for one in found if one is not None]
            if len(allowed) == len(found) and source is not result and end[source] == place == start[result]:
                over[result][number[source]] = max(allowed)
    buffers = [
        _Buffer(w.bytes, WORD if w.dtype == "uint8" else BYTES[w.dtype], start[w], end[w], members[w], None, over[w])
        for w in members
    ]
    for place, step in enumerate(done):
        for op in step:
            each = BYTES[op.output.dtype]
            buffers += [
                _Buffer(size, WORD if name == "sums" else each, place, place, {}, (op, name), {})
                for name, size in extras(op).items()
            ]
    return buffers


def _placed(buffers: Sequence[_Buffer]) -> list[int]:
    """A place for each buffer, of the lowest peak among the orders of placement that are tried."""
    floor = max(_loads(buffers), default=0)
    best: list[int] = []
    peak = 0
    for order in _orders(buffers):
        placed = _in_order(buffers, order)
        reached = max((place + buffer.size for place, buffer in zip(placed, buffers, strict=True)), default=0)
        if not best or reached < peak:
            best, peak = placed, reached
        if peak == floor:
            break
    return best


def at_peak(program: Program) -> list[Value]:
    """Values that are in memory when most of it is in use; of rows that are copied, the value that they are of."""
    buffers = _buffers(program)
    taken = _loads(buffers)
    moment = max(range(len(taken)), key=taken.__getitem__, default=0)
    used = [buffer for buffer in buffers if buffer.start <= moment <= buffer.end]
    rows = [buffer.extra[0].inputs[0] for buffer in used if buffer.extra is not None]
    return [*(value for buffer in used for value in buffer.values), *rows]


def loads(program: Program) -> list[int]:
    """Bytes that no plan can do without, for each step of ``program``."""
    return _loads(_buffers(program))


def _loads(buffers: Sequence[_Buffer]) -> list[int]:
    """Per step, the sizes of the buffers in use, less what one saves that is written over another."""
    found = []
    for moment in range(1 + max((buffer.end for buffer in buffers), default=-1)):
        used = {index for index, buffer in enumerate(buffers) if buffer.start <= moment <= buffer.end}
        saved = 0
        for index in used:
            for other, needed in buffers[index].over.items():
                if other in used:
                    one, two = buffers[index].size, buffers[other].size
                    saved += max(0, one + two - max(one, two + max(0, needed)))
        found.append(sum(buffers[index].size for index in used) - saved)
    return found


def _orders(buffers: Sequence[_Buffer]) -> Iterator[Sequence[int]]:
    """Orders in which to place buffers: large ones first, in the order of their making, and many more."""
    everyone = range(len(buffers))
    yield sorted(everyone, key=lambda index: (-buffers[index].size, buffers[index].start))
    yield sorted(everyone, key=lambda index: (buffers[index].start, -buffers[index].size))
    yield sorted(everyone, key=lambda index: (-buffers[index].end, -buffers[index].size))
    if len(buffers) <= TRIED_ALL:
        yield from permutations(everyone)
        return
    rng = np.random.default_rng(0)
    weights = np.array([buffer.size for buffer in buffers], dtype=float)
    for _ in range(TRIED):
        yield np.argsort(-weights * rng.uniform(0.3, 1.0, len(buffers)), kind="stable").tolist()


def _in_order(buffers: Sequence[_Buffer], order: Sequence[int]) -> list[int]:
    """Each buffer at the lowest place that those before it leave."""
    placed: dict[int, int] = {}
    for index in order:
        buffer = buffers[index]
        rivals = [
            other for other in placed if buffers[other].start <= buffer.end and buffer.start <= buffers[other].end
        ]
        spots = {0, *(placed[other] + buffers[other].size for other in rivals)}
        spots |= {placed[other] - needed for other, needed in buffer.over.items() if other in placed}
        spots |= {placed[other] + buffers[other].over[index] for other in rivals if index in buffers[other].over}
        for other in rivals:  # right before another one
            spots.add(placed[other] - buffer.size)
        placed[index] = next(
            spot
            for spot in sorted(_aligned(spots, buffer.align))
            if spot >= 0 and all(_can_share(buffers, index, spot, other, placed[other]) for other in rivals)
        )
    return [placed[index] for index in range(len(buffers))]


def _aligned(spots: set[int], align: int) -> set[int]:
    """The multiples of ``align`` next to each place."""
    return {one - one % align for one in spots} | {one + -one % align for one in spots}


def _can_share(buffers: Sequence[_Buffer], one: int, at_one: int, two: int, at_two: int) -> bool:
    """Whether two buffers that are in use at one time may lie at these places."""
    if at_one + buffers[one].size <= at_two or at_two + buffers[two].size <= at_one:
        return True
    if two in buffers[one].over:
        return at_two - at_one >= buffers[one].over[two]
    if one in buffers[two].over:
        return at_one - at_two >= buffers[two].over[one]
    return False
