"""LeNet-5, which the paper's figure for MNIST is told against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from common import SHARED, Measured, commits, row
from torch import nn

from steerage.cost.budget import Budget
from steerage.data.load import load_dataset
from steerage.synthesis.candidate import Bench, build
from steerage.synthesis.clock import RunClock
from steerage.synthesis.own_network import OwnNetwork
from steerage.training.fit import Steps, Training, train
from steerage.training.recipe import Recipe

NAME = "lenet-5"
# Recipe and epochs: as it came with Caffe (solver of its MNIST example); and None, as a user's own network is trained.
AS_IT_WAS = Recipe("sgd", lr=0.01, weight_decay=5e-3, batch_size=64, warmup=0.0, augment=0.0)
KINDS: dict[str, tuple[Recipe | None, int]] = {
    "as it was": (AS_IT_WAS, 11),
    "with our recipe": (None, 30),
}
SEEDS = (0, 1)


def lenet5() -> nn.Module:
    """LeNet-5 as most papers on pruning take it (LeCun et al. 1998, in Caffe's version): 431,080 parameters."""
    return nn.Sequential(
        *(nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10)),
    )


def trained(kind: str, seed: int) -> dict[str, Any]:
    """Test error of LeNet-5 after one training on all rows that are not test rows."""
    fixed, epochs = KINDS[kind]
    dataset = load_dataset(str(SHARED / "mnist.npz"))
    own, rows = OwnNetwork("LeNet-5", lenet5), torch.arange(len(dataset.y))
    bench = Bench(dataset, own, Budget(), rows, rows[:0], RunClock())
    values = own.baseline(dataset.spec)
    recipe = bench.recipe(values) if fixed is None else fixed
    training = Training(build(bench, values, seed), recipe, seed=seed)
    for _ in train(training, dataset, rows, effort=Steps(epochs * recipe.batches(len(rows)))):
        pass
    params = sum(one.numel() for one in training.model.parameters())
    return {"error": bench.test_scores(training.model).error, "params": params, "hours": bench.clock() / 3600}


def figures(measured: Measured, runs: Path, *, kept: bool) -> list[dict[str, Any]]:
    """Rows of the result file for LeNet-5."""
    rows: list[dict[str, Any]] = []
    for kind in KINDS:
        found_runs = []
        for seed in SEEDS:
            key = f"{NAME} {kind}-{seed}"
            if measured.get(key, any_source=True) is None and not kept:
                with torch.random.fork_rng(devices=[]):
                    torch.manual_seed(seed)
                    measured.put(key, trained(kind, seed))
            if (found := measured.get(key, any_source=True)) is not None:
                found_runs.append(found)
        if found_runs:
            about = commits(found_runs)
            errors, sizes = [one["error"] for one in found_runs], [one["params"] for one in found_runs]
            rows.append(row(f"LeNet-5 {kind}: test error", errors, unit="fraction", bar=None) | about)
            rows.append(row(f"LeNet-5 {kind}: parameters", sizes, unit="parameters", bar=None) | about)
            rows.append(
                row(f"LeNet-5 {kind}: hours", [one["hours"] for one in found_runs], unit="hours", bar=None) | about
            )
    return rows
