"""Facts about proposals for a front of error and cost."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from steerage.errors import InfeasibleBudget
from steerage.search.front import front, hypervolume
from steerage.search.propose import START, Observation
from steerage.search.propose_front import expected_growth, known_front, propose_front
from steerage.space import Space, Values

SPACE = Space(
    {
        "width": IntDistribution(8, 512, log=True),
        "lr": FloatDistribution(1e-4, 1e-1, log=True),
        "activation": CategoricalDistribution(["relu", "gelu", "tanh"]),
    }
)


def error(values: Values) -> float:
    """Wider is better, if the rate is right."""
    miss = math.log(float(values["lr"]) / 3e-3) ** 2
    return 10.0 / float(values["width"]) + 0.1 * miss + 0.2 * (values["activation"] != "gelu")


def width(values: Values) -> float:
    return float(values["width"])


def too_wide(values: Values) -> float:
    return max(0.0, width(values) / 100 - 1.0)


def observe(points: list[dict[str, int | float | str | bool]]) -> list[Observation]:
    return [Observation(point, error(point)) for point in points]


def volume(history: list[Observation]) -> float:
    errors, costs = np.array([one.error for one in history]), np.log([width(one.values) for one in history])
    return hypervolume(errors, costs, (2.0, math.log(600)))


def test_the_start_covers_the_range_of_costs() -> None:
    first = propose_front(SPACE, [], n=START, seed=0, cost=width)
    assert first[0] == SPACE.sample_sobol(1, seed=0)[0]
    gaps = np.diff(np.sort(np.log([8.0, *(width(one) for one in first), 512.0])))
    assert gaps.max() < 2 * math.log(512 / 8) / START
    assert propose_front(SPACE, observe(first[:4]), n=6, seed=0, cost=width) == first[4:]


def test_proposals_are_inside_the_budget_new_and_different() -> None:
    history = observe(propose_front(SPACE, [], n=12, seed=1, start=12, violation=too_wide, cost=width))
    pending = propose_front(SPACE, history, n=4, seed=1, violation=too_wide, cost=width)
    batch = propose_front(SPACE, history, n=4, seed=1, violation=too_wide, cost=width, pending=pending)
    keys = [SPACE.key(point) for point in [*(one.values for one in history), *pending, *batch]]
    assert len(set(keys)) == len(keys) == 20
    assert all(too_wide(point) == 0.0 for point in [*(one.values for one in history), *pending, *batch])


@pytest.mark.parametrize("seed", [2, 3])
def test_a_batch_is_spread_along_the_front(seed: int) -> None:
    history = observe(propose_front(SPACE, [], n=16, seed=seed, start=16, cost=width))
    batch = propose_front(SPACE, history, n=5, seed=seed, cost=width, exploration=0.0)
    logs = np.sort(np.log([width(one) for one in batch]))
    assert np.ptp(logs) > math.log(4) and np.diff(logs).min() > 0.02


def test_the_front_grows_faster_than_by_sobol_points() -> None:
    history = observe(propose_front(SPACE, [], n=START, seed=4, cost=width))
    for _ in range(5):
        history += observe(propose_front(SPACE, history, n=4, seed=4, cost=width))
    assert volume(history) > volume(observe(SPACE.sample_sobol(4 * len(history), seed=4)))


def test_the_same_seed_and_history_give_the_same_proposals() -> None:
    history = observe(propose_front(SPACE, [], n=START, seed=5, cost=width))
    batch = propose_front(SPACE, history, n=3, seed=5, cost=width)
    assert batch == propose_front(SPACE, history, n=3, seed=5, cost=width)
    assert batch != propose_front(SPACE, history, n=3, seed=6, cost=width)


def test_failed_candidates_are_on_no_front_and_not_tried_again() -> None:
    points = propose_front(SPACE, [], n=14, seed=7, start=14, cost=width)
    history = [Observation(point, math.nan, state="failed") for point in points[:7]] + observe(points[7:])
    batch = propose_front(SPACE, history, n=4, seed=7, cost=width)
    assert len(batch) == 4 and not {SPACE.key(p) for p in batch} & {SPACE.key(p) for p in points}
    assert min(known_front(SPACE, history, width, seed=0)) >= 7


def test_an_impossible_budget_is_told() -> None:
    with pytest.raises(InfeasibleBudget, match="exceeds it by"):
        propose_front(SPACE, [], n=1, seed=0, violation=lambda values: width(values) / 4 - 1.0, cost=width)


def test_few_observations_name_the_front_alone() -> None:
    history = observe(SPACE.sample_sobol(START - 1, seed=8))
    told = front(np.array([one.error for one in history]), np.array([width(one.values) for one in history]))
    assert known_front(SPACE, history, width, seed=0) == told.tolist()
    assert known_front(SPACE, [], width, seed=0) == []


def with_a_lucky_one(seed: int) -> tuple[list[Observation], int]:
    """Forty noisy trainings, and which of the narrow ones was shown as the best of all."""
    rng = np.random.default_rng(seed)
    history = [replace(one, error=one.error + 0.1 * rng.normal()) for one in observe(SPACE.sample_sobol(40, seed=seed))]
    lucky = min((at for at in range(40) if width(history[at].values) < 30), key=lambda at: history[at].error)
    history[lucky] = replace(history[lucky], error=min(one.error for one in history) - 0.01)
    return history, lucky


def test_luck_is_not_named() -> None:
    """A point shown far better than its likes is not let in the way of all that cost more."""
    kept = 0
    for seed in range(8):
        history, lucky = with_a_lucky_one(seed)
        costs = np.array([width(one.values) for one in history])
        named = known_front(SPACE, history, width, seed=0)
        assert np.all(np.diff(costs[named]) > 0)
        assert costs[front(np.array([one.error for one in history]), costs)].max() == costs[lucky]
        kept += costs[named].max() > costs[lucky]
    assert kept >= 7


def test_the_few_that_are_named_have_the_most_accurate_among_them() -> None:
    history = observe(SPACE.sample_sobol(40, seed=10))
    whole, few = known_front(SPACE, history, width, seed=0), known_front(SPACE, history, width, seed=0, n=3)
    assert len(few) == 3 < len(whole) and set(few) < set(whole) and few[-1] == whole[-1]
    assert [whole.index(at) for at in few] == sorted(whole.index(at) for at in few)
    assert known_front(SPACE, history, width, seed=0, n=len(whole)) == whole


def test_what_looks_like_luck_is_named_once_it_is_proved() -> None:
    history, lucky = with_a_lucky_one(0)
    assert known_front(SPACE, history, width, seed=0)[-1] != lucky
    counts = [50 if at == lucky else 1 for at in range(40)]
    assert known_front(SPACE, history, width, seed=0, trainings=counts)[-1] == lucky


def test_growth_is_a_share_that_shrinks_as_the_front_fills_up() -> None:
    history = observe(propose_front(SPACE, [], n=START, seed=4, cost=width))
    growths = []
    for _ in range(8):
        batch = propose_front(SPACE, history, n=4, seed=4, cost=width)
        growth = expected_growth(SPACE, history, batch, width, seed=4)
        assert growth is not None and growth >= 0.0
        growths.append(growth)
        history += observe(batch)
    assert sum(growths[-3:]) < 0.5 * sum(growths[:3])
    assert expected_growth(SPACE, history, [], width, seed=4) is None
    assert expected_growth(SPACE, history[:1], [history[0].values], width, seed=4) is None
