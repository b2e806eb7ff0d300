"""Who tells what is to be learnt: those of a run's models whose mean is best on the validation rows.

Taken one by one, each as often as it helps (Caruana, Niculescu-Mizil, Crew & Ksikes, "Ensemble selection from libraries
of models", ICML 2004), of all networks that were trained on the training rows and of boosted trees of several kinds
after several rounds. What knows its rows by heart is too sure of itself, so all are tempered before
(``steerage.training.refinement``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from steerage import store
from steerage.data.dataset import Dataset
from steerage.synthesis.candidate import Bench
from steerage.synthesis.stage import Finalist, Run, recall
from steerage.training.evaluate import predict
from steerage.training.fit import loss_of
from steerage.training.refinement import best_factor
from steerage.training.teaching import told
from steerage.training.trees import KINDS, Trees, fit_trees

FILE = "teacher.json"
# Networks outside the search that saw the run's own training rows, and no others.
LIBRARY = ("baseline.done", "sized-?-0.done", "sized-?-0-?.done", "promoted-*.done")
STAGES = (15, 30, 60, 120)  # rounds of trees, beside all that there are of a kind
PICKS = 12
SUREST = 4.0  # times as sure as it is at most: where it is right of all of a few rows, that would know no bounds
BINDING = 1e-4  # of the loss: what helps less is not asked to help

Told = Callable[[Tensor], Tensor]
Forest: TypeAlias = dict[str, Trees]  # by kind


class Part(NamedTuple):
    """How often a model counts, and by what its outputs (logits) are multiplied before."""

    times: int
    factor: float = 1.0


class Stage(NamedTuple):
    """Trees of a kind (``steerage.training.trees.KINDS``) after so many of their rounds."""

    kind: str
    rounds: int


@dataclass(frozen=True)
class Teacher:
    """The models: ``networks`` by the names of their files, and ``trees``."""

    networks: Mapping[str, Part]
    trees: Mapping[Stage, Part]

    @property
    def grown(self) -> dict[str, int]:
        """How many rounds of each kind of trees are needed."""
        return dict(sorted(self.trees))  # of a kind the last, which is the longest

    @property
    def rounds(self) -> int:
        """Of the trees, all together; 0 without any."""
        return sum(self.grown.values())

    def to_json(self) -> dict[str, Any]:
        """What the summary says: how many networks, and how many rounds of trees."""
        return {"networks": len(self.networks), "rounds": self.rounds}


def choose(run: Run, *, until: float | None) -> tuple[Teacher, Forest]:
    """The teacher of the lowest validation loss, with its trees, of which the run's second ``until`` is the last.

    It is kept, for a run that is cut off.
    """
    bench = run.bench
    if is_chosen(run):
        teacher = teacher_of(run)
        return teacher, grown_for(bench, bench.train_rows, teacher)
    forest = _forest(bench, until)
    networks = _networks(run)
    stages: dict[Stage, Told] = {
        Stage(kind, rounds): trees.after(rounds)
        for kind, trees in forest.items()
        for rounds in (*STAGES, trees.rounds)
        if rounds <= trees.rounds
    }
    models = [*networks.values(), *stages.values()]
    dataset, rows = bench.dataset, bench.validation_rows
    x, y, weights = dataset.x[rows], dataset.y[rows], dataset.loss_weights(rows)

    def loss(mean: Tensor) -> float:
        return loss_of(_as_outputs(mean, dataset), y, dataset, 0.0, weights).item()

    def factor(told: Tensor) -> float:
        known = dataset.spec.task != "regression"
        return min(SUREST, best_factor(_as_outputs(told, dataset), y, weights)) if known else 1.0

    with bench.clock.counted():
        told = [model(x) for model in models]
        factors = [factor(one) for one in told]
        counts = Counter(taken([_tempered(*one, dataset) for one in zip(told, factors, strict=True)], loss))
    parts = [Part(counts[at], factors[at]) for at in range(len(models))]
    of_trees = parts[len(networks) :]
    teacher = Teacher(
        {name: part for name, part in zip(networks, parts, strict=False) if part.times},
        {stage: part for stage, part in zip(stages, of_trees, strict=True) if part.times},
    )
    trees = [[*stage, *part] for stage, part in teacher.trees.items()]
    store.write_json(_file(run), {"networks": dict(teacher.networks), "trees": trees})
    return teacher, {kind: forest[kind] for kind in teacher.grown}


def taken(told: Sequence[Tensor], loss: Callable[[Tensor], float]) -> list[int]:
    """Which of ``told`` have the mean of the lowest loss, as often as each counts: the best, then what helps most."""
    total, picked, best = torch.zeros_like(told[0]), list[int](), float("inf")
    for count in range(1, PICKS + 1):
        losses = [loss((total + one) / count) for one in told]
        at = min(range(len(told)), key=lambda at: losses[at])
        if picked and losses[at] > best - BINDING * best:
            break
        total, best = total + told[at], losses[at]
        picked.append(at)
    return picked


def teacher_of(run: Run) -> Teacher:
    """The teacher that was chosen."""
    kept = store.read_json(_file(run))
    trees = {Stage(kind, rounds): Part(times, factor) for kind, rounds, times, factor in kept["trees"]}
    return Teacher({str(name): Part(*part) for name, part in kept["networks"].items()}, trees)


def is_chosen(run: Run) -> bool:
    """Whether there is one already, from a process that was stopped."""
    return _file(run).is_file()


def _file(run: Run) -> Path:
    return run.directory.candidates / FILE


def told_by(run: Run, teacher: Teacher, forest: Forest) -> Told:
    """What ``teacher``, with its trees of ``forest``, tells of rows: probabilities, or standardized targets,
    (n, outputs).
    """
    networks = _networks(run, teacher.networks)
    models = [(networks[name], part) for name, part in teacher.networks.items()]
    models += [(forest[kind].after(rounds), part) for (kind, rounds), part in teacher.trees.items()]
    total, dataset = sum(part.times for _, part in models), run.bench.dataset

    def told(x: Tensor) -> Tensor:
        parts = (_tempered(model(x), part.factor, dataset) * (part.times / total) for model, part in models)
        return sum(parts, start=torch.zeros(()))

    return told


def grown_for(bench: Bench, rows: Tensor, teacher: Teacher) -> Forest:
    """The trees of ``teacher``, fitted to ``rows``."""
    with bench.clock.counted():
        return {
            kind: fit_trees(bench.dataset, rows, kind=kind, rounds=rounds) for kind, rounds in teacher.grown.items()
        }


def _forest(bench: Bench, until: float | None) -> Forest:
    """Trees of all kinds for the training rows, of as many rounds as there is time for: an even part of it each."""
    found: Forest = {}
    with bench.clock.counted():
        for left, kind in zip(range(len(KINDS), 0, -1), KINDS, strict=True):
            last = None if until is None else bench.clock() + (until - bench.clock()) / left

            def enough(last: float | None = last) -> bool:
                return last is not None and bench.clock() > last

            found[kind] = fit_trees(bench.dataset, bench.train_rows, kind=kind, enough=enough)
    return found


def _networks(run: Run, names: Collection[str] | None = None) -> dict[str, Told]:
    """What each network of the library tells, or each of those that are named."""
    bench, folder = run.bench, run.directory.candidates
    paths = [path for pattern in LIBRARY for path in sorted(folder.glob(pattern))]
    found = [recall(bench, path, path.stem) for path in paths if names is None or path.stem in names]
    return {one.name: _told_by(bench.dataset, one) for one in found if one is not None}


def _told_by(dataset: Dataset, finalist: Finalist) -> Told:
    return lambda x: told(predict(finalist.trained.model, dataset, x), dataset)


def _tempered(said: Tensor, factor: float, dataset: Dataset) -> Tensor:
    """What is told with outputs ``factor`` times as large."""
    return said if dataset.spec.task == "regression" else told(factor * _as_outputs(said, dataset), dataset)


def _as_outputs(told: Tensor, dataset: Dataset) -> Tensor:
    """Outputs of a network that would tell the same."""
    if dataset.spec.task == "regression":
        return told
    told = told.clamp(1e-6, 1.0 - 1e-6)
    return told.log() if dataset.spec.task == "classification" else told.logit()
