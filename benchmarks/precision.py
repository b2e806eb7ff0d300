"""Does bfloat16 autocast pay on this CPU? Steps of the template's first networks in both precisions, turn by turn.

    python benchmarks/precision.py

The rule that ``precision="auto"`` follows is in ``steerage.training.precision``; this says whether it is right here.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch
from common import row, write

from steerage.cost.budget import Budget
from steerage.data.build import dataset_from_arrays
from steerage.data.dataset import Dataset
from steerage.synthesis.candidate import Bench, build
from steerage.synthesis.clock import RunClock
from steerage.templates import Cnn, Mobile, ResNet
from steerage.training.fit import Steps, Training, train
from steerage.training.precision import uses_bfloat16

TURNS, STEPS = 5, 6


def milliseconds(bench: Bench, index: int, precision: str) -> float:
    """Time of one step of a network in training, after a few steps to warm up."""
    values = bench.template.starts(bench.dataset.spec)[index]
    recipe = replace(bench.recipe(values), precision=precision)  # type: ignore[arg-type]
    for steps in (3, STEPS):
        training = Training(build(bench, values, 0), recipe, seed=0)
        began = time.monotonic()
        for _ in train(training, bench.dataset, bench.train_rows, effort=Steps(steps)):
            pass
    return 1000.0 * (time.monotonic() - began) / STEPS


def noise(*shape: int) -> Dataset:
    rng = np.random.default_rng(0)
    return dataset_from_arrays(rng.integers(0, 256, shape, dtype=np.uint8), rng.integers(0, 10, shape[0]), name="noise")


def main() -> None:
    began = time.monotonic()
    torch.set_num_threads(1)
    grey, colour, rows = noise(20_000, 28, 28), noise(20_000, 32, 32, 3), []
    for template, dataset in ((Cnn(), grey), (ResNet(), colour), (Mobile(), colour)):
        bench = Bench(dataset, template, Budget(), torch.arange(len(dataset.y)), torch.arange(100), RunClock())
        for index, values in enumerate(template.starts(dataset.spec)):
            pairs = [[milliseconds(bench, index, one) for one in ("bfloat16", "float32")] for _ in range(TURNS)]
            told = ("channels", "width", "blocks", "blocks0", "stages", "kernel", "squeeze")
            about = ", ".join(f"{name} {values[name]}" for name in told if name in values)
            ratios = [bfloat16 / float32 for bfloat16, float32 in pairs]
            name = f"{template.name}, {about}"
            rows.append(row(f"{name}: bfloat16 time over float32", ratios, unit="ratio", bar=None))
            rows.append(row(f"{name}: float32 step", [one[1] for one in pairs], unit="ms", bar=None))
            chosen = uses_bfloat16(build(bench, values, 0), "auto")
            rows.append(row(f"{name}: bfloat16 is chosen (1) or not (0)", [float(chosen)], unit="choice", bar=None))
            print(name, round(rows[-3]["value"], 3), round(rows[-2]["value"], 1), chosen, flush=True)
    print(write("precision", rows, command="python benchmarks/precision.py", seconds=time.monotonic() - began))


if __name__ == "__main__":
    main()
