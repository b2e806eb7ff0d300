"""Facts about what going on is said to bring."""

from __future__ import annotations

import numpy as np
import pytest
from optuna.distributions import FloatDistribution

from steerage.search.gain import expected_gain, improvement, to_error
from steerage.search.predictor import normal_scores
from steerage.search.propose import Observation, costless
from steerage.space import Space

ERRORS = np.array([0.5, 0.1, 0.3, 0.2, 0.4, 0.2])
SCORES = normal_scores(-ERRORS)


def test_a_score_that_was_seen_is_its_error_again() -> None:
    assert to_error(SCORES, scores=SCORES, errors=ERRORS) == pytest.approx(ERRORS)


def test_beyond_the_best_errors_fall_on_but_not_below_zero() -> None:
    better = to_error(SCORES.max() + np.array([0.1, 0.2, 99.0]), scores=SCORES, errors=ERRORS)
    assert 0.1 > better[0] > better[1] > better[2] == 0.0
    negative = to_error(np.array([9.0]), scores=SCORES, errors=ERRORS - 1.0)
    assert negative[0] < -0.9


def test_improvement_is_that_of_draws() -> None:
    rng = np.random.default_rng(0)
    draws = to_error(0.8 + 0.5 * rng.normal(size=200_000), scores=SCORES, errors=ERRORS)
    incumbent = to_error(np.array([1.0]), scores=SCORES, errors=ERRORS)
    expected = np.maximum(0.0, incumbent - draws).mean()
    found = improvement(np.array([0.8]), np.array([0.5]), 1.0, scores=SCORES, errors=ERRORS)
    assert found == pytest.approx([expected], rel=0.02)


def test_a_worse_or_surer_proposal_promises_less() -> None:
    def one(mean: float, sd: float) -> float:
        return float(improvement(np.array([mean]), np.array([sd]), 1.0, scores=SCORES, errors=ERRORS)[0])

    assert one(0.9, 0.5) > one(0.4, 0.5) > 0
    assert one(0.9, 0.5) > one(0.9, 0.1)
    assert one(-3.0, 0.01) == 0.0


def test_the_gain_near_the_optimum_is_less_than_far_from_it() -> None:
    space = Space({"a": FloatDistribution(0.0, 1.0)})
    tried = [Observation({"a": a}, abs(a - 0.3)) for a in np.linspace(0.5, 1.0, 14)]
    near = [{"a": 0.97}], [{"a": 0.4}]
    worse, better = (expected_gain(space, tried, at, seed=0, cost_features=costless) for at in near)
    assert worse is not None and better is not None and better > worse >= 0


def test_of_too_few_trials_nothing_is_said() -> None:
    space = Space({"a": FloatDistribution(0.0, 1.0)})
    tried = [Observation({"a": a}, a) for a in (0.1, 0.2, 0.3)]
    assert expected_gain(space, tried, [{"a": 0.5}], seed=0, cost_features=costless) is None
    failed = [*tried, Observation({"a": 0.4}, 0.0, state="failed")]
    assert expected_gain(space, failed, [{"a": 0.5}], seed=0, cost_features=costless) is None
    assert expected_gain(space, [*tried, Observation({"a": 0.6}, 0.6)], [], seed=0, cost_features=costless) is None
