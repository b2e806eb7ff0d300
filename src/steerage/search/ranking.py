"""What the trials of a study say about its candidates, all trainings of one taken together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import final

import numpy as np
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from steerage.events import TrialFinished, TrialStopped
from steerage.search import curves, retrain
from steerage.search.features import Matrix
from steerage.search.propose import START, CostFeatures, Observation, best_known, costless, look_ahead
from steerage.search.propose_front import known_front
from steerage.search.trials import REPEATS, RESUMES, observed, origin, relevant_trials, values_of
from steerage.seeds import child_seed
from steerage.space import Space, Value

# User attributes of a trial.
NUMBER, REASON, METRICS, SECONDS = "number", "reason", "metrics", "seconds"


@final
@dataclass(frozen=True)
class RankedTrial:
    """A candidate by the ``number`` of its first trial, which is the one that ``evaluate`` was called with.

    ``error``: mean over its ``trainings``, of which one that failed counts as the worst error of all trials;
    ``spread``: their standard deviation, 0 for one. ``metrics``: means as well, of whole numbers (costs) the largest.
    ``seconds``: of all of them together.
    """

    number: int
    values: dict[str, Value]
    error: float
    metrics: dict[str, float]
    seconds: float
    trainings: int = 1
    spread: float = 0.0


@dataclass(frozen=True)
class Candidate:
    """A point that was trained, once or more: its ``trials`` in order, the first of them one that did not fail."""

    trials: tuple[FrozenTrial, ...]

    @property
    def number(self) -> int:
        return number_of(self.trials[0])

    @property
    def errors(self) -> list[float]:
        """Of each training; infinite where it failed."""
        return [math.inf if one.value is None else float(one.value) for one in self.trials]


def number_of(trial: FrozenTrial) -> int:
    """What the search calls ``trial``; Optuna's own number for one that was made without it."""
    return int(trial.user_attrs.get(NUMBER, trial.number))


def candidates(trials: Iterable[FrozenTrial]) -> list[Candidate]:
    """Candidates in the order of their first trials; failed ones and trials that were cut off are left out."""
    trials = list(trials)
    replaced = {one.user_attrs[RESUMES] for one in trials if RESUMES in one.user_attrs}
    if replaced:  # else they are in order
        trials.sort(key=origin)
    first, again = list[FrozenTrial](), dict[int, list[FrozenTrial]]()
    for one in trials:
        attributes, complete = one.user_attrs, one.state == TrialState.COMPLETE
        if REPEATS in attributes:
            failed = one.state == TrialState.FAIL and REASON in attributes and one.number not in replaced
            if complete or failed:
                again.setdefault(int(attributes[REPEATS]), []).append(one)
        elif complete and one.value is not None:
            first.append(one)
    if not again:
        return [Candidate((one,)) for one in first]
    return [Candidate((one, *again.get(number_of(one), ()))) for one in first]


def ranking(study: Study) -> list[RankedTrial]:
    """Candidates of ``study``, best first; failed and interrupted trials are left out.

    By mean error, to which its standard error is added where some were trained more than once: a candidate that was
    lucky once is not preferred to one that has proved itself (see ``retrain.cautious``).
    """
    return ranked(candidates(study.get_trials(deepcopy=False)))


def ranked(found: Sequence[Candidate]) -> list[RankedTrial]:
    """``ranking`` of candidates at hand."""
    errors = retrain.capped([one.errors for one in found])
    rows = [_row(one, own) for one, own in zip(found, errors, strict=True)]
    order = sorted(zip(retrain.cautious(errors), rows, strict=True), key=lambda pair: (pair[0], pair[1].number))
    return [row for _, row in order]


def _leading(found: Sequence[Candidate]) -> RankedTrial:
    """The first of ``ranked``, without the figures of all others."""
    errors = retrain.capped([one.errors for one in found])
    cautious = retrain.cautious(errors)
    least = min(cautious)
    at = min((at for at, error in enumerate(cautious) if error == least), key=lambda at: found[at].number)
    return _row(found[at], errors[at])


def _row(candidate: Candidate, errors: Sequence[float]) -> RankedTrial:
    finished = [one for one in candidate.trials if one.value is not None]
    metrics: list[Mapping[str, float]] = [one.user_attrs.get(METRICS, {}) for one in finished]
    shared = [name for name in metrics[0] if all(name in one for one in metrics)]
    return RankedTrial(
        number=candidate.number,
        values=dict(candidate.trials[0].params),
        error=fmean(errors),
        metrics={name: _together([one[name] for one in metrics]) for name in shared},
        seconds=sum(float(one.user_attrs.get(SECONDS, 0.0)) for one in finished),
        trainings=len(errors),
        spread=stdev(errors) if len(errors) > 1 else 0.0,
    )


def _together(figures: Sequence[float]) -> float:
    if all(isinstance(figure, int) for figure in figures):
        return max(figures)
    return figures[0] if len(figures) == 1 else sum(figures) / len(figures)


def finished_event(trials: Iterable[FrozenTrial], trial: FrozenTrial) -> TrialFinished:
    """What to say of the finished ``trial``, given it and all before it as ``trials``."""
    assert trial.value is not None
    best, attributes = _leading(candidates(trials)), trial.user_attrs
    metrics, seconds = dict(attributes.get(METRICS, {})), float(attributes.get(SECONDS, 0.0))
    repeats = attributes.get(REPEATS)
    return TrialFinished(
        number_of(trial), dict(trial.params), trial.value, best.error, seconds, metrics, repeats, best.number
    )


def stopped_event(trial: FrozenTrial) -> TrialStopped:
    """What to say of ``trial``, which rests at a rung."""
    rung, error = max(curves.curve_of(trial).items())
    seconds = float(trial.user_attrs.get(SECONDS, 0.0))
    return TrialStopped(number_of(trial), dict(trial.params), error, rung, seconds)


def promising(
    study: Study, space: Space, *, n: int, seed: int, cost_features: CostFeatures = costless
) -> list[dict[str, Value]]:
    """The ``n`` candidates to train longer, best first; see ``best_known``.

    Those that stopped at a rung teach the predictor, and are not among them: they are not at their end.
    """
    seen, order = _in_order(relevant_trials(study, space, repeats=True), space, seed, cost_features)
    return [dict(seen[at].values) for at, stopped in order if stopped is None][:n]


def leader(
    trials: Sequence[FrozenTrial], space: Space, *, seed: int, cost_features: CostFeatures = costless
) -> FrozenTrial | None:
    """The trial that is to go on since it, though it stopped, is expected to end best of all; None if it did not."""
    _, order = _in_order(trials, space, seed, cost_features)
    return order[0][1] if order else None


def _in_order(
    trials: Sequence[FrozenTrial], space: Space, seed: int, cost_features: CostFeatures
) -> tuple[list[Observation], list[tuple[int, FrozenTrial | None]]]:
    """Candidates of ``trials``, then those that stopped; and positions in them, best first, with who stopped there."""
    seen, rows = _seen(trials, space)
    stopped, ends = [one for one in trials if curves.is_stopped(one)], curves.expected(trials)
    seen += [Observation(values_of(one, space), ends[one.number]) for one in stopped]
    counts = [*(row.trainings for row in rows), *(1 for _ in stopped)]
    order = best_known(space, seen, seed=seed, cost_features=cost_features, trainings=counts)
    return seen, [(at, stopped[at - len(rows)] if at >= len(rows) else None) for at in order]


def on_front(
    study: Study,
    space: Space,
    *,
    cost: Callable[[RankedTrial], float],
    seed: int,
    cost_features: CostFeatures = costless,
    n: int | None = None,
) -> list[RankedTrial]:
    """The candidates to name as the front of error and ``cost`` > 0, by rising cost; see ``known_front``."""
    seen, rows = _seen(relevant_trials(study, space, repeats=True), space)
    costs = {space.key(one.values): cost(row) for one, row in zip(seen, rows, strict=True)}
    places = known_front(
        space,
        seen,
        lambda values: costs[space.key(values)],
        seed=seed,
        cost_features=cost_features,
        trainings=[row.trainings for row in rows],
        n=n,
    )
    return [rows[at] for at in places]


def _seen(trials: Iterable[FrozenTrial], space: Space) -> tuple[list[Observation], list[RankedTrial]]:
    """Candidates in the order of their first trials: what is to be believed of each (``cautious``), and its figures."""
    known = candidates(trials)
    capped = retrain.capped([one.errors for one in known])
    errors = retrain.cautious(capped)
    seen = [Observation(values_of(one.trials[0], space), error) for one, error in zip(known, errors, strict=True)]
    return seen, [_row(one, own) for one, own in zip(known, capped, strict=True)]


def predictions(space: Space, known: Sequence[Candidate], *, seed: int, cost_features: CostFeatures) -> Matrix:
    """Errors that are expected of ``known`` after the first training of each: (n,).

    All the same for fewer than ten, of which too little would be known.
    """
    seen = observed([one.trials[0] for one in known], space)
    if len(known) < START:
        return np.full(len(known), np.median([one.error for one in seen]) if seen else 0.0)
    rng = np.random.default_rng(child_seed(seed, "promising", len(known)))
    return look_ahead(space, seen, cost_features, rng).errors([one.values for one in seen])
