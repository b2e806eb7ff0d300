"""What the trials of an Optuna study tell: their order, their points and their outcomes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from steerage.search import curves
from steerage.search.propose import Observation
from steerage.space import Space, Value, Values

RESUMES = "resumes"  # user attribute of a trial: number of the interrupted or stopped one whose place it takes
ORIGIN = "origin"  # user attribute of such a trial: number of the first of them
REPEATS = "repeats"  # user attribute of a trial that trains a candidate again: what the search calls its first trial

Constraints = Callable[[FrozenTrial], Sequence[float]]


def started_trials(study: Study, *, repeats: bool = False) -> list[FrozenTrial]:
    """Trials of ``study`` that have started, in order; one that was run again keeps its first place, once.

    New trainings of a candidate that was tried already are left out unless ``repeats`` asks for them.
    """
    replaced, kept = set[int](), list[FrozenTrial]()
    for one in study.get_trials(deepcopy=False):
        attributes = one.user_attrs
        if RESUMES in attributes:
            replaced.add(attributes[RESUMES])
        if one.state != TrialState.WAITING and (repeats or REPEATS not in attributes):
            kept.append(one)
    return sorted((one for one in kept if one.number not in replaced), key=origin) if replaced else kept


def relevant_trials(study: Study, space: Space, *, repeats: bool = False) -> list[FrozenTrial]:
    """Started trials that have a value for every gene of ``space``, in order; with ``repeats`` all their trainings."""
    names = frozenset(space.names)
    return [one for one in started_trials(study, repeats=repeats) if names <= one.params.keys()]


def origin(trial: FrozenTrial) -> int:
    """Number under which the trial was first started; its own unless it runs an interrupted one again."""
    return int(trial.user_attrs.get(ORIGIN, trial.number))


def values_of(trial: FrozenTrial, space: Space) -> dict[str, Value]:
    """Values of the genes of ``space`` in ``trial``."""
    return {name: trial.params[name] for name in space.names}


def observed(trials: Sequence[FrozenTrial], space: Space) -> list[Observation]:
    """Observations of those finished ``trials`` that are at or next to a point of ``space``."""
    points = [(one, space.nearest(one.params)) for one in trials if one.state.is_finished()]
    ends = curves.expected(trials)
    return [observation(one, values, end=ends.get(one.number)) for one, values in points if values is not None]


def observation(
    trial: FrozenTrial, values: Values, *, sign: float = 1.0, violation: float = 0.0, end: float | None = None
) -> Observation:
    """What a finished trial tells: ``sign`` times its value, of a pruned one its last report; nothing means failed.

    ``end``: of one that stopped at a rung, the value that is expected at its end; it counts instead.
    """
    error = math.nan
    if end is not None:
        error = sign * end
    elif trial.state == TrialState.COMPLETE and trial.value is not None:
        error = sign * trial.value
    elif trial.state == TrialState.PRUNED and trial.last_step is not None:
        error = sign * trial.intermediate_values[trial.last_step]
    return Observation(values, error, state="ok" if math.isfinite(error) else "failed", violation=violation)


def total_violation(constraints: Sequence[float]) -> float:
    """Sum of the positive parts of ``constraints``, which are kept where they are at most 0; nan counts as infinity."""
    return sum((math.inf if math.isnan(one) else max(0.0, float(one)) for one in constraints), start=0.0)
