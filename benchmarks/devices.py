"""What networks are on devices: bytes and instructions, predicted and measured, beside other tools; and in kilobytes.

    python benchmarks/devices.py [ROW ...] [--runs FOLDER] [--rivals PYTHON] [--kept]

Runs of ``steerage synth`` are folders below ``--runs`` (``runs/devices``): one that was cut off goes on where it
stopped; so are the networks that are trained here. ``--kept`` measures nothing. ``--rivals`` is an interpreter with
emlearn and emx-onnx-cgen (``pip install emlearn emx-onnx-cgen scikit-learn``); without it those rows stay as they are.
Needs arm-none-eabi-gcc, qemu-system-arm, gcc and clang.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch
from common import ROOT, Measured, write
from device_rows import compared, synthesized


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Networks on devices, measured.")
    names = [*synthesized.CASES, *compared.SECTIONS]
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(names))
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "devices")
    parser.add_argument("--rivals", metavar="PYTHON")
    parser.add_argument("--kept", action="store_true", help="measure nothing, use what is there")
    asked = parser.parse_args(words)
    if unknown := [name for name in asked.rows if name not in names]:
        parser.error(f"rows are {', '.join(names)}, got {', '.join(unknown)}")
    torch.set_num_threads(1)
    began, measured, rows = time.monotonic(), Measured("devices"), []
    runs = asked.runs.resolve()
    for name in names:
        kept = asked.kept or bool(asked.rows and name not in asked.rows)
        if name in synthesized.CASES:
            rows += synthesized.figures(measured, name, runs, kept=kept)
        else:
            rows += compared.figures(measured, name, runs, python=asked.rivals, kept=kept)
    print(write("devices", rows, command="python benchmarks/devices.py", seconds=time.monotonic() - began))


if __name__ == "__main__":
    main(sys.argv[1:])
