"""What the last training of a synthesis may learn from, and for how long: ablations on splits of the data's own.

    python benchmarks/refit.py

The command line's test rows play no part: every split draws other ones. Each row is one protocol on the satellite data,
2,000 parameters, the template's second starting point. Kept split by split, and gone on with where it stopped.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import pandas as pd
import torch
from common import SHARED, Measured, row, write
from sklearn.model_selection import train_test_split

from steerage.cost.budget import Budget
from steerage.data.build import dataset_from_arrays
from steerage.growprune import schemes
from steerage.synthesis.candidate import Bench, compacted, synthesize_candidate
from steerage.synthesis.clock import RunClock
from steerage.templates import Mlp
from steerage.training.split import validation_split

SPLITS, BUDGET = range(1, 9), Budget(max_params=2000)


@dataclass(frozen=True)
class Protocol:
    """One way to train the last network; epochs of the rows that it learns from."""

    name: str
    epochs: int
    all_rows: bool = True
    exchange: float = 0.2


PROTOCOLS = (
    Protocol("without the validation rows", 188, all_rows=False),
    Protocol("all rows", 150),
    Protocol("all rows, no growth", 150, exchange=0.0),
    Protocol("all rows, 3.3 times the epochs", 500),
)


def error(protocol: Protocol, split: int) -> float:
    """Error on the rows that ``split`` sets aside."""
    frame = pd.read_csv(SHARED / "tabular" / "satellite.csv.gz")
    train, test = train_test_split(frame, test_size=0.2, stratify=frame.iloc[:, -1], random_state=split)
    dataset = dataset_from_arrays(
        train.iloc[:, :-1].reset_index(drop=True),
        train.iloc[:, -1].reset_index(drop=True),
        x_test=test.iloc[:, :-1].reset_index(drop=True),
        y_test=test.iloc[:, -1].reset_index(drop=True),
    )
    rows, validation = validation_split(dataset, 0)
    bench = Bench(dataset, Mlp(), BUDGET, rows, validation, RunClock())
    trained = synthesize_candidate(
        bench,
        Mlp().starts(dataset.spec)[1],
        name=protocol.name,
        seed=split,
        epochs=protocol.epochs,
        scheme=schemes.gradual(exchange=protocol.exchange),
        rows=torch.arange(len(dataset.y)) if protocol.all_rows else rows,
    )
    return bench.test_scores(compacted(trained, bench).model).error


def main() -> None:
    torch.set_num_threads(1)
    measured, rows, seconds = Measured("refit"), [], 0.0
    for protocol in PROTOCOLS:
        found = []
        for split in SPLITS:
            key = f"{protocol.name}-{split}"
            if measured.get(key) is None:
                began = time.monotonic()
                measured.put(key, {"error": error(protocol, split), "seconds": time.monotonic() - began})
            kept = measured.get(key)
            assert kept is not None, "commit the source before measuring"
            found.append(kept)
        seconds += sum(one["seconds"] for one in found)
        rows.append(
            row(f"satellite, {protocol.name}: error", [one["error"] for one in found], unit="fraction", bar=None)
        )
    print(write("refit", rows, command="python benchmarks/refit.py", seconds=seconds))


if __name__ == "__main__":
    main()
