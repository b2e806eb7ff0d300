"""Data, the network that all methods start from, and the effort, of each task."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import torch
from common import SHARED

from steerage.cost.budget import Budget
from steerage.data.dataset import Dataset
from steerage.data.load import load_dataset
from steerage.space import Value, Values
from steerage.synthesis.candidate import Bench
from steerage.synthesis.clock import RunClock
from steerage.synthesis.phases import starting_points
from steerage.templates.registry import load_template


@dataclass(frozen=True)
class Task:
    """``changes``: to the genes of the template's first starting point for ``size`` parameters."""

    source: str
    template: str
    size: int
    epochs: int
    seeds: int
    changes: tuple[tuple[str, Value], ...] = ()


MNIST = str(SHARED / "mnist.npz")
TABLES = SHARED / "tabular"
# Side by side: same start, data, recipe and epochs for all methods.
COMPARED = {
    "digits-cnn 800": Task("digits", "cnn", 800, 60, 3),
    "vowel 2000": Task(str(TABLES / "vowel.csv.gz"), "mlp", 2000, 150, 3),
    "dna 2000": Task(str(TABLES / "dna.csv.gz"), "mlp", 2000, 40, 3),
    "satellite 2000": Task(str(TABLES / "satellite.csv.gz"), "mlp", 2000, 60, 3),
    "letter 5000": Task(str(TABLES / "letter.csv.gz"), "mlp", 5000, 40, 3),
    "mnist-cnn 2700": Task(MNIST, "cnn", 2700, 15, 2),
}


@functools.lru_cache(maxsize=2)
def _dataset(source: str) -> Dataset:
    return load_dataset(source)


@functools.lru_cache(maxsize=2)
def bench_of(task: Task) -> tuple[Bench, Values]:
    """All rows that are not test rows to learn from (nothing is chosen), and the start."""
    dataset, template = _dataset(task.source), load_template(task.template)
    rows = torch.arange(len(dataset.y))
    bench = Bench(dataset, template, Budget(max_params=task.size), rows, rows[:0], RunClock())
    point: dict[str, Any] = {**starting_points(bench)[0], **dict(task.changes)}
    return bench, template.space(dataset.spec).normalize(point)


def sized(values: Values, width: int) -> Values:
    """``values`` with another width of the first layer, whether the space has it or not."""
    return {**values, "channels" if "channels" in values else "width": width}


def unbounded(bench: Bench) -> Bench:
    """``bench`` without a budget."""
    return replace(bench, budget=Budget())
