"""What ``steerage synth`` delivers for a table."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from common import ROOT


def synthesized(data: str, *options: str, out: Path) -> dict[str, Any]:
    """Summary of a run in the folder ``out``. Raises: SystemExit with what the command said if it failed."""
    words = ["synth", data, *options, "--out", str(out), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "steerage", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{data}: exit code {done.returncode}\n{done.stderr}")
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def error_of(summary: dict[str, Any], part: str = "test") -> float:
    """Share of wrong rows, or the root mean squared error."""
    return float(summary["error" if "error" in summary else "rmse"][part])
