"""What a network that is starved of parameters gains from a teacher: soft targets for every changed image.

    python benchmarks/taught.py [PUPIL ...]

The teacher is the second starting point of template cnn, dense (30,000 parameters), for ``TEACHER_EPOCHS`` epochs. The
pupils are pruned to their parameters in 20 epochs, without and with it: ``SHARE`` of the loss is then the divergence
from what the teacher tells of the very image, both at a temperature (Hinton, Vinyals & Dean, arXiv 1503.02531). MNIST;
loss and error on 10,000 validation rows that neither has seen. Nothing of it is in the program yet: this is to say
whether it should be. Goes on where it stopped; the teacher is trained anew by each process. One thread.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from common import SHARED, Measured, commits, row, write
from recipes import first_bet, started
from torch import Tensor, nn
from torch.nn import functional as F

from steerage.cost.budget import Budget
from steerage.data.dataset import Dataset
from steerage.data.load import load_dataset
from steerage.growprune.choose import scheme_for
from steerage.space import Values
from steerage.synthesis.candidate import Bench, build, synthesize_candidate
from steerage.synthesis.clock import RunClock
from steerage.templates.registry import load_template
from steerage.training import fit
from steerage.training.precision import uses_bfloat16

HELD, SEED = 10_000, 1
TEACHER_EPOCHS, EPOCHS = 10, 20
SHARE = 0.7
LR = 1.2e-2
FLAT = {"channels": 11, "growth": 1.0, "kernel": 5}  # what searches within 1,200 parameters have delivered
PUPILS = {"flat-1k": 1200, "bet-1k": 1200, "bet-3k": 2700, "second-5k": 5300}  # parameters
TEACHINGS: dict[str, float | None] = {"no teacher": None, "temperature 1": 1.0, "temperature 2": 2.0}


def values_of(pupil: str, dataset: Dataset) -> Values:
    template = load_template("cnn")
    if pupil.startswith("flat"):
        return {**started(2)(template, dataset), **FLAT, "augment": 0.5}
    choose = started(1) if pupil.startswith("second") else first_bet(PUPILS[pupil])
    return choose(template, dataset)


def trained(bench: Bench, values: Values, epochs: int) -> tuple[nn.Module, dict[str, float]]:
    recipe = replace(bench.recipe(values), lr=LR, weight_decay=1e-2)
    model, shape = build(bench, values, SEED), bench.dataset.spec.input_shape
    scheme = None if bench.budget == Budget() else scheme_for("auto", model, bench.budget, shape)
    done = synthesize_candidate(bench, values, name="taught", seed=SEED, epochs=epochs, scheme=scheme, recipe=recipe)
    return done.model, {"loss": done.scores.loss, "error": done.scores.error}


@contextmanager
def taught_by(teacher: nn.Module, temperature: float) -> Iterator[None]:
    """Trainings inside learn from ``teacher``, too."""
    told: list[Tensor] = []
    plain_inputs, plain_loss = fit.inputs_of, fit.loss_of
    autocast = uses_bfloat16(teacher, "auto")

    def inputs_of(training: fit.Training, dataset: Dataset, x: Tensor) -> Tensor:
        inputs = plain_inputs(training, dataset, x)
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            told[:] = [F.log_softmax(teacher(inputs).float() / temperature, dim=1).clone()]
        return inputs

    def loss_of(
        outputs: Tensor, target: Tensor, dataset: Dataset, smoothing: float, weights: Tensor | None = None
    ) -> Tensor:
        own = plain_loss(outputs, target, dataset, smoothing, weights)
        apart = F.kl_div(F.log_softmax(outputs / temperature, dim=1), told[0], log_target=True, reduction="batchmean")
        return (1 - SHARE) * own + SHARE * temperature**2 * apart

    fit.inputs_of, fit.loss_of = inputs_of, loss_of
    try:
        yield
    finally:
        fit.inputs_of, fit.loss_of = plain_inputs, plain_loss


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Small networks with and without a teacher.")
    parser.add_argument("pupils", nargs="*", metavar="PUPIL", help=", ".join(PUPILS))
    asked = parser.parse_args(words).pupils
    if unknown := [name for name in asked if name not in PUPILS]:
        parser.error(f"pupils are {', '.join(PUPILS)}, got {', '.join(unknown)}")
    began, measured, rows = time.monotonic(), Measured("taught"), []
    torch.set_num_threads(1)
    dataset, template = load_dataset(str(SHARED / "mnist.npz")), load_template("cnn")
    order = torch.randperm(len(dataset.y), generator=torch.Generator().manual_seed(SEED))
    bench = Bench(dataset, template, Budget(), order[HELD:], order[:HELD], RunClock())
    teacher: nn.Module | None = None
    for pupil in PUPILS:
        for name, temperature in TEACHINGS.items():
            key = f"{pupil}, {name}"
            if (not asked or pupil in asked) and measured.get(key, any_source=True) is None:
                small, values = replace(bench, budget=Budget(PUPILS[pupil])), values_of(pupil, dataset)
                if temperature is None:
                    _, figures = trained(small, values, EPOCHS)
                else:
                    if teacher is None:
                        teacher, known = trained(bench, started(1)(template, dataset), TEACHER_EPOCHS)
                        measured.put("teacher", known)
                        teacher.eval()
                    with taught_by(teacher, temperature):
                        _, figures = trained(small, values, EPOCHS)
                measured.put(key, figures)
                print(key, figures, flush=True)
            if (found := measured.get(key, any_source=True)) is not None:
                for what, unit in (("loss", "nats"), ("error", "fraction")):
                    rows.append(row(f"{key}: {what}", [found[what]], unit=unit, bar=None) | commits([found]))
    if (found := measured.get("teacher", any_source=True)) is not None:
        rows.append(row("teacher: error", [found["error"]], unit="fraction", bar=None) | commits([found]))
    print(write("taught", rows, command="benchmarks/taught.py", seconds=time.monotonic() - began))


if __name__ == "__main__":
    main(sys.argv[1:])
