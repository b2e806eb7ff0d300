"""Data, the network that all methods start from, and the effort, of each task."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from common import SHARED
from torch import nn

from steerage.cost.budget import Budget
from steerage.data.dataset import Dataset, TaskSpec
from steerage.data.load import load_dataset
from steerage.nn.feedforward import FeedForward
from steerage.space import Space, Value, Values
from steerage.synthesis.candidate import Bench
from steerage.synthesis.clock import RunClock
from steerage.synthesis.feasible import starting_points
from steerage.templates.recipe_genes import plain_recipe, recipe_genes
from steerage.templates.registry import load_template
from steerage.templates.template import RECIPE_GENES, Template


@dataclass(frozen=True)
class Task:
    """``changes``: to the genes of the template's first starting point for ``size`` parameters, and to its recipe.

    ``bar``: the mean test error to reach, a fraction. ``scheme``: what ours follows.
    """

    source: str
    template: str
    size: int
    epochs: int
    seeds: int
    changes: tuple[tuple[str, Value], ...] = ()
    bar: float | None = None
    scheme: str = "auto"


MNIST = str(SHARED / "mnist.npz")
TABLES = SHARED / "tabular"
LENET = "lenet-300-100"
# Recipes are the template's, changed where the validation rows asked for it (with ours; all methods have the same).
LETTER = (("lr", 8e-3), ("weight_decay", 0.3), ("dropout", 0.0))
DNA = (("dropout", 0.3), ("input_noise", 0.2), ("label_smoothing", 0.1), ("reduction", "select"), ("ratio", 0.3))
SATELLITE = (("lr", 8e-3), ("dropout", 0.0))
VOWEL = (("lr", 8e-3), ("dropout", 0.0))
SMOOTH = (("activation", "silu"),)
# Side by side: same start, data, recipe and epochs for all methods.
COMPARED = {
    "digits-cnn 800": Task("digits", "cnn", 800, 60, 5),
    "vowel 2000": Task(str(TABLES / "vowel.csv.gz"), "mlp", 2000, 150, 5, VOWEL),
    "dna 2000": Task(str(TABLES / "dna.csv.gz"), "mlp", 2000, 40, 5, DNA),
    "satellite 2000": Task(str(TABLES / "satellite.csv.gz"), "mlp", 2000, 60, 5, SATELLITE),
    "letter 5000": Task(str(TABLES / "letter.csv.gz"), "mlp", 5000, 40, 5, LETTER),
    "mnist-cnn 2700": Task(MNIST, "cnn", 2700, 15, 2),
}
ABLATED = {name: task for name, task in COMPARED.items() if task.source != MNIST}
ABSOLUTE = {
    "vowel 2000": Task(
        str(TABLES / "vowel.csv.gz"),
        "mlp",
        2000,
        30,
        3,
        (("lr", 1.6e-2), ("dropout", 0.0), ("batch_size", 32)),
        bar=0.025,
    ),
    "dna 2000": Task(str(TABLES / "dna.csv.gz"), "mlp", 2000, 30, 3, DNA, bar=0.039),
    "satellite 2000": Task(
        str(TABLES / "satellite.csv.gz"),
        "mlp",
        2000,
        30,
        3,
        (*SATELLITE, ("bins", 8), ("batch_size", 64), ("ema", 0.995)),
        bar=0.076,
    ),
    "letter 5000": Task(str(TABLES / "letter.csv.gz"), "mlp", 5000, 30, 3, (*LETTER, ("lr", 1.6e-2)), bar=0.037),
    "letter 20000": Task(str(TABLES / "letter.csv.gz"), "mlp", 20_000, 30, 3, (*LETTER, ("lr", 1.6e-2)), bar=0.022),
    "mnist-lenet300 8000": Task(
        MNIST, LENET, 8000, 30, 1, (("lr", 8e-3), ("augment", 0.5), ("batch_size", 128)), bar=0.011
    ),
    "mnist-lenet300 4100": Task(
        MNIST, LENET, 4100, 30, 1, (("lr", 8e-3), ("augment", 0.5), ("batch_size", 128)), bar=0.015
    ),
    "mnist-cnn 5300": Task(MNIST, "cnn", 5300, 30, 3, SMOOTH, bar=0.0033),
    "mnist-cnn 2700": Task(MNIST, "cnn", 2700, 30, 1, bar=0.0045),
    "mnist-cnn 1200": Task(MNIST, "cnn", 1200, 30, 1, SMOOTH, bar=0.0065),
    "mnist-cnn 300": Task(MNIST, "cnn", 300, 30, 1, (("batch_size", 64), ("lr", 8e-3), ("dropout", 0.0)), bar=0.05),
}


class LeNet300(Template):
    """LeNet-300-100 (LeCun et al. 1998) with batch norms, which fold: 266,610 parameters. Its genes are its recipe."""

    name = LENET

    def space(self, spec: TaskSpec) -> Space:
        return Space(recipe_genes(spec))

    def build(self, values: Values, spec: TaskSpec) -> nn.Module:
        net = FeedForward([300, 100], inputs=math.prod(spec.input_shape), outputs=spec.outputs)
        return nn.Sequential(nn.Flatten(), net)

    def baseline(self, spec: TaskSpec) -> Values:
        return plain_recipe(spec)


@functools.lru_cache(maxsize=2)
def _dataset(source: str) -> Dataset:
    return load_dataset(source)


@functools.lru_cache(maxsize=2)
def bench_of(task: Task) -> tuple[Bench, Values]:
    """All rows that are not test rows to learn from (nothing is chosen), and the start."""
    dataset = _dataset(task.source)
    template = LeNet300() if task.template == LENET else load_template(task.template)
    rows = torch.arange(len(dataset.y))
    bench = Bench(dataset, template, Budget(max_params=task.size), rows, rows[:0], RunClock())
    point: dict[str, Any] = {**starting_points(bench)[0], **dict(task.changes)}
    # What is no gene of the template, such as the size of a batch, sets the recipe all the same.
    beside = {name: value for name, value in task.changes if name in RECIPE_GENES}
    return bench, {**template.space(dataset.spec).normalize(point), **beside}


def sized(values: Values, width: int) -> Values:
    """``values`` with another width of the first layer, whether the space has it or not."""
    return {**values, "channels" if "channels" in values else "width": width}


def unbounded(bench: Bench) -> Bench:
    """``bench`` without a budget."""
    return replace(bench, budget=Budget())
