"""Images, and few parameters for many of them: a larger network tells the winner what it sees in each changed image.

A small network has no room for what the classes of all images ask for, and in a long training it learns those of many
by heart all the same. What a larger one makes of the very same image is easier to learn, and says more
(``steerage.training.teaching``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from steerage import events
from steerage.cost.budget import Budget
from steerage.cost.count import dense_cost
from steerage.errors import TrainingFailed
from steerage.space import Values
from steerage.synthesis.feasible import images_for_each_parameter, starting_points
from steerage.synthesis.local_search import times_as_long
from steerage.synthesis.stage import Finalist, Run, left, trained_in

NAME = PHASE = "teacher"
# For each parameter that is allowed. On MNIST (benchmarks/taught.py, one seed) a teacher takes 6 to 20 % of the loss
# away from 5,300 parameters in 40 epochs, in which they learn rows by heart without one. What it brings 2,700 and 1,200
# is no more than two trainings of one network differ by, and more parameters were not tried.
FEWEST_IMAGES, MOST_IMAGES = 10, 20
# Of the refit if it is not asked: to ask takes a third of the time and more, and 40 epochs are to be left.
MANY_EPOCHS = 80.0
LARGER = 2.0  # times as many parameters as the winner that a teacher has at least
FEWEST_EPOCHS = 6  # of a teacher: after fewer it is hardly better than the one that it is to teach
BETTER = 0.8  # times the loss of the winner that a teacher has at most: to be asked takes time of the last training


def teacher_for(run: Run, winner: Finalist) -> Finalist | None:
    """A larger network, trained without a budget, that is better than ``winner`` on the validation rows.

    None where the plan has no teacher, it was not seen to help so many parameters in so many epochs, the time is too
    short for it, or it is not better.
    """
    bench, plan = run.bench, run.plan
    epochs = times_as_long(run, winner, is_taught=True) * winner.trained.epochs
    helps = FEWEST_IMAGES <= images_for_each_parameter(bench) < MOST_IMAGES and epochs >= MANY_EPOCHS
    if not plan.has_teacher or not helps or bench.dataset.spec.task == "regression":
        return None
    alone = replace(run, bench=replace(bench, budget=Budget(), device=None, latency=None, depth=None))
    values = _in_time(alone, winner)
    if values is None:
        return None
    try:
        teacher = trained_in(alone, NAME, values, phase=PHASE, seconds=left(run, plan.ends(PHASE), 1), scheme=None)
    except TrainingFailed:  # it is not what was asked for
        return None
    is_better = teacher.trained.scores.loss <= BETTER * winner.trained.scores.loss
    run.emit(events.TeacherTrained(teacher.trained.cost.params, is_better))
    return teacher if is_better else None


def to_json(teacher: Finalist) -> dict[str, Any]:
    """What the summary says of it."""
    return {"networks": 1, "rounds": 0, "params": teacher.trained.cost.params}


def _in_time(alone: Run, winner: Finalist) -> Values | None:
    """The first of the template's starting points that sees the rows ``FEWEST_EPOCHS`` times in its part of the time,
    and is ``LARGER`` than ``winner``.

    A MAC is taken to need as long as one of the winner before it is pruned. Small networks need more, so that there is
    time left.
    """
    bench, plan = alone.bench, alone.plan
    spec, trained = bench.dataset.spec, winner.trained
    own = dense_cost(bench.template, winner.values, spec)

    def epochs(macs: int) -> float:
        if not plan.effort.timed:
            return plan.epochs(PHASE)
        seconds = plan.ends(PHASE) - plan.ends("promotion")  # as planned: a run that goes on has less left
        return seconds * trained.rate(own.macs, macs)

    for values in starting_points(bench):
        cost = dense_cost(bench.template, values, spec)
        if cost.params >= LARGER * trained.cost.params and epochs(cost.macs) >= FEWEST_EPOCHS:
            return values
    return None
