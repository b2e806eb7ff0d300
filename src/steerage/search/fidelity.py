"""How far a training must come before its error says who will be best: rungs, their trust, and who stops at one.

A rung is a share of a trial's own training, schedules and all, so what goes on after it is the same training.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from steerage.search.features import Matrix

RUNGS = (0.3, 0.6)  # of the training of a trial
LEAST = 8  # finished trials before a rung is trusted at all: with fewer one standard error is more than 0.3
TRUST = 0.4  # Kendall's tau, less one standard error, above which a rung is trusted; a rung that tells nothing comes
# there with 8 trials by luck in one case of a hundred
KEPT = 1 / 3  # of the values at a rung, the best: those trials go on (Li et al., arXiv 1810.05934, eta = 3)
RECENT = 12  # trials whose values at a rung are compared: the first ones are random, and any later one is better


def standard_error(n: int) -> float:
    """Of Kendall's tau between two rankings of ``n`` that have nothing to do with each other: its normal approximation.

    Kendall, Rank Correlation Methods (1948): variance 2 (2 n + 5) / (9 n (n - 1)).
    """
    return math.sqrt(2.0 * (2.0 * n + 5.0) / (9.0 * n * (n - 1.0)))


def trust(at_rung: Sequence[float], at_end: Sequence[float]) -> float:
    """Kendall's tau-b between the errors of the same trials at a rung and at their end, less one standard error.

    Minus infinity where fewer than ``LEAST`` trials, or nothing but equal errors, say nothing.
    """
    from scipy.stats import kendalltau

    if len(at_rung) < LEAST or len(set(at_rung)) == 1 or len(set(at_end)) == 1:
        return -math.inf
    return float(kendalltau(at_rung, at_end).statistic) - standard_error(len(at_rung))


def trusted_rung(curves: Sequence[Mapping[float, float]], ends: Sequence[float]) -> float | None:
    """The earliest rung whose ranking can be trusted; None if there is no such rung.

    ``curves``: errors by rung of trials that came to their end, ``ends``: (n,) errors there. All have the same rungs.
    """
    for rung in sorted(curves[0]) if curves else ():
        if trust([curve[rung] for curve in curves], ends) > TRUST:
            return rung
    return None


def goes_on(error: float, seen: Sequence[float]) -> bool:
    """Whether ``error`` is among the best third at its rung, ``seen`` being those of all other trials, in order.

    Of the last twelve and itself, that is: proposals are better than the random start, all of them, and would go on
    if they were compared with it. At least one goes on; equal ones go on together.
    """
    recent = seen[-RECENT:]
    places = max(1, math.floor(KEPT * (len(recent) + 1)))
    return sum(other < error for other in recent) < places


def expected_ends(values: Sequence[float], at_rung: Sequence[float], at_end: Sequence[float]) -> Matrix:
    """What errors ``values`` at a rung are expected to be at the end: (len(values),), rising with the value.

    By regression of ranks on ranks, with linear interpolation between the trials (Iman & Conover, Technometrics 21,
    1979). ``at_rung``, ``at_end``: (n,) of the trials that came to their end; with fewer than two the value itself.
    Trust in the rung is in it: the less the rankings agree, the nearer to the median.
    """
    from scipy.stats import rankdata

    if len(at_rung) < 2:
        return np.asarray(values, dtype=float)
    x, y = rankdata(at_rung), rankdata(at_end)
    spread = float(np.sum((x - x.mean()) ** 2))
    slope = max(0.0, float(np.sum((x - x.mean()) * (y - y.mean()))) / spread) if spread > 0.0 else 0.0
    order, back = np.argsort(x, kind="stable"), np.argsort(y, kind="stable")
    places = np.interp(values, np.asarray(at_rung, dtype=float)[order], x[order])
    return np.asarray(
        np.interp(y.mean() + slope * (places - x.mean()), y[back], np.asarray(at_end, dtype=float)[back]), dtype=float
    )
