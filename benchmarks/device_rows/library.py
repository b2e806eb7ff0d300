"""Generated code as a shared library of this process, called for many rows, one at a time."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from steerage.export.c.generate import Generated

LOOP = """
#include "net.h"
#include <string.h>
void loop(const INPUT *x, int rows, int times, SCORE *y);
void loop(const INPUT *x, int rows, int times, SCORE *y)
{
    static net_scratch scratch;
    for (int time = 0; time < times; ++time)
        for (int row = 0; row < rows; ++row) {
            const SCORE *const scores = net_scores(x + row * NET_INPUTS, &scratch);
            memcpy(y + row * NET_OUTPUTS, scores, NET_OUTPUTS * sizeof *y);
        }
}
"""


class Library:
    """``generated``, whose name is "net", compiled by ``compiler`` with ``flags``; ``rows``: encoded, (n, *input)."""

    def __init__(self, generated: Generated, compiler: str, flags: Sequence[str], rows: Tensor) -> None:
        program = generated.layout.program
        taken = np.uint8 if program.input.dtype == "uint8" else np.float32
        self._rows = np.ascontiguousarray(rows.reshape(len(rows), -1).numpy().astype(taken))
        self._scores = np.empty((len(rows), program.output.size), dtype=program.output.dtype)
        words = {"INPUT": "uint8_t" if taken is np.uint8 else "float"}
        words["SCORE"] = {"float32": "float", "int8": "int8_t", "int32": "int32_t"}[program.output.dtype]
        text = LOOP
        for word, name in words.items():
            text = text.replace(f"{word} ", f"{name} ").replace(f"({word})", f"({name})")
        with tempfile.TemporaryDirectory() as folder:
            for name, content in {**generated.files, "loop.c": text}.items():
                (Path(folder) / name).write_text(content)
            shared = Path(folder) / "net.so"
            words_of = [compiler, "-std=c99", *flags, "-fPIC", "-shared", "net.c", "loop.c", "-lm", "-o", str(shared)]
            subprocess.run(words_of, cwd=folder, check=True)
            self._loop: Any = ctypes.CDLL(str(shared)).loop

    def __call__(self, times: int = 1) -> None:
        """All rows, ``times`` times."""
        x, y = (one.ctypes.data_as(ctypes.c_void_p) for one in (self._rows, self._scores))
        self._loop(x, len(self._rows), times, y)

    def scores(self) -> NDArray[Any]:
        """What the code returns: (rows, outputs)."""
        self()
        return self._scores.copy()
