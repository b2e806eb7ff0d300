"""What a search names as its best after so many trials, and how far that is from the best there is."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np

from nas_tables.trials import Task, Trials

COUNTS = (30, 60, 100)
RETRAIN_SHARE = 0.15  # of the trials, for training the best few again
RETRAIN_FROM = 60  # trials; with fewer of them none can be spared
FLOOR = 1e-3  # of the spread between the best and the median row: regrets below count as this much in a ratio


def retrainings(count: int, *, recorded: bool) -> int:
    """How many of ``count`` trials train a row again; none where a row has one recorded training only."""
    return 0 if recorded or count < RETRAIN_FROM else round(RETRAIN_SHARE * count)


def by_observation(trials: Trials, rows: Sequence[int]) -> list[int]:
    """``rows``, best first by what their one training showed."""
    return sorted(rows, key=lambda row: -trials.shown[row])


def name_best(task: Task, order: Sequence[int], again: int) -> int | None:
    """The first of ``order``, or the winner of ``again`` more trainings of the first few; None if there is no row."""
    return retrain_plan(task, order, again) if again and order else next(iter(order), None)


def retrain_plan(task: Task, order: Sequence[int], again: int) -> int:
    """Successive halving: one more training of each row, the better half goes on, down to two, until all are spent.

    The field is half as large as the number of trainings. The winner has the best mean over all its trainings, the
    first one included.
    """
    field = list(order[: max(2, again // 2)])
    trainings = {row: [task.show(row)] for row in field}
    while again:
        for row in field[:again]:
            trainings[row].append(task.show(row, len(trainings[row])))
        again -= len(field[:again])
        field = sorted(field, key=lambda row: -statistics.fmean(trainings[row]))[: max(2, len(field) // 2)]
    return max((row for row in trainings if len(trainings[row]) > 1), key=lambda row: statistics.fmean(trainings[row]))


def regret(task: Task, named: int | None) -> float:
    """Accuracy below the best feasible row; a search that found nothing named the worst."""
    truth = task.table.truth
    inside = truth[task.feasible]
    return float(inside.max() - (truth[named] if named is not None else inside.min()))


def floor(task: Task) -> float:
    """Smallest regret that counts as such in a ratio."""
    inside = task.table.truth[task.feasible]
    return FLOOR * float(inside.max() - np.median(inside))
