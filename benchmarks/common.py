"""What all benchmarks share: rows that are kept as they are measured, and the result file of the design's section 6."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
RESULTS = Path(__file__).resolve().parent / "results"
SOURCE = ("src", ":!src/steerage/zoo")  # networks that benchmarks put there are no code


def commit() -> str:
    """Commit of the source tree, with "+" when files of the package differ from it."""
    head = _git("rev-parse", "--short", "HEAD")
    return head + ("+" if _git("status", "--porcelain", "--", *SOURCE) else "")


def same_source(earlier: str) -> bool:
    """Whether the package at commit ``earlier`` is the one here, whatever happened to docs and benchmarks since."""
    if not earlier or earlier.endswith("+") or commit().endswith("+"):
        return False
    changed = subprocess.run(
        ["git", "diff", "--quiet", earlier, "HEAD", "--", *SOURCE], cwd=ROOT, capture_output=True, check=False
    )
    return changed.returncode == 0


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


class Measured:
    """Measurements kept in ``results/NAME.rows.json`` one by one, so that a benchmark goes on where it stopped."""

    def __init__(self, name: str) -> None:
        self._path = RESULTS / f"{name}.rows.json"

    def _kept(self) -> dict[str, Any]:
        # Read anew each time: another process may be at work on other rows.
        rows: dict[str, Any] = json.loads(self._path.read_text()) if self._path.is_file() else {}
        return rows

    def get(self, key: str, *, any_source: bool = False) -> dict[str, Any] | None:
        """What was measured under ``key`` with this very source, or with ``any_source``, if anything."""
        row = self._kept().get(key)
        return row if row is not None and (any_source or same_source(row["commit"])) else None

    def put(self, key: str, row: Mapping[str, Any]) -> None:
        rows = {**self._kept(), key: {**row, "commit": commit()}}
        RESULTS.mkdir(exist_ok=True)
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(json.dumps(rows, indent=1) + "\n")
        temporary.replace(self._path)


def row(name: str, values: Sequence[float], *, unit: str, bar: float | None, at_least: bool = False) -> dict[str, Any]:
    """One figure: the mean of ``values``, its spread, and whether it meets ``bar`` (at most, or ``at_least``)."""
    mean = statistics.fmean(values)
    holds = None if bar is None else (mean >= bar if at_least else mean <= bar)
    spread = statistics.stdev(values) if len(values) > 1 else None
    return {"name": name, "value": mean, "std": spread, "n": len(values), "unit": unit, "bar": bar, "holds": holds}


def commits(measured: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """For a row of a result file: the commits that ``measured``, as ``Measured`` keeps them, are of."""
    return {"commit": ", ".join(sorted({one["commit"] for one in measured}))}


def write(name: str, rows: Sequence[Mapping[str, Any]], *, command: str, seconds: float) -> Path:
    """Write ``results/NAME.json``."""
    path = RESULTS / f"{name}.json"
    document = {
        "rows": list(rows),
        "command": command,
        "seconds": round(seconds, 1),
        "versions": {
            "python": platform.python_version(),
            **{
                package: metadata.version(package)
                for package in ("torch", "numpy", "scikit-learn", "optuna", "lightgbm")
            },
        },
        "hardware": {"cpu": cpu(), "cores": os.cpu_count(), "system": f"{sys.platform} {platform.machine()}"},
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d"),
    }
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path


def cpu() -> str:
    """Model name of the processor, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    names = (
        [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.is_file()
        else []
    )
    return names[0] if names else platform.processor()
