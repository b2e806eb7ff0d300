"""What networks are on devices: bytes and instructions, predicted and measured, beside other tools; and in kilobytes.

    python benchmarks/devices.py [ROW ...] [--runs FOLDER] [--kept]

Runs of ``steerage synth`` are folders below ``--runs`` (``runs/devices``): one that was cut off goes on where it
stopped. ``--kept`` measures nothing. Needs arm-none-eabi-gcc and qemu-system-arm.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from common import ROOT, Measured, write
from device_rows import synthesized


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Networks on devices, measured.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(synthesized.CASES))
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "devices")
    parser.add_argument("--kept", action="store_true", help="measure nothing, use what is there")
    asked = parser.parse_args(words)
    if unknown := [name for name in asked.rows if name not in synthesized.CASES]:
        parser.error(f"rows are {', '.join(synthesized.CASES)}, got {', '.join(unknown)}")
    began, measured, rows = time.monotonic(), Measured("devices"), []
    for name in synthesized.CASES:
        wanted = not asked.rows or name in asked.rows
        rows += synthesized.figures(measured, name, asked.runs.resolve(), kept=asked.kept or not wanted)
    print(write("devices", rows, command="python benchmarks/devices.py", seconds=time.monotonic() - began))


if __name__ == "__main__":
    main(sys.argv[1:])
