"""How convolutional networks are best trained: the settings of the templates beside others.

    python benchmarks/recipes.py [CASE ...] [--settings NAME ...]

- mnist: template cnn's second start, pruned to 5,300 parameters, for ``SECONDS`` each: accuracy per second of training.
- tiny: the same for 1,200 parameters and their first bet, and how far images are changed alone.
- short, long, longest: the first start, pruned to 50,000 parameters in 5, 20 and 48 epochs, at several learning rates.
- long-5k: the same of the second start, pruned to 5,300 in 20 epochs.
- long-3k, long-1k: the same of what a search trains first, pruned to 2,700 and 1,200 in 40 and 60 epochs.
- refit-5k, refit-3k, refit-1k, refit-digits: the same, as long as the last training of half an hour is, in which
  images are seen so often that they are changed more and less; the loss on learnt rows, as they are, is beside it.
- digits: template cnn's first start on the 8 x 8 digits of scikit-learn, pruned to 1,500 parameters, 60 epochs.
- cifar: ResNet-20 on CIFAR-10 (JPEG-75), 8 epochs, no pruning.

What is compared is the loss, and the error, on validation rows that no training has seen (10,000, a fourth, 5,000).
Goes on where it stopped: a training is kept when it has ended. One thread; give it a core of its own. Several can share
the work by ``--settings``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from common import SHARED, Measured, commits, row, write
from sklearn.datasets import load_digits

from steerage.cost.budget import Budget
from steerage.data.augment import Augment
from steerage.data.build import dataset_from_arrays
from steerage.data.dataset import Dataset
from steerage.data.load import load_dataset
from steerage.growprune.choose import scheme_for
from steerage.space import Values
from steerage.synthesis.candidate import Bench, Trained, build, synthesize_candidate
from steerage.synthesis.clock import RunClock
from steerage.synthesis.feasible import starting_points
from steerage.templates.like import published_like
from steerage.templates.registry import load_template
from steerage.templates.template import Template
from steerage.training.evaluate import evaluate

SECONDS = 240.0
UNITS = {
    "loss": "nats",
    "error": "fraction",
    "epochs": "epochs",
    "learnt loss": "nats",
    "learnt error": "fraction",
}
# Of the images, not of the recipe alone.
CHANGES: Mapping[str, Mapping[str, Any]] = {
    "elastic distortion": {"elastic": 0.03},
    "images changed half as much": {"augment": 0.5},
}
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "as it is": {},
    "AdamW": {"optimizer": "adamw"},
    "SGD, Nesterov": {"optimizer": "sgd", "lr": 0.1, "weight_decay": 5e-3},
    "Muon": {"optimizer": "muon", "lr": 1.2e-2},
    "half the learning rate": {"lr": 6e-3},
    "2.5 times the learning rate": {"lr": 3e-2},
    "batches of 128": {"batch_size": 128},
    "label smoothing 0.1": {"label_smoothing": 0.1},
    "average of weights, 0.998": {"ema": 0.998},
    "ten times the weight decay": {"weight_decay": 0.1},
    **CHANGES,
}


def _absolute(optimizer: str, lr: float, weight_decay: float, **others: float) -> tuple[str, dict[str, Any]]:
    """Name and changes of a setting that stays what it is when the template's recipe changes."""
    name = f"{optimizer}, learning rate {lr:g}, weight decay {weight_decay:g}"
    changes = {"optimizer": optimizer, "lr": lr, "weight_decay": weight_decay, **others}
    return ", ".join([name, *(f"{key} {value:g}" for key, value in others.items())]), changes


ABSOLUTE: Mapping[str, Mapping[str, Any]] = dict(
    [
        _absolute("muon", 1.2e-2, 1e-2),
        _absolute("muon", 6e-3, 1e-2),
        _absolute("muon", 1.2e-2, 0.1),
        _absolute("muon", 6e-3, 0.1),
        _absolute("muon", 1.2e-2, 0.1, label_smoothing=0.1),
        _absolute("muon", 1.2e-2, 0.1, ema=0.998),
        _absolute("muon", 1.2e-2, 0.1, cutout=0.25),
        _absolute("sgd", 0.1, 5e-3),
        _absolute("adamw", 1.2e-2, 1e-2),
    ]
)
RATES: Mapping[str, Mapping[str, Any]] = dict(
    [
        _absolute("adamw", 1.2e-2, 1e-2),
        _absolute("adamw", 6e-3, 1e-2),
        _absolute("adamw", 4e-3, 5e-2),
        _absolute("adamw", 4e-3, 1e-2),
        _absolute("adamw", 3e-3, 1e-2),
        _absolute("adamw", 2e-3, 5e-2),
        _absolute("muon", 1.2e-2, 0.1),
        _absolute("muon", 6e-3, 0.1),
        _absolute("adamw", 6e-3, 1e-2, elastic=0.03),
    ]
)
# A refit of a run of half an hour: it sees each row so often that a small network knows many of them by heart.
REFITS: Mapping[str, Mapping[str, Any]] = dict(
    _absolute("adamw", rate, 1e-2, augment=strength)
    for rate, strength in ((1.2e-2, 0.5), (1.2e-2, 1.0), (1.2e-2, 1.5), (1.2e-2, 2.0), (4e-3, 1.0), (4e-3, 1.5))
)


@dataclass(frozen=True)
class Case:
    """``held``: validation rows, drawn by the seed. ``settings``: changes of the template's recipe, by name."""

    data: Callable[[], Dataset]
    template: Callable[[Dataset], Template]
    values: Callable[[Template, Dataset], Values]
    budget: Budget
    held: int
    seeds: tuple[int, ...]
    seconds: float | None = None
    epochs: int | None = None
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: SETTINGS)


def digits() -> Dataset:
    loaded = load_digits()
    return dataset_from_arrays((loaded.images * 15).astype("uint8"), loaded.target, name="digits")


def first_bet(budget: int) -> Callable[[Template, Dataset], Values]:
    """What a search within ``budget`` parameters trains first."""

    def values(template: Template, dataset: Dataset) -> Values:
        rows = torch.arange(len(dataset.y))
        return starting_points(Bench(dataset, template, Budget(budget), rows, rows[:64], RunClock()))[0]

    return values


def on_mnist(
    values: Callable[[Template, Dataset], Values], budget: int, seeds: tuple[int, ...] = (1, 2), **options: Any
) -> Case:
    """Template cnn on MNIST, for ``SECONDS`` or as ``options`` say."""
    return Case(
        lambda: load_dataset(str(SHARED / "mnist.npz")),
        lambda dataset: load_template("cnn"),
        values,
        Budget(budget),
        10_000,
        seeds,
        **({"seconds": SECONDS} | options),
    )


def of_epochs(values: Callable[[Template, Dataset], Values], budget: int, epochs: int) -> Case:
    """MNIST in so many epochs, at several learning rates."""
    return on_mnist(values, budget, (1,), seconds=None, epochs=epochs, settings=RATES)


def of_refit(values: Callable[[Template, Dataset], Values], budget: int, epochs: int) -> Case:
    """MNIST in about as many epochs as the last training of a run of half an hour, changed more and less each time."""
    return on_mnist(values, budget, (1,), seconds=None, epochs=epochs, settings=REFITS)


def started(index: int) -> Callable[[Template, Dataset], Values]:
    """One of the template's starting points."""
    return lambda template, dataset: template.starts(dataset.spec)[index]


def on_digits(epochs: int, settings: Mapping[str, Mapping[str, Any]]) -> Case:
    """Template cnn's first start on scikit-learn's digits, in so many epochs."""
    seeds = (0, 1, 2, 3, 4)
    return Case(
        digits,
        lambda dataset: load_template("cnn"),
        started(0),
        Budget(1500),
        360,
        seeds,
        epochs=epochs,
        settings=settings,
    )


CASES = {
    "mnist": on_mnist(started(1), 5300),
    "short": of_epochs(started(0), 50_000, 5),
    "long": of_epochs(started(0), 50_000, 20),
    "longest": of_epochs(started(0), 50_000, 48),
    "long-5k": of_epochs(started(1), 5300, 20),
    "tiny": on_mnist(
        first_bet(1200),
        1200,
        settings={"as it is": {}, "images changed in full": {"augment": 1.0}, **CHANGES},
    ),
    "long-3k": of_epochs(first_bet(2700), 2700, 40),
    "long-1k": of_epochs(first_bet(1200), 1200, 60),
    "refit-5k": of_refit(started(1), 5300, 40),
    "refit-3k": of_refit(first_bet(2700), 2700, 80),
    "refit-1k": of_refit(first_bet(1200), 1200, 100),
    "digits": on_digits(60, SETTINGS),
    "refit-digits": on_digits(300, REFITS),
    "cifar": Case(
        lambda: load_dataset(str(SHARED / "cifar10_jpeg75_train.parquet")),
        lambda dataset: published_like("resnet20", dataset.spec),
        lambda template, dataset: template.baseline(dataset.spec),
        Budget(),
        5000,
        (1,),
        epochs=8,
        settings=ABSOLUTE,
    ),
}


def trained(case: Case, dataset: Dataset, changes: Mapping[str, Any], seed: int) -> dict[str, float] | None:
    """Loss and error on the validation rows, and epochs, of one training; None for changes that change nothing."""
    template, changes = case.template(dataset), dict(changes)
    of_images = {name: changes.pop(name) for name in ("elastic", "cutout") if name in changes}  # not of the recipe
    if of_images:
        changed = replace(dataset.augment, **of_images) if isinstance(dataset.augment, Augment) else dataset.augment
        if changed == dataset.augment:
            return None
        dataset = replace(dataset, augment=changed)
    order = torch.randperm(len(dataset.y), generator=torch.Generator().manual_seed(seed))
    bench = Bench(dataset, template, case.budget, order[case.held :], order[: case.held], RunClock())
    values = case.values(template, dataset)
    recipe = replace(bench.recipe(values), **changes)
    if changes and case.settings not in (ABSOLUTE, RATES, REFITS) and recipe == bench.recipe(values):
        return None
    model, shape = build(bench, values, seed), dataset.spec.input_shape
    done = synthesize_candidate(
        bench,
        values,
        name="recipe",
        seed=seed,
        seconds=case.seconds,
        epochs=case.epochs,
        scheme=None if case.budget == Budget() else scheme_for("auto", model, case.budget, shape),
        recipe=recipe,
    )
    return figures_of(done, bench) | {"epochs": done.epochs}


def figures_of(done: Trained, bench: Bench) -> dict[str, float]:
    """Loss and error on the validation rows, and on as many of those that were learnt, as they are."""
    dataset, rows = bench.dataset, bench.train_rows[: len(bench.validation_rows)]
    learnt = evaluate(done.model, dataset, dataset.x[rows], dataset.y[rows])
    figures = {"loss": done.scores.loss, "error": done.scores.error}
    return figures | {"learnt loss": learnt.loss, "learnt error": learnt.error}


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Settings of the recipe, one change at a time.")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--settings", nargs="+", choices=[*SETTINGS, *ABSOLUTE, *RATES, *REFITS], metavar="NAME")
    asked = parser.parse_args(words)
    if unknown := [name for name in asked.cases if name not in CASES]:
        parser.error(f"cases are {', '.join(CASES)}, got {', '.join(unknown)}")
    began, measured, rows = time.monotonic(), Measured("recipes"), []
    torch.set_num_threads(1)
    for name, case in CASES.items():
        dataset = case.data() if not asked.cases or name in asked.cases else None
        for setting, changes in case.settings.items():
            for seed in case.seeds:
                key = f"{name}, {setting}, {seed}"
                wanted = setting in (asked.settings or case.settings) and measured.get(key, any_source=True) is None
                if dataset is not None and wanted:
                    if (figures := trained(case, dataset, changes, seed)) is None:
                        break
                    measured.put(key, figures)
                    print(key, figures, flush=True)
            keys = [f"{name}, {setting}, {seed}" for seed in case.seeds]
            found = [one for key in keys if (one := measured.get(key, any_source=True)) is not None]
            for what, unit in UNITS.items() if found else ():
                values = [one[what] for one in found if what in one]
                if not values:
                    continue
                about = commits(found)
                rows.append(row(f"{name}: {setting}: {what}", values, unit=unit, bar=None) | about)
    print(write("recipes", rows, command="benchmarks/recipes.py", seconds=time.monotonic() - began))


if __name__ == "__main__":
    main(sys.argv[1:])
