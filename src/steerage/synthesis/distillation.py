"""Tables: the winner learns once more, from made-up rows too, of which those networks and boosted trees tell that the
rows themselves have taught.

Few networks can be taught much by a table's own rows before they know them by heart. What several models agree on is
better than what each says, on rows that nobody has seen as well, and one small network can learn that (Bucila, Caruana
& Niculescu-Mizil, "Model compression", KDD 2006; Hinton, Vinyals & Dean, arXiv 1503.02531).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from steerage import events
from steerage.cost.budget import Budget
from steerage.data.dataset import Dataset
from steerage.data.madeup import made_up
from steerage.data.tabular import TablePreprocess
from steerage.errors import InfeasibleBudget, TrainingFailed
from steerage.seeds import child_seed
from steerage.synthesis.preference import better
from steerage.synthesis.promotion import is_longest
from steerage.synthesis.sizing import PARTS
from steerage.synthesis.stage import Finalist, Run, left, scheme_of, trained_in
from steerage.synthesis.teacher import Forest, Teacher, choose, grown_for, is_chosen, teacher_of, told_by

NAME, PHASE = "taught", "distillation"
FEWEST_ROWS = 100  # to learn from; the trees want twenty in a leaf
MADE_UP, MOST_MADE_UP = 4, 400_000  # rows for each one that there is; in all, where that is more than one for each
# Times the steps of the winner, for as long as it helps: rows that are not its own are not soon known by heart.
STEPS = (3.0, 10.0, 30.0)
FEWEST = 0.5  # of the time that these steps take there has to be
# Share of the loss by which three times the size has to be better, times the root of the validation rows: 2% on a
# thousand of them, 6% on a hundred, where two trainings of one network differ by as much.
WORTH = 0.6
TREES_SHARE = 0.25  # of the time that is left for the phase


@dataclass(frozen=True)
class Pupil:
    """What was taught, and the budget that it is in: larger than the run's where such networks have room for more."""

    finalist: Finalist
    budget: Budget


def taught(run: Run, winner: Finalist) -> Pupil | None:
    """``winner``, trained once more under a teacher (``steerage.synthesis.teacher``), if that is any better.

    Where the size was chosen by sizing, larger ones are tried as well, and are taken where they are clearly better:
    what is taught knows fewer rows by heart, and has use for more parameters. Then the best learns for longer.

    Models and made-up rows are of the training rows alone. None where there is too little time or too few rows, where
    the longest training was the best, so that the rows are not known by heart, or where the winner as it is has the
    lower loss or an error that shows to be lower.
    """
    bench, plan = run.bench, run.plan
    hasty = not is_chosen(run) and not _time_for(run, 0, winner)
    if hasty or len(bench.train_rows) < FEWEST_ROWS or is_longest(winner, plan):
        return None
    run.begin(PHASE)
    seconds = left(run, plan.ends(PHASE), 1)
    teacher, forest = choose(run, until=None if seconds is None else bench.clock() + TREES_SHARE * seconds)
    lessons = _lessons(run, bench.train_rows, teacher, forest)
    sizes, best, pupil = [bench.budget, *_larger(run)], winner, None

    def learns(place: int, at: int) -> bool:
        """Whether the training of ``STEPS[at]`` at a size is the best so far."""
        nonlocal best, pupil
        name = f"{NAME}-{place}-{at}"
        if place + at > 0 and not (_is_begun(run, name) or _time_for(run, at, winner)):
            return False
        sized = replace(run, bench=replace(bench, budget=sizes[place]))
        try:
            now = _learning(sized, name, lessons, winner, steps=STEPS[at])
        except (TrainingFailed, InfeasibleBudget):
            return False
        before = best.trained.scores
        margin = WORTH / math.sqrt(before.rows) if place > 0 and at == 0 else 0.0
        if not better(run, before, now.trained.scores, margin=margin):
            return False
        best, pupil = now, Pupil(now, sizes[place])
        return True

    for place in range(len(sizes)):  # what three times the size does not show, nine times may
        learns(place, 0)
    if pupil is not None:
        place = sizes.index(pupil.budget)
        for at in range(1, len(STEPS)):
            if not learns(place, at):
                break
    run.emit(events.Taught(len(teacher.networks), teacher.rounds, pupil is not None))
    if pupil is not None and pupil.budget != bench.budget and pupil.budget.max_params is not None:
        run.emit(events.SizeChosen(pupil.budget.max_params))
    return pupil


def _larger(run: Run) -> list[Budget]:
    """Sizes above the one that sizing chose, the next one first."""
    chosen, bound = run.bench.budget.max_params, run.plan.most_params
    if chosen is None or bound is None:
        return []
    return [Budget(max_params=size) for size in sorted(bound // part for part in PARTS) if size > chosen]


def lessons_of_all_rows(run: Run) -> Dataset:
    """What the network that is delivered learns from: the validation rows have taught the trees, too."""
    teacher, rows = teacher_of(run), torch.arange(len(run.bench.dataset.y))
    return _lessons(run, rows, teacher, grown_for(run.bench, rows, teacher))


def _time_for(run: Run, at: int, winner: Finalist) -> bool:
    """Whether there is time for the training of ``STEPS[at]``, or where epochs are counted more of them than before."""
    seconds = left(run, run.plan.ends(PHASE), 1)
    if seconds is None:
        return at == 0 or STEPS[at - 1] * winner.trained.epochs < run.plan.epochs("refit")
    return seconds >= FEWEST * STEPS[at] * winner.trained.seconds


def _is_begun(run: Run, name: str) -> bool:
    """By a process that was stopped: then it goes on, whatever time there is."""
    return any((run.directory.candidates / f"{name}{ending}").is_file() for ending in (".state", ".done"))


def _learning(run: Run, name: str, lessons: Dataset, winner: Finalist, *, steps: float) -> Finalist:
    """The winner's architecture, from fresh weights, for ``steps`` times its steps."""
    learnt = min(steps * winner.trained.epochs, run.plan.epochs("refit")) * len(run.bench.train_rows)
    seconds = left(run, run.plan.ends(PHASE), 1)
    return trained_in(
        replace(run, bench=replace(run.bench, lessons=lessons)),
        name,
        winner.values,
        phase=PHASE,
        seconds=None if seconds is None else min(seconds, steps * winner.trained.seconds),
        epochs=max(1, round(learnt / len(lessons.y))),
        scheme=scheme_of(run, winner.values),
        announce=False,
        rows=torch.arange(len(lessons.y)),
    )


def _lessons(run: Run, rows: Tensor, teacher: Teacher, forest: Forest) -> Dataset:
    """``rows`` as they are, and made-up ones with what is told of them."""
    dataset, spec = run.bench.dataset, run.bench.dataset.spec
    preprocess = dataset.preprocess
    assert isinstance(preprocess, TablePreprocess)
    x, columns = dataset.x[rows], torch.tensor(preprocess.feature_columns)
    times = max(1, min(MADE_UP, MOST_MADE_UP // len(rows)))
    with run.bench.clock.counted():
        more, origin = made_up(x, columns, times=times, seed=child_seed(run.seed, "made-up rows"))
        told = told_by(run, teacher, forest)(more)
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
