"""Facts about what a candidate is expected to gain."""

from __future__ import annotations

import numpy as np
import pytest

from steerage.search.acquisition import Staircase, expected_improvement, log_expected_improvement
from steerage.search.front import hypervolume

DRAWS = 200_000


def test_expected_improvement_is_the_mean_of_draws() -> None:
    draws = np.random.default_rng(0).normal(0.3, 0.7, DRAWS)
    for best in (-1.0, 0.5, 2.0):
        told = expected_improvement(np.array([0.3]), np.array([0.7]), best)[0]
        assert told == pytest.approx(np.maximum(draws - best, 0.0).mean(), abs=4 * 0.7 / np.sqrt(DRAWS))


@pytest.mark.parametrize("seed", range(5))
def test_expected_growth_is_the_mean_growth_of_the_hypervolume(seed: int) -> None:
    rng = np.random.default_rng(seed)
    worst, limit = 1.5, 3.0
    costs, errors = rng.uniform(0.0, 3.5, 6), rng.lognormal(size=6)
    stairs = Staircase.of(errors, costs, worst=worst, limit=limit)
    before = hypervolume(errors, costs, (worst, limit))
    mean, sd, at = np.array([2.0, 0.7, 0.1]), np.array([0.5, 1.0, 0.3]), np.array([0.1, 1.3, 2.5])
    told = stairs.improvement(mean, sd, at)
    for i in range(3):
        shown = rng.normal(mean[i], sd[i], 4000)
        grown = [hypervolume(np.append(errors, e), np.append(costs, at[i]), (worst, limit)) - before for e in shown]
        assert told[i] == pytest.approx(np.mean(grown), abs=4 * np.std(grown) / np.sqrt(len(grown)) + 1e-9)


def test_what_costs_the_limit_or_more_gains_nothing() -> None:
    stairs = Staircase.of(np.zeros(0), np.zeros(0), worst=1.0, limit=1.0)
    gain = stairs.improvement(np.full(3, 0.5), np.full(3, 0.5), np.array([0.0, 1.0, 2.0]))
    assert gain[0] > 0 and gain[1] == gain[2] == 0.0


def test_a_candidate_once_added_leaves_little_to_gain_for_one_like_it() -> None:
    mean, sd, at = np.array([0.3]), np.array([0.02]), np.array([0.5])
    stairs = Staircase.of(np.array([0.5]), np.array([0.7]), worst=1.0, limit=1.0)
    extended = stairs.extended(0.3, 0.5)
    assert extended.improvement(mean, sd, at) < 0.3 * stairs.improvement(mean, sd, at)
    dominated = extended.extended(0.6, 0.9)
    assert np.array_equal(dominated.costs, extended.costs)
    assert np.array_equal(dominated.errors, extended.errors)


def test_a_front_that_is_no_better_than_the_worst_leaves_all_to_gain() -> None:
    stairs = Staircase.of(np.array([0.2]), np.array([0.5]), worst=0.2, limit=1.0)
    gains = stairs.improvement(np.full(2, 0.2), np.full(2, 0.1), np.array([0.2, 0.6]))
    assert gains == pytest.approx([0.8 * 0.1 / np.sqrt(2 * np.pi), 0.4 * 0.1 / np.sqrt(2 * np.pi)])


def test_the_logarithm_of_improvement_goes_on_where_improvement_is_nothing() -> None:
    mean, sd = np.linspace(-4.0, 3.0, 701), np.full(701, 0.5)
    logs = log_expected_improvement(mean, sd, 0.7)
    shown = mean > -3.0  # nearer than eight deviations, where the formula itself still has its digits
    assert np.exp(logs[shown]) == pytest.approx(expected_improvement(mean, sd, 0.7)[shown], rel=5e-3)
    assert (np.diff(logs) > 0).all()
    assert np.isfinite(log_expected_improvement(np.array([-1e6]), np.array([1e-3]), 0.0)).all()
