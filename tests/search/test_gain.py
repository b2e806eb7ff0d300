"""Facts about what going on is said to bring."""

from __future__ import annotations

import numpy as np
from optuna.distributions import FloatDistribution

from steerage.search.gain import expected_gain
from steerage.search.propose import Observation, costless
from steerage.space import Space


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


def test_an_error_that_was_never_negative_does_not_become_so() -> None:
    space = Space({"a": FloatDistribution(0.0, 1.0)})

    def gain(lift: float) -> float:
        tried = [Observation({"a": a}, a - 0.5 + lift) for a in np.linspace(0.5, 1.0, 8)]
        said = expected_gain(space, tried, [{"a": 0.3}], seed=0, cost_features=costless)
        assert said is not None
        return said

    assert gain(0.02) == 0.02
    assert gain(-0.02) > 0.02
