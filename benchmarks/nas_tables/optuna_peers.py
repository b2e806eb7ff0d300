"""Optuna's samplers as peers, with their default settings and their own way of keeping a constraint."""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import optuna
from optuna.samplers import BaseSampler, GPSampler, QMCSampler, TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState

from nas_tables.trials import Trials

REFUSALS = 20  # infeasible or known asks in a row, after which a random row is trained instead
EXCESS = "excess"  # user attribute of a trial

Constraints = Callable[[FrozenTrial], Sequence[float]] | None


def tpe(seed: int, constraints: Constraints) -> BaseSampler:
    """Tree-structured Parzen estimator."""
    return TPESampler(seed=seed, constraints_func=constraints)


def gp(seed: int, constraints: Constraints) -> BaseSampler:
    """Gaussian process."""
    return GPSampler(seed=seed, constraints_func=constraints)


def qmc(seed: int, constraints: Constraints) -> BaseSampler:
    """Sobol sequence, scrambled since the seed would mean nothing otherwise; it knows no constraints."""
    return QMCSampler(seed=seed, scramble=True, warn_independent_sampling=False)


def ask_and_tell(
    trials: Trials, rng: np.random.Generator, seed: int, sampler: Callable[[int, Constraints], BaseSampler]
) -> None:
    """Ask until all trials are made.

    An infeasible ask is told with its excess and is no trial; its value, which nobody knows, is the mean of those
    seen (no value but a failure before there are any). A known ask is told what it showed before.
    """
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    table, excess = trials.task.table, trials.task.excess
    bounded = bool(np.any(excess > 0)) or len(table.index) < np.prod([gene.size for gene in table.space.genes])
    study = optuna.create_study(direction="maximize", sampler=sampler(seed, _excess if bounded else None))
    refused = 0
    while trials.open:
        if refused >= REFUSALS:
            study.enqueue_trial(table.values(trials.unseen(rng)))
        trial = study.ask(dict(table.space.distributions))
        row = table.row(trial.params)
        over = 1.0 if row is None else float(excess[row])
        trial.set_user_attr(EXCESS, over)
        refused = refused + 1 if over > 0 or row in trials.shown else 0
        if row is not None and over <= 0:
            study.tell(trial, trials.train(row))
        else:
            _refuse(study, trial, trials)


def _excess(trial: FrozenTrial) -> Sequence[float]:
    return (trial.user_attrs[EXCESS],)


def _refuse(study: optuna.Study, trial: Trial, trials: Trials) -> None:
    """Tell that ``trial`` is infeasible."""
    if trials.shown:
        study.tell(trial, statistics.fmean(trials.shown.values()))
    else:
        study.tell(trial, state=TrialState.FAIL)
