"""Estimated sizes of generated code, from what the functions measured when ``code_bytes.json`` was made.

``benchmarks/code_bytes.py`` makes it: each function by itself, with the compiler that the file names, at -O2. Another
compiler, version or level gives other sizes; tables, which are most of a network, do not depend on it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from steerage.micro.ir import (
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
    Quantize,
    Softmax,
    Stack,
    Upright,
    is_whole,
    runs,
)
from steerage.micro.kernels import Kernel
from steerage.micro.storage import Layer, Stored
from steerage.micro.tables import tables

Core = Literal["cortex-m4", "cortex-m3", "cortex-m0"]
CORES: tuple[Core, ...] = get_args(Core)
TABLE = Path(__file__).with_name("code_bytes.json")
STRIDES = 3  # of convolutions up to which functions were measured; larger ones are like it
# What functions and activations take from libraries, besides addition and multiplication on a core without a
# floating-point unit: functions of the mathematical one, and on such cores "subtract", "compare", "divide", "convert"
# (integers); "copy" stands for what compilers make of loops that move memory.
TAKEN: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("leaky_relu", "clip", "only_max"), ("compare",)),
    **dict.fromkeys(("numbers", "clipped", "missing"), ("subtract", "compare")),
    **dict.fromkeys(("hardsigmoid", "hardswish"), ("compare", "divide")),
    "bins": ("subtract", "compare", "divide"),
    "both": ("compare", "divide"),
    "only_average": ("divide",),
    "average": ("convert",),
    "pool": ("compare", "divide", "convert"),
    "hot": ("subtract", "compare", "convert"),
    **dict.fromkeys(("uint8", "_bytes"), ("convert",)),
    **dict.fromkeys(("image", "_subtract", "pixels", "formulas"), ("subtract",)),
    "load": ("copy",),
    "elu": ("compare", "expm1f"),
    "gelu": ("erff",),
    "gelu_tanh": ("tanhf",),
    **dict.fromkeys(("silu", "sigmoid"), ("divide", "expf")),
    "tanh": ("tanhf",),
    "logs": ("subtract", "compare", "divide", "log1pf"),
    "softmax": ("subtract", "compare", "divide", "expf"),
}

# Part of the functions that call them:
INLINED = ("first", "positive", "narrow", "scaled", "rescale", "bits", "none", "fixed", "ramp")
WHOLE_TAKEN: Mapping[str, str] = {"load": "copy", "pool": "quotient", "upright": "moments"}  # of functions of integers


def kernel_key(kernel: Kernel) -> str:
    """Name of a function in the table; its flags are a part of it where they change what it does."""
    name = kernel.name
    if kernel.file.startswith("row_"):
        bits, block, stride = kernel.variant.split("_")
        name = f"{kernel.file}{bits}_{block}_{min(int(stride), STRIDES)}"
    flags = kernel.flags & {"int8"} if kernel.file == "activate" else kernel.flags
    return f"{name}:{','.join(sorted(flags))}" if flags else name


def kernel_bytes(kernel: Kernel, core: Core = "cortex-m4") -> int:
    """Code of a function, without what it calls."""
    sizes = _table()[core]["kernels"]
    if kernel.file in ("conv_shape", "conv_row_first", *INLINED):
        return 0  # declarations, and what is part of those that call it
    if kernel.file == "activate" and "int8" not in kernel.flags:
        return int(sizes["activate"] + sum(sizes[f"activate:{kind}"] for kind in kernel.flags))
    return int(sizes[kernel_key(kernel)])


def rows_bytes(kernels: tuple[Kernel, ...], core: Core = "cortex-m4") -> int:
    """Code by which a convolution tells several functions for its rows apart."""
    rows = [kernel for kernel in kernels if kernel.file.startswith("row_")]
    case = "row_case:int8" if any("int8" in kernel.flags for kernel in rows) else "row_case"
    return int(_table()[core]["kernels"][case]) * max(0, len(rows) - 1)


def library_bytes(kernels: tuple[Kernel, ...], core: Core = "cortex-m4", *, formulas: bool = False) -> int:
    """Code of the libraries; ``formulas``: there are layers without tables."""
    sizes = _table()[core]["library"]
    whole = [kernel for kernel in kernels if _is_whole(kernel)]
    kernels = tuple(kernel for kernel in kernels if kernel not in whole)
    if whole and not kernels:
        return int(sum(sizes[name] for name in {WHOLE_TAKEN[one.file] for one in whole if one.file in WHOLE_TAKEN}))
    words = {word for kernel in kernels for word in (kernel.file, *kernel.flags, kernel.variant.lstrip("0123456789"))}
    words |= {"formulas"} if formulas else set()
    for kernel in kernels:  # of integers: floats become such, or the other way round
        if "int8" in kernel.flags:
            words.add("average")
    taken = {name for word in words for name in TAKEN.get(word, ())}
    taken |= {WHOLE_TAKEN[one.file] for one in whole if one.file in WHOLE_TAKEN}
    return int(sizes["basic"] + sum(sizes[name] for name in taken))


def _is_whole(kernel: Kernel) -> bool:
    """Whether a function has nothing to do with floats."""
    integers = "int8" in kernel.flags and kernel.file != "softmax"
    return integers or kernel.file in (*INLINED, "quantize", "next", "average_row", "upright")


def unrolled_bytes(layer: Layer, core: Core = "cortex-m4") -> int:
    """Code of a linear layer as a formula."""
    whole = layer.output.dtype != "float32"
    per_weight, per_output = _table()[core]["unrolled_int8" if whole else "unrolled"]
    return int(per_weight * int(layer.weights.active.sum()) + per_output * layer.weights.shape[0])


def calls_bytes(ops: tuple[Op, ...], stored: Mapping[Layer, Stored], core: Core = "cortex-m4") -> int:
    """Code that calls the functions: that of NAME_scores and NAME_class."""
    whole = any(op.output.dtype == "int8" for op in ops)
    fixed, *each = _table()[core]["calls_int8" if whole else "calls"]
    return int(fixed + sum(bytes * count for bytes, count in zip(each, calling(ops, stored), strict=True)))


def calling(ops: tuple[Op, ...], stored: Mapping[Layer, Stored]) -> tuple[int, int, int]:
    """Calls that NAME_scores makes, addresses of tables in it, and what it says of each convolution at work."""
    calls = sum(len(statements(op, stored)) for op in ops)
    addresses = sum(len(tables(op, stored)) for op in ops)
    return calls, addresses, sum(_fields(op, stored) for op in ops if isinstance(op, Conv))


def _fields(op: Conv, stored: Mapping[Layer, Stored]) -> int:
    """Of its record, those that are not zero."""
    whole = op.output.dtype != "float32"
    found = 1 + len(tables(op, stored)) + op.loads + (op.pool is not None or op.plus is not None)
    found += op.plus is not None
    if whole:
        image = op.mean is not None
        found += (3 if op.x.dtype == "float32" else 0) if image else 1
        found += op.pool is not None and op.pooling != "max"
    return found


def statements(op: Op, stored: Mapping[Layer, Stored]) -> list[int]:
    """Number of arguments of each call that an operation is made of."""
    whole = is_whole(op)
    if isinstance(op, Linear):
        format = stored[op].format
        found = [] if format == "unrolled" else [7 + whole if format == "bitmap" else 6 + whole]
        if not whole and op.weights.bias is None and op.onto is None and format != "unrolled":
            found.append(2)
        return [*found, 4] if op.act is not None else found
    if isinstance(op, Features):
        groups = ((op.numbers, 7), (op.logs, 8), (op.missing, 4), (op.hot, 6))
        return [count for group, count in groups if group]
    if isinstance(op, Encode):
        return [count for group, count in ((op.columns, 8), (op.missing, 6), (op.hot, 8), (op.flags, 8)) if group]
    if isinstance(op, Combine):
        return [9 + whole if op.padded else 4 + whole]
    if isinstance(op, Stack):
        return [5] * len(op.inputs)
    if isinstance(op, Quantize):
        return [6] * (len(runs(op)) - 1)
    if isinstance(op, Conv):
        return [] if op.feeds else [2]
    return [] if isinstance(op, Join) else [_ARGUMENTS[type(op)] + whole]


_ARGUMENTS: Mapping[type[Op], int] = {
    Pool: 3,
    Gate: 6,
    Affine: 7,
    Activate: 4,
    Bins: 6,
    Gather: 4,
    Softmax: 3,
    Pixels: 7,
    Upright: 6,
}


@cache
def _table() -> Mapping[str, Any]:
    document: Mapping[str, Any] = json.loads(TABLE.read_text(encoding="utf-8"))
    return document
