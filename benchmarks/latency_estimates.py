"""How near the estimates come by which a search bounds latencies in ONNX Runtime, of candidates they do not come from.

    python benchmarks/latency_estimates.py FOLDER [TEMPLATE ...]

What was measured is kept in FOLDER, and not measured again.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import SHARED, row, write
from scipy.stats import spearmanr

from steerage.cost.budget import Budget
from steerage.data.dataset import Dataset
from steerage.data.load import load_dataset
from steerage.search.propose import spread
from steerage.synthesis.candidate import Bench
from steerage.synthesis.clock import RunClock
from steerage.synthesis.feasible import violation_of
from steerage.synthesis.latency import LatencyBound
from steerage.templates import TEMPLATES
from steerage.training.split import validation_split

HELD_OUT, MAX_PARAMS = 12, 5000
CASES = {"cnn": ("mnist.npz", 0.1), "mlp": ("tabular/letter.csv.gz", 0.02)}  # data, and a bound in ms


def of_estimates(template: str, dataset: Dataset, max_ms: float, folder: Path) -> list[dict[str, Any]]:
    """How near estimates come to measurements, and how often both are on one side of the median latency."""
    rows, validation = validation_split(dataset, 0)
    bench = Bench(dataset, TEMPLATES[template], Budget(max_params=MAX_PARAMS), rows, validation, RunClock())
    bound, violation = LatencyBound(max_ms), violation_of(bench)
    folder.mkdir(parents=True, exist_ok=True)
    bound.recall(folder)
    bound.keep_in(folder)
    bound.explore(bench, violation, bench.template.starts(dataset.spec), 0)
    space = bench.template.space(dataset.spec)
    others = spread(space, HELD_OUT, [], seed=2, violation=violation, limit=500)
    estimates = np.array([bound.estimate(bench, values) for values in others])
    truth = np.array([bound.of(bench, values).median_ms for values in others])
    apart: Sequence[float] = np.abs(estimates / truth - 1.0).tolist()
    sides = ((estimates > np.median(truth)) == (truth > np.median(truth))).mean()
    name = template
    return [
        row(f"{name}: median error", [float(np.median(apart))], unit="fraction", bar=None),
        row(f"{name}: largest error", [max(apart)], unit="fraction", bar=None),
        row(f"{name}: rank correlation", [float(spearmanr(estimates, truth).statistic)], unit="rank", bar=None),
        row(f"{name}: right side of the median latency", [float(sides)], unit="fraction", bar=None),
    ]


def main(folder: Path, templates: Sequence[str]) -> None:
    began, rows = time.monotonic(), []
    for template in templates or CASES:
        source, max_ms = CASES[template]
        rows += of_estimates(template, load_dataset(str(SHARED / source)), max_ms, folder / template)
        print(*rows[-4:], sep="\n", flush=True)
    command = "python benchmarks/latency_estimates.py FOLDER"
    write("latency_estimates", rows, command=command, seconds=time.monotonic() - began)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
