"""Runs in memory and networks that were trained for nothing, for tests of what chooses among them."""

from __future__ import annotations

from pathlib import Path

import torch

from steerage.cost.budget import Budget
from steerage.cost.count import Cost
from steerage.space import Values
from steerage.synthesis.candidate import Bench, Trained
from steerage.synthesis.clock import RunClock
from steerage.synthesis.plan import Effort, Plan
from steerage.synthesis.run_directory import RunDirectory
from steerage.synthesis.stage import Finalist, Run
from steerage.templates import Mlp
from steerage.training.evaluate import Scores
from tasks import numbers, perceptron, table

ROWS = 400


def a_run(tmp_path: Path, *, regression: bool = False) -> Run:
    dataset = numbers() if regression else table()
    bench = Bench(dataset, Mlp(), Budget(), torch.arange(90), torch.arange(90, 120), RunClock())
    return Run(bench, Plan(Effort(trials=3, epochs=4)), RunDirectory(tmp_path), 0, lambda event: None)


def finalist(name: str, values: Values, error: float, loss: float = 0.5) -> Finalist:
    scores = Scores(error, loss, ROWS)
    return Finalist(name, values, Trained(perceptron(), {}, scores, Cost(1, 1, 1, 1), (), 1.0, 1.0))
