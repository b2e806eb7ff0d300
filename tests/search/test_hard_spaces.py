"""Facts about spaces in which hardly any point is inside the bounds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from steerage.errors import InfeasibleBudget
from steerage.search.evolution import Violation
from steerage.search.propose import MAX_EVALUATIONS, Observation, find_feasible, propose
from steerage.search.sampler import SteerageSampler
from steerage.space import Space, Values

WIDTHS = Space({f"w{i}": IntDistribution(4, 512, log=True) for i in range(12)})
MIXED = Space(
    {
        **{f"w{i}": IntDistribution(4, 512, log=True) for i in range(6)},
        **{f"k{i}": CategoricalDistribution([1, 3, 5, 7]) for i in range(4)},
        "depth": IntDistribution(1, 6),
        "scale": FloatDistribution(0.1, 1.0),
    }
)


def chain(values: Values) -> float:
    """Parameters of a plain network of these widths."""
    widths = [float(values[f"w{i}"]) for i in range(12)]
    return sum(a * b for a, b in itertools.pairwise(widths))


def layers(values: Values) -> list[float]:
    depth = int(values["depth"])
    kernels = [float(values[f"k{i}"]) if i < 4 else 1.0 for i in range(depth)]
    return [float(values[f"w{i}"]) * float(values[f"w{(i + 1) % 6}"]) * kernels[i] for i in range(depth)]


def memory(values: Values) -> float:
    return max(float(values[f"w{i}"]) for i in range(6))


def work(values: Values) -> float:
    return sum(size / (i + 1) for i, size in enumerate(layers(values))) * float(values["scale"]) ** 2


def above(value: float, bound: float) -> float:
    return max(0.0, value / bound - 1.0)


def small(values: Values) -> float:
    return above(chain(values), 3_000)


def tiny(values: Values) -> float:
    return above(chain(values), 1_800)


def narrow(values: Values) -> float:
    """Between two bounds."""
    return above(chain(values), 1_900) + above(1_700, chain(values))


def three_bounds(values: Values) -> float:
    return above(sum(layers(values)), 150) + above(work(values), 15) + above(memory(values), 60)


def at_odds(values: Values) -> float:
    """A small network with two wide layers."""
    widest = sorted(float(values[f"w{i}"]) for i in range(12))
    return above(chain(values), 2_000) + above(40, widest[-1]) + above(30, widest[-2])


PROBLEMS: list[tuple[Space, Violation, float]] = [
    (WIDTHS, small, 0.12),
    (WIDTHS, tiny, 0.08),
    (WIDTHS, narrow, 0.03),
    (MIXED, three_bounds, 0.18),
    (WIDTHS, at_odds, 0.05),
]
EACH = pytest.mark.parametrize(("space", "violation", "spread"), PROBLEMS, ids=lambda one: getattr(one, "__name__", ""))


def counted(violation: Violation) -> tuple[Violation, list[Values]]:
    looks: list[Values] = []

    def counting(values: Values) -> float:
        looks.append(values)
        return violation(values)

    return counting, looks


@EACH
def test_hardly_any_random_point_is_feasible(space: Space, violation: Violation, spread: float) -> None:
    rng = np.random.default_rng(0)
    assert sum(violation(space.random(rng)) == 0 for _ in range(5_000)) <= 10


@EACH
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_feasible_point_is_found_soon(space: Space, violation: Violation, spread: float, seed: int) -> None:
    counting, looks = counted(violation)
    assert find_feasible(space, violation=counting, seed=seed).violation == 0.0
    assert len(looks) <= 1000


@EACH
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_start_is_feasible_complete_and_spread_out(
    space: Space, violation: Violation, spread: float, seed: int
) -> None:
    counting, looks = counted(violation)
    batch = propose(space, [], n=10, seed=seed, violation=counting)
    assert len({space.key(values) for values in batch}) == 10
    assert all(violation(values) == 0 for values in batch)
    assert len(looks) <= 2 * MAX_EVALUATIONS
    distances = [space.distance(a, b) for a, b in itertools.combinations(batch, 2)]
    assert np.mean(distances) > spread and min(distances) > spread / 10


@EACH
def test_the_search_goes_on_inside_the_bounds_with_bounded_effort(
    space: Space, violation: Violation, spread: float
) -> None:
    def error(values: Values) -> float:
        return abs(math.log(float(values["w0"]) / 12)) + abs(math.log(float(values["w3"]) / 20))

    first, last = [], []
    for seed in range(3):  # one search of 26 trials may be unlucky
        start = propose(space, [], n=10, seed=seed, violation=violation)
        history = [Observation(values, error(values)) for values in start]
        for _ in range(4):
            counting, looks = counted(violation)
            batch = propose(space, history, n=4, seed=seed, violation=counting)
            assert len(batch) == 4 and len(looks) <= MAX_EVALUATIONS
            history += [Observation(values, error(values)) for values in batch]
        assert all(violation(one.values) == 0 for one in history)
        first += [one.error for one in history[:10]]
        last += [one.error for one in history[-8:]]
    assert np.mean(last) < np.mean(first)


@pytest.mark.parametrize("history", [[], [{f"w{i}": 512 for i in range(12)}]])
def test_a_bound_that_nothing_meets_is_told_with_the_smallest_and_what_has_it(
    history: Sequence[dict[str, int]],
) -> None:
    counting, looks = counted(lambda values: above(chain(values), 88))  # 176 is the least: all widths are 4
    known = [Observation(values, 0.5) for values in history]
    with pytest.raises(InfeasibleBudget, match=r"no point inside the budget among 1[12]00") as refusal:
        propose(WIDTHS, known, n=4, seed=0, violation=counting)
    assert len(looks) <= 2 * MAX_EVALUATIONS
    assert refusal.value.smallest == above(chain(refusal.value.values), 88)
    assert refusal.value.smallest == min(above(chain(values), 88) for values in looks) < 6.0


@pytest.mark.parametrize("unknown", [math.nan, math.inf])
def test_a_violation_that_is_no_number_is_never_inside(unknown: float) -> None:
    def violation(values: Values) -> float:
        return unknown if float(values["w0"]) > 16 else small(values)

    for _ in range(2):
        batch = propose(WIDTHS, [], n=6, seed=0, violation=violation)
        assert len(batch) == 6 and all(float(values["w0"]) <= 16 for values in batch)


def test_the_sampler_asks_about_each_point_once() -> None:
    counting, looks = counted(three_bounds)
    study = optuna.create_study(sampler=SteerageSampler(seed=0, space=MIXED, violation=counting))
    for _ in range(15):
        trial = study.ask(fixed_distributions=dict(MIXED.distributions))
        study.tell(trial, float(trial.params["w0"]))
    assert all(three_bounds(trial.params) == 0 for trial in study.trials)
    assert len({MIXED.key(values) for values in looks}) == len(looks) <= 7 * MAX_EVALUATIONS


def test_a_feasible_point_that_is_known_spares_the_refusal() -> None:
    only: dict[str, int | float | str | bool] = {f"w{i}": 100 + i for i in range(12)}
    violation: Callable[[Values], float] = lambda values: float(dict(values) != only)  # noqa: E731
    assert propose(WIDTHS, [Observation(only, 0.5)], n=2, seed=0, violation=violation) == []
