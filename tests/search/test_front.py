"""Facts about the front and what it dominates."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from steerage.search.front import carriers, front, hypervolume, layers


def on_front(errors: np.ndarray, costs: np.ndarray) -> list[int]:
    """By definition: nobody is as good in both and better in one, and nobody before is equal."""
    points = list(zip(errors.tolist(), costs.tolist(), strict=True))
    return [
        i
        for i, (e, c) in enumerate(points)
        if not any(a <= e and b <= c and (a, b) != (e, c) for a, b in points) and (e, c) not in points[:i]
    ]


@pytest.mark.parametrize("seed", range(20))
def test_front_and_hypervolume_are_those_of_the_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    errors, costs = rng.integers(0, 12, size=(2, 30)).astype(float)  # many ties
    found = front(errors, costs)
    assert sorted(found) == on_front(errors, costs)
    assert np.all(np.diff(costs[found]) > 0) and np.all(np.diff(errors[found]) < 0)
    cells = [(e, c) for e in range(10) for c in range(11)]  # unit squares below the reference (10, 11)
    dominated = sum(any(a <= e and b <= c for a, b in zip(errors, costs, strict=True)) for e, c in cells)
    assert hypervolume(errors, costs, (10.0, 11.0)) == dominated


def test_points_beyond_the_reference_or_not_finite_add_nothing() -> None:
    errors, costs = np.array([0.5, 0.1, np.nan, np.inf, 2.0]), np.array([0.5, 1.5, 0.0, 0.1, 0.0])
    assert hypervolume(errors, costs, (1.0, 1.0)) == 0.25
    assert hypervolume(errors[1:], costs[1:], (1.0, 1.0)) == 0.0
    assert front(errors, costs).tolist() == [4, 0, 1]
    assert front(np.zeros(0), np.zeros(0)).tolist() == []


def test_layers_peel_one_front_after_the_other() -> None:
    errors = np.array([1.0, 0.0, 2.0, 1.0, np.inf])
    costs = np.array([0.0, 1.0, 1.0, 2.0, 0.0])
    assert layers(errors, costs, n=9).tolist() == [0, 1, 2, 3]
    assert layers(errors, costs, n=3).tolist() == [0, 1, 2]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("n", [1, 2, 3, 20])
def test_carriers_are_the_best_of_all_subsets_with_the_least_error(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    errors, costs = rng.random((2, 25))
    stairs, reference = front(errors, costs), (0.8, 1.1)
    found = carriers(errors, costs, reference, n=n)
    assert len(found) <= n and found[-1] == stairs[-1] and set(found) <= set(stairs)
    assert np.all(np.diff(costs[found]) > 0)
    others = [(*rest, stairs[-1]) for k in range(n) for rest in combinations(stairs[:-1], k)]
    best = max(hypervolume(errors[list(one)], costs[list(one)], reference) for one in others)
    assert hypervolume(errors[found], costs[found], reference) == pytest.approx(best)


def test_only_the_least_error_may_be_beyond_the_reference() -> None:
    errors, costs = np.array([0.9, 0.7, 0.1]), np.array([1.0, 2.0, 3.0])
    assert carriers(errors, costs, (0.8, 4.0), n=3).tolist() == [1, 2]
    assert carriers(errors, costs, (0.05, 4.0), n=3).tolist() == [2]
    assert carriers(np.zeros(0), np.zeros(0), (1.0, 1.0), n=3).tolist() == []
