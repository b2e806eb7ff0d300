"""Which candidates to train again before a winner is named: one short training is partly luck.

A share of a search's trials is worth more as new trainings of the best few than as more candidates. The few are
thinned out by successive halving (Karnin, Koren & Somekh 2013): all of them are trained once more, then the better half
once more, and so on, so that most trainings go where the decision is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

import numpy as np

from steerage.search.features import Matrix
from steerage.search.front import carriers, front

SHARE = 0.15  # of all trials
FROM = 60  # trials; with fewer, candidates that are never tried cost more than luck does
MOST = 10  # candidates that are trained again at all
LEAST = 2  # candidates left in the last rounds: training the leader alone tells it from nobody


def reserved(trials: int, *, share: float = SHARE) -> int:
    """How many of ``trials`` are to train a candidate again."""
    return round(share * trials) if trials >= FROM else 0


def due(candidates: int, *, trials: int, used: float = 0.0, share: float = SHARE) -> bool:
    """Whether it is time to train again: ``candidates`` tried so far, of ``trials`` that there will be in all.

    ``used``: share of the time that the search has had, in [0, 1].
    """
    kept = reserved(trials, share=share)
    return kept > 0 and (candidates >= trials - kept or used >= 1.0 - share)


def rounds(trainings: int) -> list[int]:
    """How many candidates are trained once more in each round; they add up to ``trainings``."""
    sizes: list[int] = []
    size = min(MOST, math.ceil(trainings / 2))
    while trainings > 0:
        sizes.append(min(size, trainings))
        trainings -= sizes[-1]
        size = max(LEAST, math.ceil(size / 2))
    return sizes


def expected_errors(shown: Matrix, trainings: Matrix, believed: Matrix) -> Matrix:
    """Errors (n,) that one training more of each candidate is expected to show.

    ``shown``: (n,) means over ``trainings``: (n,); ``believed``: (n,) what its neighbours let expect, which counts as
    much as one training. Where half of what a process takes for noise is the candidate's own, that is its mean.
    """
    return np.asarray((trainings * shown + believed) / (trainings + 1.0))


def next_to_retrain(
    errors: Sequence[Sequence[float]],
    believed: Matrix,
    *,
    trainings: int,
    costs: Matrix | None = None,
    under_way: Sequence[int] = (),
) -> int | None:
    """Index of the candidate to train again, of a plan for ``trainings`` such trainings; None when the plan is done.

    ``under_way``: indices of those that are in such a training now; None as well while its round has no others left.

    ``errors``: of each candidate, in the order in which it was trained, infinite where a training failed;
    ``believed``: (n,) errors, see ``expected_errors``. With ``costs``, (n,) on a scale in which differences count, the
    best are not those of the least expected error but the front of that and cost. Who is in a round follows from the
    trainings before it alone, so the answer is the same whenever it is asked for.
    """
    field, limited = list(range(len(errors))), capped(errors)
    for played, size in enumerate(rounds(trainings), start=1):
        seen = np.array([fmean(one[:played]) for one in limited])
        counts = np.array([min(played, len(one)) for one in errors])
        expected = expected_errors(seen, counts, believed)
        field = _leaders(field, expected, size) if costs is None else _front_first(field, expected, costs, size)
        left = [index for index in field if len(errors[index]) <= played]
        if left:
            return next((index for index in left if index not in under_way), None)
    return None


def _leaders(field: Sequence[int], expected: Matrix, size: int) -> list[int]:
    return sorted(field, key=lambda index: (expected[index], index))[:size]


def _front_first(field: Sequence[int], expected: Matrix, costs: Matrix, size: int) -> list[int]:
    """``size`` of ``field``: its front, then the front of the rest, and so on.

    Of a front with more members than there is room for, those that carry most of its hypervolume.
    """
    found: list[int] = []
    while len(found) < size and (left := [index for index in field if index not in found]):
        layer = [left[at] for at in front(expected[left], costs[left])]
        if len(layer) > size - len(found):
            ends = (float(expected.max()), float(costs.max()))
            telling = carriers(expected[layer], costs[layer], ends, n=size - len(found))
            layer = [layer[at] for at in telling]
        found += layer
    return found


def capped(errors: Sequence[Sequence[float]]) -> list[Sequence[float]]:
    """``errors`` with the worst error of all in place of those of failed trainings, which are infinite."""
    if not any(math.inf in one for one in errors):
        return [*errors]
    worst = max((error for one in errors for error in one if math.isfinite(error)), default=math.inf)
    return [[min(error, worst) for error in one] for one in errors]


def cautious(errors: Sequence[Sequence[float]]) -> list[float]:
    """What to rank candidates by, lower is better: mean error plus its standard error; ``errors`` as ``capped``.

    The spread of one training is pooled over all candidates that were trained more than once; without any it is 0.
    Whoever was trained once and looks best by less than that is likely to have been lucky.
    """
    squares = [(error - fmean(one)) ** 2 for one in errors if len(one) > 1 for error in one]
    freedom = sum(len(one) - 1 for one in errors)
    spread = math.sqrt(sum(squares) / freedom) if freedom else 0.0
    if spread == 0.0:
        return [one[0] if len(one) == 1 else fmean(one) for one in errors]
    return [fmean(one) + spread / math.sqrt(len(one)) for one in errors]
