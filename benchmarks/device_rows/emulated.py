"""Networks on emulated boards, beside what was predicted of them: flash, RAM, instructions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common import row

from device_rows.networks import kept, rows_of
from steerage.export.c import quantize, verify
from steerage.export.c.toolchain import TARGETS

CORES = ("cortex-m4", "cortex-m3")
ROWS = 100
BYTES = 0.01  # that a prediction may be off, as a share of what was measured
INSTRUCTIONS = {"float on a cortex-m4": 0.10, "int8 on a cortex-m4": 0.20, "int8 on a cortex-m3": 0.20}


def measured_of(name: str, runs: Path) -> dict[str, Any]:
    """Figures by numbers and core. Raises: ExportMismatch for a number that is not the one that it should be."""
    net = kept(name, runs)
    (x, y), (test, labels) = (rows_of(name, net, part) for part in ("train", "test"))
    found: dict[str, Any] = {"parameters": net.cost.params}
    for numbers, int8 in (("float", None), ("int8", quantize(net, x, labels=y))):
        for core in CORES:
            done = verify(net, TARGETS[core], test[:ROWS], int8=int8, labels=labels[:ROWS])
            assert done.tables is not None and done.code is not None and done.library is not None
            assert done.stack is not None and done.static_ram is not None
            found[f"{numbers} on a {core}"] = {
                **done.to_json(),
                "flash": done.tables + done.code + done.library,
                "RAM": done.scratch + done.stack + done.static_ram,
                "predicted flash": done.predicted_tables + done.predicted_code + done.predicted_library,
                "predicted RAM": done.scratch + done.predicted_stack,
                "predicted instructions": done.predicted_instructions,
            }
    return found


def figures(found: dict[str, Any]) -> list[dict[str, Any]]:
    rows = [row("parameters", [found["parameters"]], unit="parameters", bar=None)]
    for where in (where for where in found if " on a " in where):
        one = found[where]
        rows.append(row(f"{where}: rows", [one["rows"]], unit="rows", bar=ROWS, at_least=True))
        if where.startswith("float"):  # integers are compared one by one, or nothing is measured
            rows.append(
                row(
                    f"{where}: predictions that are PyTorch's",
                    [one["agreement"]],
                    unit="fraction",
                    bar=1.0,
                    at_least=True,
                )
            )
        for what, unit in (("flash", "bytes"), ("RAM", "bytes"), ("instructions", "instructions")):
            rows.append(row(f"{where}: {what}", [one[what]], unit=unit, bar=None))
            bar = INSTRUCTIONS.get(where) if what == "instructions" else BYTES
            if (predicted := one[f"predicted {what}"]) is not None:
                off = abs(predicted / one[what] - 1)
                rows.append(row(f"{where}: {what}, error of the prediction", [off], unit="fraction", bar=bar))
    return rows
