"""What ``--balance`` does where classes are uneven: UCI letter, every other class with a twentieth of its rows.

    python benchmarks/balance.py

The plain baseline of ``mlp`` is trained with and without balanced losses, for as many steps, side by side from the same
first weights; both are judged on test rows with all classes as frequent as they are in the file.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from common import SHARED, row, write

from steerage.data import Dataset, dataset_from_arrays
from steerage.data.objective import with_objective
from steerage.metrics import METRICS
from steerage.templates import Mlp
from steerage.training.evaluate import evaluate
from steerage.training.fit import Steps, Training, train
from steerage.training.recipe import Recipe

KEPT, EPOCHS, SEEDS = 0.05, 15, 5
JUDGED = ("balanced_error", "f1", "auroc")


def uneven() -> Dataset:
    frame = pd.read_csv(SHARED / "tabular" / "letter.csv.gz")
    rng = np.random.default_rng(0)
    test = rng.random(len(frame)) < 0.2
    rare = frame["label"].isin(sorted(frame["label"].unique())[::2])
    train_rows = frame[~test & (~rare | (rng.random(len(frame)) < KEPT))]
    parts = [(part.drop(columns="label"), part["label"]) for part in (train_rows, frame[test])]
    return dataset_from_arrays(*parts[0], x_test=parts[1][0], y_test=parts[1][1], name="uneven letter")


def errors(dataset: Dataset, seed: int) -> dict[str, float]:
    """Test errors by metric of a network that is trained on ``dataset``."""
    torch.manual_seed(seed)
    template, rows = Mlp(), len(dataset.y)
    model = template.build(template.baseline(dataset.spec), dataset.spec)
    recipe = Recipe(lr=3e-3, batch_size=128)
    training = Training(model, recipe, seed=seed)
    for _ in train(training, dataset, torch.arange(rows), effort=Steps(EPOCHS * recipe.batches(rows))):
        pass
    return {
        name: evaluate(model, replace(dataset, metric=name), dataset.x_test, dataset.y_test).error for name in JUDGED
    }


def main() -> None:
    began = time.monotonic()
    torch.set_num_threads(1)
    plain = uneven()
    balanced, rows = with_objective(plain, balanced=True), []
    pairs = [(errors(plain, seed), errors(balanced, seed)) for seed in range(SEEDS)]
    for name in JUDGED:
        title = f"test {METRICS[name].error_title}"
        for about, place in (("plain", 0), ("balanced", 1)):
            rows.append(row(f"{title}, {about}", [pair[place][name] for pair in pairs], unit="fraction", bar=None))
        ratios = [after[name] / before[name] for before, after in pairs]
        rows.append(row(f"{title}: balanced over plain", ratios, unit="ratio", bar=1.0))
        print(name, round(rows[-3]["value"], 4), round(rows[-2]["value"], 4), round(rows[-1]["value"], 3), flush=True)
    print(write("balance", rows, command="python benchmarks/balance.py", seconds=time.monotonic() - began))


if __name__ == "__main__":
    main()
