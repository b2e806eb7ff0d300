"""How often the loops of generated code go round in an operation: what its instructions are a sum of.

A term is named after a function and a loop of it, as they are in ``export/c/kernels``. Counts are exact; what one of
each takes on a processor is in ``instructions.json``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from steerage.micro.codesize import statements
from steerage.micro.ir import (
    Act,
    Activate,
    Affine,
    Bins,
    Combine,
    Conv,
    Encode,
    Features,
    Gate,
    Gather,
    Join,
    Linear,
    Op,
    Pixels,
    Pool,
    Program,
    Quantize,
    Softmax,
    Stack,
    Upright,
    Value,
    Window,
)
from steerage.micro.kernels import acts_first, load_kind
from steerage.micro.storage import Layer, Stored

Terms = Counter[str]
HALF = 0.5  # of what a ReLU makes is zero, about
BITS = np.array([number.bit_length() for number in range(256)])


def program_terms(program: Program, stored: Mapping[Layer, Stored]) -> Terms:
    """Terms of a whole program, for one row."""
    return sum(operation_terms(program, stored).values(), Terms({"program": 1}))


def operation_terms(program: Program, stored: Mapping[Layer, Stored]) -> dict[Op, Terms]:
    """Terms of each operation, for one row."""
    found, zeros = dict[Op, Terms](), dict[Value, float]()
    for op in program.ops:
        found[op] = _terms(op, stored, zeros)
        zeros[op.output] = _zeros(op, zeros)
    return found


def _zeros(op: Op, zeros: Mapping[Value, float]) -> float:
    """What share of an operation's numbers is likely to be zero."""
    if isinstance(op, Features):  # one of the codes of a column is 1, and little is missing
        return (len(op.missing) + sum(one.codes - 1 for one in op.hot)) / op.output.size
    if isinstance(op, Bins):
        return HALF  # on the far side of the input
    if isinstance(op, Gather | Stack | Join):
        return sum(zeros.get(value, 0.0) * value.size for value in op.inputs) / sum(value.size for value in op.inputs)
    if isinstance(op, Conv) and op.pool is not None:
        return 0.0  # all pixels would have to be
    act = op.then if isinstance(op, Conv) and op.plus is not None else getattr(op, "act", None)
    return HALF if act is not None and (act.kind == "relu" or (act.kind == "clip" and act.numbers[0] == 0.0)) else 0.0


def _terms(op: Op, stored: Mapping[Layer, Stored], zeros: Mapping[Value, float]) -> Terms:
    """Terms of one operation. ``zeros``: share of each value that is zero, where any is."""
    arguments = statements(op, stored)
    found = Terms({"call": len(arguments), "argument": sum(arguments)})
    if isinstance(op, Linear | Conv):
        found.update(layer_terms(op, stored[op], full=1.0 - zeros.get(op.x, 0.0)))
    if isinstance(op, Conv):
        found.update(_around(op))
    elif isinstance(op, Linear):
        if op.output.dtype == "float32" and op.weights.bias is None and op.onto is None:
            found["fill"] += op.output.size if stored[op].format != "unrolled" else 0
        _add_act(found, op.act, op.output.size, 1)
    else:
        found.update(_other(op))
    return found


def layer_terms(layer: Layer, how: Stored, *, full: float = 1.0) -> Terms:
    """Terms of a layer alone, by how its weights are stored. ``full``: share of its inputs that is not zero.

    "multiply": products of a weight with an input, "multiply_full" those with an input that is not zero, zeros around
    a map being such, "multiply_none" those with a weight that is not there. They are what a core without a
    floating-point unit calls functions for, which take less time for zeros.
    """
    active, rows = layer.weights.active, layer.weights.shape[0]
    weights, places = int(active.sum()), active.numel()
    format = how.format.rstrip("168")  # an index of bytes is read as one of pairs of bytes is
    name, each = f"{'linear' if isinstance(layer, Linear) else 'row'}_{format}", places // rows
    if isinstance(layer, Linear):
        found, times = _linear(layer, how, name, weights, each), 1
        if layer.x.dtype == "uint8":
            found["byte"] += {"dense": -(-rows // 4) * each if rows >= 4 else places}.get(how.format, weights)
    else:
        blocks = -(-layer.computed[1] // how.block)
        found, times = Terms(), blocks * how.block * layer.computed[0]
        name += f"_{how.block}"
        again = layer.computed[0] * blocks  # that the weights of an output are gone through
        found[f"{name}:row"] += layer.computed[0] * rows
        found[f"{name}:block"] += again * rows
        if how.format == "dense":
            channels, height, _ = layer.weights.shape[1:]
            found[f"{name}:line"] += again * rows * height
            found[f"{name}:channel"] += again * rows * height * channels
            found[f"{name}:place"] += again * places
        if how.format == "bitmap" and how.index is not None:
            found[f"{name}:byte"] += again * how.index.size
            found[f"{name}:zero"] += again * (int(BITS[how.index].sum()) - weights)
        if how.format != "dense":
            found[f"{name}:weight"] += again * weights
        if how.format == "delta":
            found[f"{name}:far"] += again * _far(how, weights, rows)
    if layer.output.dtype == "float32":
        found["multiply"] += times * weights
        inside = math.prod(_inside(layer.x, layer.window, layer.computed)) if isinstance(layer, Conv) else 1.0
        found["multiply_full"] += round(times * weights * full * inside)
        found["multiply_none"] += times * (places - weights) * (how.format == "dense")
    return found


def _linear(layer: Linear, how: Stored, name: str, weights: int, inputs: int) -> Terms:
    rows = layer.weights.shape[0]
    if how.format == "dense":
        groups, left = divmod(rows, 4)
        return Terms(
            {
                f"{name}:group": groups,
                f"{name}:group_input": groups * inputs,
                f"{name}:row": left,
                f"{name}:row_input": left * inputs,
            }
        )
    found = Terms({f"{name}:row": rows, f"{name}:weight": weights})
    if how.format == "bitmap" and how.index is not None:
        found[f"{name}:byte"] += how.index.size
        found[f"{name}:place"] += int(BITS[how.index].sum())
    if how.format == "delta":
        found[f"{name}:far"] += _far(how, weights, rows)
    return found


def _far(how: Stored, weights: int, rows: int) -> int:
    """Bytes of steps that say no more than that they go on."""
    return 0 if how.index is None else how.index.size - weights - rows


def _add_act(found: Terms, act: Act | None, numbers: int, calls: int) -> None:
    if act is not None:
        found["activate"] += calls
        found[f"activate:{act.kind}"] += numbers


def _around(op: Conv) -> Terms:
    """Of a convolution, what is done before and after its sums."""
    rows, columns = op.computed
    outputs = op.output.shape[0]
    lines = rows * outputs  # rows of one channel each
    found = Terms({"conv:row": rows})
    if load_kind(op):
        found.update(_load(op))
    if op.pool is not None:
        kind = "max" if op.pooling == "max" else "average"
        found[f"pool_row_{kind}"] += lines
        found[f"pool_row_{kind}:column"] += lines * (columns // op.pool[1])
        found[f"pool_row_{kind}:number"] += lines * columns
        if op.rescale is not None:
            found["rescaled"] += op.output.size
    if op.plus is not None:
        found["plus_row"] += lines
        found["plus_row:number"] += lines * columns
    # What is fed is beside zeros, so that each channel is activated by itself.
    last = op.output.size, op.output.shape[1] * (outputs if op.feeds else 1)
    _add_act(found, op.act, *((lines * columns, lines) if acts_first(op) else last))
    _add_act(found, op.then, *last)
    return found


def _load(op: Conv) -> Terms:
    """Rows of the input that are copied beside zeros."""
    channels, height, width = op.x.shape
    kernel, stride, pad = op.window.kernel[0], op.window.stride[0], op.window.padding
    kept, row, copied, new = 0, channels * op.padded, 0, 0
    for at in range(op.computed[0]):
        stay = max(0, kernel - stride) if at else 0
        kept += stay
        new += kernel - stay
        first = at * stride - pad[0] + stay
        copied += max(0, min(height, at * stride - pad[0] + kernel) - max(0, first))
    found = Terms(
        {"load": op.computed[0], "load:kept": kept * row, "load:zero": new * row, "load:channel": new * channels}
    )
    if not op.fed:
        source = "map" if op.mean is None else op.x.dtype
        each = max(0, min(width, op.padded - pad[1]))
        found["load:line"] += copied * channels
        found[f"load:{source}"] += copied * channels * each
    return found


def _other(op: Op) -> Terms:
    """Of an operation that is no layer."""
    size = op.output.size
    if isinstance(op, Features):
        numbers = "clipped" if op.clipped else "numbers"
        groups = {numbers: op.numbers, "logs": op.logs, "missing": op.missing, "hot": op.hot}
        return Terms({**{name: len(group) for name, group in groups.items()}, "hot:code": sum(o.codes for o in op.hot)})
    if isinstance(op, Encode):
        groups = {"ramps": op.columns, "absent": op.missing, "categories": op.hot, "flags": op.flags}
        codes = sum(one.codes for one in op.hot)
        return Terms({**{name: len(group) for name, group in groups.items()}, "categories:code": codes})
    if isinstance(op, Bins):
        return Terms({"bins": len(op.runs), "bins:bin": size})
    if isinstance(op, Quantize):
        return Terms({"quantize": size})
    if isinstance(op, Upright):
        return Terms({"upright": 1, "upright:line": op.x.shape[0] * op.x.shape[1], "upright:number": size})
    if isinstance(op, Pixels):
        return Terms({"pixels:line": op.x.shape[0] * op.x.shape[1], f"pixels:{op.x.dtype}": size})
    if isinstance(op, Softmax):
        return Terms({"softmax": size})
    if isinstance(op, Activate):
        found = Terms()
        _add_act(found, op.act, size, 1)
        return found
    if isinstance(op, Combine):
        if op.padded:
            lines = op.output.shape[0] * op.output.shape[1]
            return Terms({"add_padded:line": lines, "add_padded": size})
        return Terms({"add" if op.kind == "subtract" else op.kind: size})
    if isinstance(op, Gate | Affine):
        name = type(op).__name__.lower()
        lines = op.x.shape[0] * op.x.shape[1] if len(op.x.shape) == 3 else size
        if isinstance(op, Affine) and op.scale.numel() != op.x.shape[0]:
            lines = size
        return Terms({f"{name}:line": lines, name: size})
    if isinstance(op, Pool):
        return _pool(op)
    if isinstance(op, Stack):
        return Terms({"stack:line": len(op.inputs) * op.output.shape[1], "stack": size})
    return Terms({"gather": size if isinstance(op, Gather) else 0})


def _pool(op: Pool) -> Terms:
    rows_inside, columns_inside = (
        round(share * made * kernel)
        for share, made, kernel in zip(
            _inside(op.x, op.window, op.output.shape[1:]), op.output.shape[1:], op.window.kernel, strict=True
        )
    )
    channels, _, columns = op.output.shape
    kind = "max" if op.kind == "max" else "average"
    return Terms(
        {
            f"pool_{kind}": op.output.size,
            "pool:line": channels * columns * rows_inside,
            "pool:place": channels * columns * rows_inside * op.window.kernel[1],
            f"pool_{kind}:number": channels * rows_inside * columns_inside,
        }
    )


def _inside(x: Value, window: Window, made: Sequence[int]) -> list[float]:
    """Of the rows and the columns under all windows of a map, the shares that are not around it."""
    found = []
    sides = zip(x.shape[1:], made, window.kernel, window.stride, window.padding, strict=True)
    for length, places, kernel, stride, pad in sides:
        first = np.arange(places) * stride - pad
        inside = (np.minimum(first + kernel, length) - np.maximum(first, 0)).clip(0)
        found.append(float(inside.mean()) / kernel)
    return found
