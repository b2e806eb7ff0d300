"""Tables: the winner learns once more, from made-up rows too, of which those networks and boosted trees tell that the
rows themselves have taught.

Few networks can be taught much by a table's own rows before they know them by heart. What several models agree on is
better than what each says, on rows that nobody has seen as well, and one small network can learn that (Bucila, Caruana
& Niculescu-Mizil, "Model compression", KDD 2006; Hinton, Vinyals & Dean, arXiv 1503.02531).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from steerage import events, store
from steerage.data.dataset import Dataset
from steerage.data.madeup import made_up
from steerage.data.tabular import TablePreprocess
from steerage.errors import TrainingFailed
from steerage.seeds import child_seed
from steerage.synthesis.candidate import Bench
from steerage.synthesis.phases import longest, noise
from steerage.synthesis.stage import Finalist, Run, left, recall, scheme_of, trained_in
from steerage.training.evaluate import Scores, predict, scores_of
from steerage.training.trees import Trees, fit_trees

NAME, PHASE = "taught", "distillation"
FEWEST_ROWS = 100  # to learn from; the trees want twenty in a leaf
MADE_UP, MOST_MADE_UP = 4, 400_000  # rows for each one that there is; in all, where that is more than one for each
STEPS, FEWEST_STEPS = 3.0, 1.5  # times those of the winner: rows that are not its own are not soon known by heart
SHOWING = 0.5  # of the standard error of a validation figure
TREES_SHARE = 0.25  # of the time that is left for the phase

Told = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Teacher:
    """Which models tell together what is to be learnt: so many promoted ``networks``, ``rounds`` of trees, or both."""

    networks: int
    rounds: int

    def to_json(self) -> dict[str, Any]:
        return {"networks": self.networks, "rounds": self.rounds}


def taught(run: Run, winner: Finalist) -> Finalist | None:
    """``winner``, trained once more under the teacher that is best on the validation rows, if that is any better.

    Models and made-up rows are of the training rows alone. None where there is too little time or too few rows, where
    the longest training was the best, so that the rows are not known by heart, or where the winner as it is has the
    lower loss or an error that shows to be lower.
    """
    bench, plan = run.bench, run.plan
    seconds = left(run, plan.ends(PHASE), 1)
    begun = (run.directory.candidates / f"{NAME}.json").is_file()  # by a process that was stopped: then it goes on
    hasty = seconds is not None and seconds < FEWEST_STEPS * winner.trained.seconds
    if (hasty and not begun) or len(bench.train_rows) < FEWEST_ROWS or winner.name == longest(plan):
        return None
    run.begin(PHASE)
    networks = _networks(run)
    teacher, trees = _chosen(run, networks, seconds)
    lessons = _lessons(run, bench.train_rows, teacher, networks, trees)
    pupil: Finalist | None = None
    with suppress(TrainingFailed):
        pupil = _learning(run, lessons, winner, seconds=left(run, plan.ends(PHASE), 1))
    kept = pupil if pupil is not None and _better(run, winner.trained.scores, pupil.trained.scores) else None
    run.emit(events.Taught(teacher.networks, teacher.rounds, kept is not None))
    return kept


def _better(run: Run, before: Scores, now: Scores) -> bool:
    """Whether to keep what was taught: by the loss, which tells it on few rows too, and an error that is no higher but
    for what does not show.
    """
    return now.loss < before.loss and now.error <= before.error + SHOWING * noise(run, before)


def teacher_of(run: Run) -> Teacher:
    """The teacher that was chosen."""
    kept = store.read_json(run.directory.candidates / f"{NAME}.json")
    return Teacher(int(kept["networks"]), int(kept["rounds"]))


def lessons_of_all_rows(run: Run) -> Dataset:
    """What the network that is delivered learns from: the validation rows have taught the trees, too."""
    teacher, rows = teacher_of(run), torch.arange(len(run.bench.dataset.y))
    trees = _fitted(run.bench, rows, rounds=teacher.rounds) if teacher.rounds else None
    return _lessons(run, rows, teacher, _networks(run), trees)


def _learning(run: Run, lessons: Dataset, winner: Finalist, *, seconds: float | None) -> Finalist:
    """The winner's architecture, from fresh weights, for ``STEPS`` times its steps."""
    steps = min(STEPS * winner.trained.epochs, run.plan.epochs("refit")) * len(run.bench.train_rows)
    return trained_in(
        replace(run, bench=replace(run.bench, lessons=lessons)),
        NAME,
        winner.values,
        phase=PHASE,
        seconds=None if seconds is None else min(seconds, STEPS * winner.trained.seconds),
        epochs=max(1, round(steps / len(lessons.y))),
        scheme=scheme_of(run, winner.values),
        announce=False,
        rows=torch.arange(len(lessons.y)),
    )


def _networks(run: Run) -> list[Told]:
    """What each network of the promotion tells, as a teacher does."""
    bench = run.bench
    found = [recall(bench, path, path.stem) for path in sorted(run.directory.candidates.glob("promoted-*.done"))]
    return [_told_by(bench.dataset, one) for one in found if one is not None]


def _told_by(dataset: Dataset, finalist: Finalist) -> Told:
    def told(x: Tensor) -> Tensor:
        outputs = predict(finalist.trained.model, dataset, x)
        if dataset.spec.task == "classification":
            return F.softmax(outputs, dim=1)
        return outputs.sigmoid() if dataset.spec.task == "multilabel" else outputs

    return told


def _chosen(run: Run, networks: Sequence[Told], seconds: float | None) -> tuple[Teacher, Trees | None]:
    """The teacher of the lowest validation loss, with its trees; which one is kept, for a run that is cut off."""
    bench, file = run.bench, run.directory.candidates / f"{NAME}.json"
    if file.is_file():
        teacher = teacher_of(run)
        return teacher, _fitted(bench, bench.train_rows, rounds=teacher.rounds) if teacher.rounds else None
    until = None if seconds is None else bench.clock() + TREES_SHARE * seconds
    trees = _fitted(bench, bench.train_rows, until=until)
    rows = bench.validation_rows
    x, y, weights = bench.dataset.x[rows], bench.dataset.y[rows], bench.dataset.weights_of(rows)
    with bench.clock.counted():
        count, rounds = len(networks), trees.rounds
        teachers = [Teacher(count, 0), Teacher(count, rounds), Teacher(0, rounds)]
        losses = [
            scores_of(_as_outputs(_together(one, networks, trees)(x), bench.dataset), y, bench.dataset, weights).loss
            for one in teachers
        ]
    teacher = teachers[losses.index(min(losses))]
    store.write_json(file, teacher.to_json())
    return teacher, trees if teacher.rounds else None


def _fitted(bench: Bench, rows: Tensor, *, rounds: int | None = None, until: float | None = None) -> Trees:
    with bench.clock.counted():
        return fit_trees(bench.dataset, rows, rounds=rounds, enough=lambda: until is not None and bench.clock() > until)


def _together(teacher: Teacher, networks: Sequence[Told], trees: Trees | None) -> Told:
    """The mean of the networks, and of that and the trees."""

    def told(x: Tensor) -> Tensor:
        parts = [torch.stack([one(x) for one in networks]).mean(dim=0)] if teacher.networks else []
        parts += [trees(x)] if teacher.rounds and trees is not None else []
        return torch.stack(parts).mean(dim=0)

    return told


def _as_outputs(told: Tensor, dataset: Dataset) -> Tensor:
    """Outputs of a network that would tell the same."""
    if dataset.spec.task == "regression":
        return told
    told = told.clamp(1e-6, 1.0 - 1e-6)
    return told.log() if dataset.spec.task == "classification" else told.logit()


def _lessons(run: Run, rows: Tensor, teacher: Teacher, networks: Sequence[Told], trees: Trees | None) -> Dataset:
    """``rows`` as they are, and made-up ones with what is told of them."""
    dataset, spec = run.bench.dataset, run.bench.dataset.spec
    preprocess = dataset.preprocess
    assert isinstance(preprocess, TablePreprocess)
    x, columns = dataset.x[rows], torch.tensor(preprocess.feature_columns)
    times = max(1, min(MADE_UP, MOST_MADE_UP // len(rows)))
    with run.bench.clock.counted():
        more, origin = made_up(x, columns, times=times, seed=child_seed(run.seed, "made-up rows"))
        told = _together(teacher, networks, trees)(more)
    known = dataset.y[rows]
    if spec.task == "classification":
        known = F.one_hot(known, spec.outputs).float()
    elif spec.task == "regression":
        told = told.view(len(told), *known.shape[1:])
    y = torch.cat([known, told])
    weights = dataset.weights_of(rows)
    weights = None if weights is None else torch.cat([weights, weights[origin]])
    if dataset.class_factors is not None:
        factors = y @ dataset.class_factors
        weights = factors if weights is None else weights * factors
    return replace(dataset, x=torch.cat([x, more]), y=y, weights=weights, class_factors=None, groups=None)
