"""Generated code is clean C99, and computes what PyTorch does: two compilers, sanitizers, real rows, integers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import row

from device_rows.library import Library
from device_rows.networks import kept, rows_of
from steerage.bundle import Network
from steerage.errors import ExportMismatch
from steerage.export.c import Quantized, generate, quantize, verify
from steerage.export.c.quantized import error_of
from steerage.export.c.selftest import expected, reference
from steerage.export.c.toolchain import Target

ROWS = 1_000
CLOSE = 1e-5
COMPILERS = ("gcc", "clang")
SANITIZED = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g")
LOST = 0.003  # error that integers may add


def measured_of(name: str, runs: Path) -> dict[str, Any]:
    """Rows that fail, by numbers and compiler; errors on the whole test set."""
    net = kept(name, runs)
    (x, y), (test, labels) = (rows_of(name, net, part) for part in ("train", "test"))
    rows = torch.cat([test, x])[:ROWS]
    whole = quantize(net, x, labels=y)
    found: dict[str, Any] = {"rows": len(rows), "test rows": len(test)}
    for numbers, int8 in (("float", None), ("int8", whole)):
        for compiler in COMPILERS:
            found[f"{numbers}, {compiler}: refused with all warnings"] = refused(net, compiler, (), rows[:1], int8)
        found[f"{numbers}: refused by ASan and UBSan"] = refused(net, "gcc", SANITIZED, rows, int8)
        found[f"{numbers}: rows that differ"] = different(net, rows, int8)
    made = torch.from_numpy(Library(generate(net, name="net", int8=whole), "gcc", ("-O2",), test).scores())
    found |= {
        "error, int8": error_of(made.double(), labels, task=net.spec.task),
        "error, float": error_of(net.scores(test), labels, task=net.spec.task),
    }
    return found


def refused(net: Network, compiler: str, flags: tuple[str, ...], rows: torch.Tensor, int8: Quantized | None) -> int:
    """1 where a compiler has a warning, or the program ends early."""
    try:
        verify(net, Target("host", (compiler,), flags), rows, int8=int8)
    except ExportMismatch as error:
        print(error)
        return 1
    return 0


def different(net: Network, rows: torch.Tensor, int8: Quantized | None) -> int:
    """Rows with a number that is not PyTorch's within ``CLOSE``, or of integers not the one that it should be."""
    generated = generate(net, name="net", int8=int8)
    got = Library(generated, "gcc", ("-O2",), rows).scores()
    if int8 is not None:
        wanted = expected(net, generated.layout, rows, softmax=False).numpy()
        return int((got != wanted).any(axis=1).sum())
    wanted = reference(net, rows, softmax=False).numpy()
    return int((~np.isclose(got, wanted, rtol=CLOSE, atol=CLOSE)).any(axis=1).sum())


def figures(found: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for what, value in found.items():
        if ": " in what:
            rows.append(row(f"{what}, of {found['rows']:,} rows", [value], unit="rows", bar=0))
    rows.append(row("test error, float", [found["error, float"]], unit="fraction", bar=None))
    lost = found["error, int8"] - found["error, float"]
    return [*rows, row("test error, int8 less float", [lost], unit="fraction", bar=LOST)]
