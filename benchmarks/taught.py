"""What a network that is starved of parameters gains from a teacher: soft targets for every changed image.

    python benchmarks/taught.py [PUPIL ...]

The teacher is the second starting point of template cnn, dense (30,000 parameters), for ten epochs. The pupils are
pruned to their parameters, alone and taught (``steerage.training.teaching``), at the learning rate of the search, as
the last training of a starved network is, and at a lower one. MNIST; loss and error on 10,000 validation rows that
neither has seen, and on as many of those that were learnt. Goes on where it stopped; the teacher is trained anew by
each process. One thread. Long trainings of the same networks alone are in recipes.json too (long-3k, refit-5k).
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, replace

import torch
from common import SHARED, Measured, commits, row, write
from recipes import figures_of, first_bet, started
from torch import nn

from steerage.cost.budget import Budget
from steerage.data.dataset import Dataset
from steerage.data.load import load_dataset
from steerage.growprune.choose import scheme_for
from steerage.space import Values
from steerage.synthesis.candidate import Bench, build, synthesize_candidate
from steerage.synthesis.clock import RunClock
from steerage.templates.registry import load_template

HELD = 10_000
TEACHER_SEED = 1
WEIGHT_DECAY = 1e-2
FLAT = {"channels": 11, "growth": 1.0, "kernel": 5}  # what searches within 1,200 parameters have delivered
UNITS = {"loss": "nats", "error": "fraction", "learnt loss": "nats", "learnt error": "fraction"}


@dataclass(frozen=True)
class Pupil:
    params: int
    epochs: int
    seeds: tuple[int, ...] = (1,)
    lr: float = 1.2e-2
    augment: float | None = None  # in place of the pupil's own


TEACHER = Pupil(0, 10)  # without a bound
# Rows of commit ca2358c, where the changes of eight epochs came again after them, so that each was asked about once.
AGAIN = "taught of eight epochs"
PUPILS = {
    "flat-1k": Pupil(1200, 20, (1, 2)),
    "flat-1k-long": Pupil(1200, 60),
    "bet-3k": Pupil(2700, 40),
    "second-5k": Pupil(5300, 40),
    "second-5k-slow": Pupil(5300, 40, lr=6e-3, augment=1.5),  # as a refit of half an hour is
}


def values_of(name: str, dataset: Dataset) -> Values:
    template = load_template("cnn")
    if name.startswith("flat"):
        return {**started(2)(template, dataset), **FLAT, "augment": 0.5}
    choose = started(1) if name.startswith("second") else first_bet(PUPILS[name].params)
    return choose(template, dataset)


def trained(
    bench: Bench, values: Values, pupil: Pupil, *, seed: int, teacher: nn.Module | None = None
) -> tuple[nn.Module, dict[str, float]]:
    recipe = replace(bench.recipe(values), lr=pupil.lr, weight_decay=WEIGHT_DECAY)
    recipe = recipe if pupil.augment is None else replace(recipe, augment=pupil.augment)
    model, shape = build(bench, values, seed), bench.dataset.spec.input_shape
    scheme = None if bench.budget == Budget() else scheme_for("auto", model, bench.budget, shape)
    done = synthesize_candidate(
        bench, values, name="taught", seed=seed, epochs=pupil.epochs, scheme=scheme, recipe=recipe, teacher=teacher
    )
    return done.model, figures_of(done, bench)


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Small networks with and without a teacher.")
    parser.add_argument("pupils", nargs="*", metavar="PUPIL", help=", ".join(PUPILS))
    parser.add_argument("--kept", action="store_true", help="measure nothing, use what is there")
    options = parser.parse_args(words)
    asked = options.pupils
    if unknown := [name for name in asked if name not in PUPILS]:
        parser.error(f"pupils are {', '.join(PUPILS)}, got {', '.join(unknown)}")
    began, measured, rows = time.monotonic(), Measured("taught"), []
    torch.set_num_threads(1)
    dataset, template = load_dataset(str(SHARED / "mnist.npz")), load_template("cnn")
    order = torch.randperm(len(dataset.y), generator=torch.Generator().manual_seed(TEACHER_SEED))
    bench = Bench(dataset, template, Budget(), order[HELD:], order[:HELD], RunClock())
    teacher: nn.Module | None = None
    for name, pupil in PUPILS.items():
        for how in ("alone", "taught", AGAIN):
            keys = {seed: f"{name}, {how}, {seed}" for seed in pupil.seeds}
            for seed, key in keys.items():
                if (
                    options.kept
                    or how == AGAIN
                    or (asked and name not in asked)
                    or measured.get(key, any_source=True) is not None
                ):
                    continue
                if how == "taught" and teacher is None:
                    values = started(1)(template, dataset)
                    teacher, known = trained(bench, values, TEACHER, seed=TEACHER_SEED)
                    measured.put("teacher", known)
                small = replace(bench, budget=Budget(pupil.params))
                teaching = teacher if how == "taught" else None
                _, known = trained(small, values_of(name, dataset), pupil, seed=seed, teacher=teaching)
                measured.put(key, known)
                print(key, known, flush=True)
            found = [one for key in keys.values() if (one := measured.get(key, any_source=True)) is not None]
            for what, unit in UNITS.items():
                if figures := [one[what] for one in found if what in one]:
                    rows.append(row(f"{name}, {how}: {what}", figures, unit=unit, bar=None) | commits(found))
    if (said := measured.get("teacher", any_source=True)) is not None:
        rows.append(row("teacher: error", [said["error"]], unit="fraction", bar=None) | commits([said]))
    print(write("taught", rows, command="python benchmarks/taught.py", seconds=time.monotonic() - began))


if __name__ == "__main__":
    main(sys.argv[1:])
