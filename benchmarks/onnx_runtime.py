"""ONNX Runtime on this machine: latencies beside PyTorch's, what 8-bit integers cost and save, estimates of latencies.

    python benchmarks/onnx_runtime.py RUNS

Trains four small networks in folders of RUNS, or takes those that are there. Latencies are of one row, one thread,
timed in turns, and a ratio is of two medians of one measurement; each network is measured three times. Estimates are
those by which a search bounds latencies: of candidates that had no part in them.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import SHARED, row, write
from scipy.stats import spearmanr

from steerage.bundle import Network, load_network
from steerage.bundle.zoo import resolved
from steerage.cost.budget import Budget
from steerage.data.dataset import Dataset
from steerage.data.load import load_dataset, load_labelled
from steerage.export.int8 import export_int8
from steerage.export.measured import FLOAT, INT8, PYTORCH, measure
from steerage.search.propose import spread
from steerage.synthesis.candidate import Bench
from steerage.synthesis.clock import RunClock
from steerage.synthesis.feasible import violation_of
from steerage.synthesis.latency import LatencyBound
from steerage.synthesis.main import synthesize
from steerage.templates import TEMPLATES
from steerage.training.split import validation_split

TIMES, HELD_OUT = 3, 12


@dataclass(frozen=True)
class Case:
    """A short synthesis of a network."""

    name: str
    source: str
    max_params: int
    epochs: int
    template: str = "auto"


CASES = (
    Case("california_housing", "tabular/california_housing.csv.gz", 2000, 12),
    Case("credit_g", "tabular/credit_g.csv.gz", 1500, 20),
    Case("letter", "tabular/letter.csv.gz", 5000, 12),
)
# Templates whose latencies are estimated, with bounds in ms, and the budget of parameters.
ESTIMATED = (("mlp", "tabular/letter.csv.gz", 0.02, 5000), ("cnn", "mnist.npz", 0.1, 5000))


def of_network(name: str, network: Network, source: str) -> list[dict[str, Any]]:
    """Ratios of latencies, sizes, and errors on the test rows."""
    parts = {
        part: load_labelled(
            source,
            preprocess=network.preprocess,
            classes=network.classes,
            target_name=network.target_name,
            task=network.spec.task,
            part=part,
        )
        for part in ("train", "test")
    }
    (calibration, _), (test, labels) = parts["train"], parts["test"]
    assert labels is not None
    found = [measure(network, test, calibration=calibration).latency for _ in range(TIMES)]
    with tempfile.TemporaryDirectory() as folder:
        made = export_int8(network, Path(folder) / "net.onnx", calibration=calibration, rows=test, labels=labels)

    def ratio(one: str, other: str) -> list[float]:
        return [turn[one].median_ms / turn[other].median_ms for turn in found]

    return [
        row(f"{name}: latency, ONNX Runtime", [turn[FLOAT].median_ms for turn in found], unit="ms", bar=None),
        row(f"{name}: latency, over PyTorch eager's", ratio(FLOAT, PYTORCH), unit="ratio", bar=1.0),
        row(f"{name}: latency, integers over float", ratio(INT8, FLOAT), unit="ratio", bar=None),
        row(f"{name}: bytes, integers over float", [made.bytes / made.float_bytes], unit="ratio", bar=None),
        row(f"{name}: 1 - accuracy or R², float", [made.float_error], unit="fraction", bar=None),
        row(f"{name}: what integers add to it", [made.drop], unit="fraction", bar=0.01),
    ]


def of_estimates(template: str, dataset: Dataset, max_ms: float, max_params: int) -> list[dict[str, Any]]:
    """How near estimates come to measurements, and how often both are on one side of the median latency."""
    rows, validation = validation_split(dataset, 0)
    bench = Bench(dataset, TEMPLATES[template], Budget(max_params=max_params), rows, validation, RunClock())
    bound, violation = LatencyBound(max_ms), violation_of(bench)
    began = time.monotonic()
    bound.explore(bench, violation, bench.template.starts(dataset.spec), 0)
    seconds = time.monotonic() - began
    space = bench.template.space(dataset.spec)
    others = spread(space, HELD_OUT, [], seed=1, violation=violation, limit=500)
    estimates = np.array([bound.estimate(bench, values) for values in others])
    truth = np.array([bound.of(bench, values).median_ms for values in others])
    apart: Sequence[float] = np.abs(estimates / truth - 1.0).tolist()
    sides = ((estimates > np.median(truth)) == (truth > np.median(truth))).mean()
    name = f"estimates, {template}"
    return [
        row(f"{name}: median error", [float(np.median(apart))], unit="fraction", bar=None),
        row(f"{name}: largest error", [max(apart)], unit="fraction", bar=None),
        row(f"{name}: rank correlation", [float(spearmanr(estimates, truth).statistic)], unit="rank", bar=None),
        row(f"{name}: right side of the median latency", [float(sides)], unit="fraction", bar=None),
        row(f"{name}: seconds to measure what they come from", [seconds], unit="s", bar=None),
    ]


def main(folder: Path) -> None:
    began, rows = time.monotonic(), []
    rows += of_network("zoo:digits-1500", load_network(resolved(Path("zoo:digits-1500"))), "digits")
    for case in CASES:
        source = str(SHARED / case.source)
        budget = Budget(max_params=case.max_params)
        made = synthesize(
            source, budget=budget, trials=2, epochs=case.epochs, template=case.template, out=folder / case.name
        )
        rows += of_network(case.name, made.network, source)
        print(*rows[-6:], sep="\n", flush=True)
    for template, source, max_ms, max_params in ESTIMATED:
        rows += of_estimates(template, load_dataset(str(SHARED / source)), max_ms, max_params)
        print(*rows[-5:], sep="\n", flush=True)
    write("onnx_runtime", rows, command="python benchmarks/onnx_runtime.py RUNS", seconds=time.monotonic() - began)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
