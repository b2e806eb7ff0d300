"""ONNX Runtime on this machine: latencies beside PyTorch's, and what 8-bit integers cost and save.

    python benchmarks/onnx_runtime.py RUNS

Trains four small networks in folders of RUNS, or takes those that are there. Latencies are of one row, one thread,
timed in turns, and a ratio is of two medians of one measurement; each network is measured three times.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import SHARED, row, write

from steerage.bundle import Network, load_network
from steerage.bundle.zoo import network_folder
from steerage.cost.budget import Budget
from steerage.data.load import load_labelled
from steerage.export.int8 import export_int8
from steerage.export.measured import FLOAT, INT8, PYTORCH, measure
from steerage.synthesis.main import synthesize

TIMES = 3


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


def main(folder: Path) -> None:
    began, rows = time.monotonic(), []
    rows += of_network("zoo:digits-1500", load_network(network_folder(Path("zoo:digits-1500"))), "digits")
    for case in CASES:
        source = str(SHARED / case.source)
        budget = Budget(max_params=case.max_params)
        made = synthesize(
            source, budget=budget, trials=2, epochs=case.epochs, template=case.template, out=folder / case.name
        )
        rows += of_network(case.name, made.network, source)
        print(*rows[-6:], sep="\n", flush=True)
    write("onnx_runtime", rows, command="python benchmarks/onnx_runtime.py RUNS", seconds=time.monotonic() - began)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
