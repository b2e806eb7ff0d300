"""Optuna's samplers as peers, with their default settings and their own way of keeping a constraint."""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Callable

import numpy as np
import optuna
from optuna.samplers import BaseSampler, GPSampler, QMCSampler, TPESampler
from optuna.trial import Trial, TrialState

from nas_tables.trials import Task, Trials

REFUSALS = 20  # infeasible or known asks in a row, after which a random row is trained instead


def tpe(seed: int) -> BaseSampler:
    """Tree-structured Parzen estimator."""
    return TPESampler(seed=seed)


def gp(seed: int) -> BaseSampler:
    """Gaussian process."""
    return GPSampler(seed=seed)


def qmc(seed: int) -> BaseSampler:
    """Sobol sequence, scrambled since the seed would mean nothing otherwise; it heeds no constraints."""
    return QMCSampler(seed=seed, scramble=True, warn_independent_sampling=False)


def ask_and_tell(trials: Trials, rng: np.random.Generator, seed: int, sampler: Callable[[int], BaseSampler]) -> None:
    """Ask until all trials are made.

    An infeasible ask is told with its constraints and is no trial; its value, which nobody knows, is the mean of those
    seen (no value but a failure before there are any). A known ask is told what it showed before.
    """
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    table, excess = trials.task.table, trials.task.excess
    study = optuna.create_study(direction="maximize", sampler=sampler(seed))
    refused = 0
    while trials.open:
        if refused >= REFUSALS:
            study.enqueue_trial(table.values(trials.unseen(rng)))
        trial = study.ask(dict(table.space.distributions))
        row = table.row(trial.params)
        feasible = row is not None and excess[row] <= 0
        refused = 0 if feasible and row not in trials.shown else refused + 1
        _constrain(trial, trials.task, row)
        if row is not None and feasible:
            study.tell(trial, trials.train(row))
        elif trials.shown:
            study.tell(trial, statistics.fmean(trials.shown.values()))
        else:
            study.tell(trial, state=TrialState.FAIL)


def _constrain(trial: Trial, task: Task, row: int | None) -> None:
    """Set the constraints of ``trial``: one for each bound, and one for being in the table if that has gaps."""
    for cost, overrun in task.overruns.items():
        trial.set_constraint(cost, 1.0 if row is None else float(overrun[row]))
    if not task.table.complete:
        trial.set_constraint("missing", 1.0 if row is None else 0.0)
