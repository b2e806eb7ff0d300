"""Networks that ``steerage synth`` makes for kilobytes of flash and RAM, as integers in generated code.

What the command delivers is calibrated on the training rows, as ``steerage export --int8`` does, compiled for the core,
and run: on this machine over all test rows, for the error, and in QEMU over ``RUN`` of them, for the bytes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import ROOT, SHARED, Measured, row

import steerage
from steerage.data import load_labelled
from steerage.export.c import quantize, verify
from steerage.export.c.toolchain import TARGETS

CORE = "cortex-m0"
RUN = 100  # rows that are emulated
KIB = 1024


@dataclass(frozen=True)
class Kilobytes:
    """``bar``: for the test error of the integers; ``lost``: for what they lose against the network in floats."""

    data: str
    flash: int
    ram: int
    minutes: int
    bar: float | None = None
    lost: float | None = None

    @property
    def options(self) -> list[str]:
        words = [
            "--device",
            CORE,
            "--int8",
            "--max-flash",
            f"{self.flash // KIB}Ki",
            "--max-ram",
            f"{self.ram // KIB}Ki",
        ]
        return [*words, "--minutes", str(self.minutes)]


CASES = {
    "mnist-16k": Kilobytes("mnist.npz", 16 * KIB, 4 * KIB, 30, bar=0.006),
    "mnist-4k": Kilobytes("mnist.npz", 4 * KIB, 2 * KIB, 30, bar=0.015),
    "letter-16k": Kilobytes("tabular/letter.csv.gz", 16 * KIB, 4 * KIB, 10, lost=0.005),
    "satellite-4k": Kilobytes("tabular/satellite.csv.gz", 4 * KIB, 2 * KIB, 10, lost=0.005),
}


def synthesized(case: Kilobytes, folder: Path) -> dict[str, Any]:
    """Summary of the command, which is called again while it says that it has not come to its end."""
    data = f"../{SHARED.relative_to(ROOT.parent)}/{case.data}"
    words = [sys.executable, "-m", "steerage", "synth", data, *case.options, "--out", str(folder), "--json"]
    while True:
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
        if done.returncode == 0:
            found: dict[str, Any] = json.loads(done.stdout)
            return found
        if done.returncode != 3:
            raise SystemExit(f"{case.data}: exit code {done.returncode}\n{done.stderr}")


def measured_of(case: Kilobytes, folder: Path) -> dict[str, Any]:
    """What was delivered, in figures."""
    summary = synthesized(case, folder)
    net, data = steerage.load(folder), str(SHARED / case.data)
    known = {"preprocess": net.preprocess, "classes": net.classes, "target_name": net.target_name}
    x, y = load_labelled(data, **known, task=net.spec.task, part="train")
    rows, labels = load_labelled(data, **known, task=net.spec.task)
    whole = quantize(net, x, labels=y)
    here = verify(net, TARGETS["host"], rows, int8=whole, labels=labels)
    there = verify(net, TARGETS[CORE], rows[:RUN], int8=whole, labels=None if labels is None else labels[:RUN])
    assert there.tables is not None and there.code is not None and there.library is not None
    return {
        "test error": here.error,
        "test error in floats": here.float_error,
        "rows": here.rows,
        "flash": there.tables + there.code + there.library,
        "RAM": there.scratch + (there.stack or 0) + (there.static_ram or 0),
        "instructions": there.instructions,
        "rows in QEMU": there.rows,
        "parameters": net.cost.params,
        "trials": summary["trials"],
        "hours": summary["seconds"]["total"] / 3600,
        "cores": len(os.sched_getaffinity(0)),
        "asked": " ".join(["steerage", "synth", case.data, *case.options]),
    }


def figures(measured: Measured, name: str, runs: Path, *, kept: bool) -> list[dict[str, Any]]:
    """Rows of the result file for one network; measured where it was not, unless ``kept``."""
    case = CASES[name]
    found = measured.get(name, any_source=True)  # half an hour each: they stay, with the commit they are of
    if found is None and not kept:
        measured.put(name, measured_of(case, runs / name))
        found = measured.get(name, any_source=True)
    if found is None:
        return []
    about = {"asked": found["asked"], "commit": found["commit"]}
    lost = found["test error"] - found["test error in floats"]
    rows = [
        row(f"{name}: test error in integers", [found["test error"]], unit="fraction", bar=case.bar),
        row(f"{name}: integers less floats", [lost], unit="fraction", bar=case.lost),
        row(f"{name}: flash on a {CORE}", [found["flash"]], unit="bytes", bar=case.flash),
        row(f"{name}: RAM on a {CORE}", [found["RAM"]], unit="bytes", bar=case.ram),
    ]
    for what, unit in (
        ("instructions", "instructions"),
        ("parameters", "parameters"),
        ("trials", "trials"),
        ("hours", "hours"),
        ("cores", "cores"),
    ):
        rows.append(row(f"{name}: {what}", [found[what]], unit=unit, bar=None))
    return [one | about for one in rows]
