"""Facts about what a candidate is expected to gain."""

from __future__ import annotations

import numpy as np
import pytest

from steerage.search.acquisition import Staircase, Worth, expected_improvement, log_expected_improvement
from steerage.search.front import hypervolume

DRAWS = 200_000


def test_expected_improvement_is_the_mean_of_draws() -> None:
    draws = np.random.default_rng(0).normal(0.3, 0.7, DRAWS)
    for best in (-1.0, 0.5, 2.0):
        told = expected_improvement(np.array([0.3]), np.array([0.7]), best)[0]
        assert told == pytest.approx(np.maximum(draws - best, 0.0).mean(), abs=4 * 0.7 / np.sqrt(DRAWS))


def a_worth(seed: int) -> tuple[Worth, np.ndarray]:
    """Worth through thirteen observations with a heavy tail; also their errors."""
    errors = np.sort(np.random.default_rng(seed).lognormal(size=13))[::-1]
    scores = np.linspace(-1.7, 1.7, 13)
    return Worth.of(scores, errors, worst=float(np.quantile(errors, 0.9))), errors


def in_errors(worth: Worth, worst: float, scores: np.ndarray) -> np.ndarray:
    """Error that a normal score stands for: the inverse of what ``Worth`` says."""
    value = np.interp(scores, worth.scores, worth.values)
    return np.asarray(worst - value - worth.beyond * np.maximum(scores - worth.scores[-1], 0.0))


@pytest.mark.parametrize("seed", range(5))
def test_expected_growth_is_the_mean_growth_of_the_hypervolume(seed: int) -> None:
    rng = np.random.default_rng(seed)
    worth, errors = a_worth(seed)
    worst, limit = float(np.quantile(errors, 0.9)), 3.0
    costs, qualities = rng.uniform(0.0, 3.5, 6), rng.uniform(-2.0, 2.5, 6)
    stairs = Staircase.of(qualities, costs, limit=limit, worth=worth)
    known = in_errors(worth, worst, qualities)
    before = hypervolume(known, costs, (worst, limit))
    mean, sd, at = np.array([-1.0, 0.5, 1.9]), np.array([0.5, 1.0, 0.3]), np.array([0.1, 1.3, 2.5])
    told = stairs.improvement(mean, sd, at)
    for i in range(3):
        shown = in_errors(worth, worst, rng.normal(mean[i], sd[i], 4000))
        grown = [hypervolume(np.append(known, e), np.append(costs, at[i]), (worst, limit)) - before for e in shown]
        assert told[i] == pytest.approx(np.mean(grown), abs=4 * np.std(grown) / np.sqrt(len(grown)) + 1e-9)


def test_what_costs_the_limit_or_more_gains_nothing() -> None:
    stairs = Staircase.of(np.zeros(0), np.zeros(0), limit=1.0, worth=a_worth(0)[0])
    gain = stairs.improvement(np.full(3, 1.0), np.full(3, 0.5), np.array([0.0, 1.0, 2.0]))
    assert gain[0] > 0 and gain[1] == gain[2] == 0.0


def test_a_candidate_once_added_leaves_little_to_gain_for_one_like_it() -> None:
    mean, sd, at = np.array([1.5]), np.array([0.1]), np.array([0.5])
    stairs = Staircase.of(np.array([0.5]), np.array([0.7]), limit=1.0, worth=a_worth(1)[0])
    extended = stairs.extended(1.5, 0.5)
    assert extended.improvement(mean, sd, at) < 0.3 * stairs.improvement(mean, sd, at)
    dominated = extended.extended(0.0, 0.9)
    assert np.array_equal(dominated.costs, extended.costs)
    assert np.array_equal(dominated.qualities, extended.qualities)


def test_errors_that_are_all_equal_are_still_a_scale() -> None:
    worth = Worth.of(np.zeros(5), np.full(5, 0.2), worst=0.2)
    stairs = Staircase.of(np.zeros(1), np.array([0.5]), limit=1.0, worth=worth)
    gains = stairs.improvement(np.zeros(2), np.full(2, 0.5), np.array([0.2, 0.6]))
    assert np.all(np.isfinite(gains)) and gains[0] > gains[1] > 0.0


def test_the_logarithm_of_improvement_goes_on_where_improvement_is_nothing() -> None:
    mean, sd = np.linspace(-4.0, 3.0, 701), np.full(701, 0.5)
    logs = log_expected_improvement(mean, sd, 0.7)
    shown = mean > -3.0  # nearer than eight deviations, where the formula itself still has its digits
    assert np.exp(logs[shown]) == pytest.approx(expected_improvement(mean, sd, 0.7)[shown], rel=5e-3)
    assert (np.diff(logs) > 0).all()
    assert np.isfinite(log_expected_improvement(np.array([-1e6]), np.array([1e-3]), 0.0)).all()
