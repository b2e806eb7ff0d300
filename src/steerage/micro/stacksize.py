"""Bytes of the stack that generated code takes: the frames of the functions that are at work at once.

``benchmarks/stack_frames.py`` made the table of frames, with the compiler that ``code_bytes.json`` names, at -O2. What
is not in it is estimated: the frame of NAME_scores, and what libraries take.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import final

from steerage.micro.codesize import INLINED, Core, kernel_key, statements
from steerage.micro.ir import Conv, Op, steps
from steerage.micro.kernels import Kernel, layer_kernel
from steerage.micro.storage import Layer, Stored

TABLE = Path(__file__).with_name("stack_frames.json")
WORD = 4
REGISTERS = 4  # that pass arguments; the others are on the stack
FEW = 5  # calls up to which NAME_scores has few values to keep
SAVED_FEW, SAVED, SAVED_BESIDE_ROWS = 16, 20, 32  # bytes of registers that it saves; the last with convolutions
LIBRARY: Mapping[Core, int] = {"cortex-m4": 0, "cortex-m3": 0, "cortex-m0": 32}  # of arithmetic in software
DIVISION: Mapping[Core, int] = {"cortex-m4": 48, "cortex-m3": 48, "cortex-m0": 96}  # of integers of 64 bits
MATHEMATICS = 96  # of expf and its like
# Of what a convolution works with (conv_shape.c): always there, and by flag.
ROWS_WORDS, WHOLE_WORDS = 8, 2
MORE_WORDS: Mapping[str, int] = {"chain": 1, "image": 1, "floats": 3, "plus": 2, "rescale": 1, "averaged": 1}
CALLED: Mapping[str, str] = {"row_delta": "next", "linear_delta": "next"}


def stack_bytes(
    ops: Sequence[Op], stored: Mapping[Layer, Stored], kernels: Sequence[Kernel], core: Core = "cortex-m4"
) -> int:
    """Bytes of the stack that a call of NAME_scores takes."""
    return _Frames(kernels, core).scores(ops, stored)


@final
class _Frames:
    """Frames of the functions of one network on one core."""

    def __init__(self, kernels: Sequence[Kernel], core: Core) -> None:
        self._core, self._table = core, _table()[core]
        self._kernels = {kernel.file: kernel for kernel in kernels}
        self._all = kernels

    def scores(self, ops: Sequence[Op], stored: Mapping[Layer, Stored]) -> int:
        """NAME_scores, and the deepest of what it calls."""
        arguments = [count for op in ops for count in statements(op, stored)]
        passed = WORD * max([0, *(count - REGISTERS for count in arguments)])
        chain = max((sum(isinstance(op, Conv) for op in step) for step in steps(tuple(ops))), default=0)
        saved = SAVED_FEW if len(arguments) <= FEW else SAVED_BESIDE_ROWS if chain else SAVED
        own = passed + (chain * self._rows_bytes() if chain else 0) + saved
        rows = ("row_", *_OF_CONVOLUTIONS)
        plain = [self._frame(kernel) for kernel in self._all if not kernel.file.startswith(rows)]
        convolved = [self._conv(step, stored) for step in steps(tuple(ops)) if isinstance(step[-1], Conv)]
        return -(-own // 8) * 8 + max([0, *plain, *convolved])

    def _rows_bytes(self) -> int:
        flags = self._kernels["conv_shape"].flags
        whole = WHOLE_WORDS if "int8" in flags else 0
        return WORD * (ROWS_WORDS + whole + sum(MORE_WORDS[flag] for flag in flags if flag in MORE_WORDS))

    def _conv(self, step: Sequence[Op], stored: Mapping[Layer, Stored]) -> int:
        """Convolutions that feed each other, from the last one down."""
        deepest = 0
        for op in step:
            assert isinstance(op, Conv)
            row = layer_kernel(op, stored[op])
            assert row is not None
            inside = [self._frame(row)]
            if op.loads:
                inside.append(self._frame(self._kernels["load"]) + (deepest if op.fed else 0))
            inside += [self._frame(self._kernels[name]) for name in self._after(op)]
            if op.plus is not None:
                inside.append(self._frame(self._kernels["plus_row"]))
            deepest = self._frame(self._kernels["conv_row"]) + max(inside)
        return self._frame(self._kernels["conv"]) + deepest

    def _after(self, op: Conv) -> list[str]:
        """Functions that follow a row of a convolution."""
        names = ["activate"] if op.act is not None or op.then is not None else []
        if op.pool is not None:
            names.append("average_row" if op.pooling != "max" and "average_row" in self._kernels else "pool_row")
        return names

    def _frame(self, kernel: Kernel) -> int:
        """Of a function, and of the small ones that it calls."""
        if kernel.file in _INSIDE:
            return 0
        own = self._own(kernel)
        if kernel.file in CALLED:
            own += self._own(Kernel(CALLED[kernel.file]))
        if kernel.file == "upright":
            own += DIVISION[self._core]
        return own if "int8" in kernel.flags or kernel.file in _WITHOUT_FLOATS else own + self._library(kernel)

    def _own(self, kernel: Kernel) -> int:
        if kernel.file == "activate" and "int8" not in kernel.flags:
            return max(self._table[f"activate:{kind}"] for kind in kernel.flags)
        return self._table[kernel_key(kernel)]

    def _library(self, kernel: Kernel) -> int:
        mathematics = kernel.file in ("logs", "softmax") or bool(kernel.flags & _CURVES)
        return MATHEMATICS if mathematics else LIBRARY[self._core]


_INSIDE = frozenset({"conv_shape", "conv_row_first", *INLINED})
_OF_CONVOLUTIONS = _INSIDE | {"conv", "conv_row", "load", "pool_row", "plus_row", "average_row"}
_WITHOUT_FLOATS = frozenset({"next", "quantize", "load", "conv", "conv_row", "upright"})
_CURVES = frozenset({"elu", "gelu", "gelu_tanh", "silu", "sigmoid", "tanh"})


@cache
def _table() -> Mapping[Core, Mapping[str, int]]:
    document: Mapping[Core, Mapping[str, int]] = json.loads(TABLE.read_text(encoding="utf-8"))
    return document
