"""What going on is likely to bring: expected improvement in the unit of the error, and when it is not worth it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from steerage.search.features import Matrix, features
from steerage.search.predictor import MIN_OBSERVATIONS, Predictor, normal_scores
from steerage.search.propose import CostFeatures, Observation, table
from steerage.seeds import child_seed
from steerage.space import Space, Values

NODES = 64  # quantiles that the expectation is taken over
TOP = 0.25  # share of the candidates, the best, whose errors say how much lower a better one might be


def expected_gain(
    space: Space, history: Sequence[Observation], proposals: Sequence[Values], *, seed: int, cost_features: CostFeatures
) -> float | None:
    """Expected decrease of the error by the best of ``proposals``, >= 0; None where too little is known to say.

    The predictor speaks in normal scores; ``to_error`` turns them into errors. The incumbent is the best prediction
    among what was tried, since the best observation is partly luck.
    """
    good = [one for one in history if one.standing[0] == 0]
    if len(good) < MIN_OBSERVATIONS or not proposals:
        return None
    layout, x, y = table(space, history, cost_features)
    predictor = Predictor(layout).fit(x, y, np.random.default_rng(child_seed(seed, "gain", len(history))))
    incumbent = float(predictor.predict(x)[0].max())
    mean, sd = predictor.predict(features(space, proposals, [tuple(cost_features(values)) for values in proposals]))
    known = np.array([one.standing[0] == 0 for one in history])
    errors = np.array([one.error for one in history])[known]
    return float(np.max(improvement(mean, sd, incumbent, scores=normal_scores(y)[known], errors=errors)))


def improvement(mean: Matrix, sd: Matrix, incumbent: float, *, scores: Matrix, errors: Matrix) -> Matrix:
    """``E[max(0, e(incumbent) - e(Z))]`` for Z normal with ``mean`` and ``sd``: (n,) each; e as in ``to_error``."""
    from scipy.special import ndtri

    nodes = ndtri((np.arange(NODES) + 0.5) / NODES)  # (NODES,)
    draws = mean[:, None] + sd[:, None] * nodes[None, :]  # (n, NODES)
    least = to_error(np.array([incumbent]), scores=scores, errors=errors)
    return np.asarray(np.maximum(0.0, least - to_error(draws, scores=scores, errors=errors)).mean(axis=1))


def to_error(at: Matrix, *, scores: Matrix, errors: Matrix) -> Matrix:
    """The error that belongs to normal scores ``at``, from what was seen: ``scores`` and ``errors``: (n,).

    Linear between the trials (equal ones share a score). Beyond the best of them, on the line through it and the trial
    at the best quarter; an error that cannot be negative so far does not become so.
    """
    order = np.argsort(scores, kind="stable")
    known, values = scores[order], errors[order]
    best, quarter = known[-1], max(0, min(len(known) - 2, round((1.0 - TOP) * len(known)) - 1))
    run = best - known[quarter]
    slope = (values[quarter] - values[-1]) / run if run > 0 else 0.0
    found = np.interp(at, known, values) - slope * np.maximum(0.0, at - best)
    return np.asarray(np.maximum(found, 0.0 if values[-1] >= 0.0 else -np.inf))
