"""Facts about evolution under constraints."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import FloatDistribution, IntDistribution

from steerage.search.evolution import evolve
from steerage.space import Space, Values

SQUARE = Space({"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)})


def _total(points: list[Values]) -> NDArray[np.float64]:
    return np.array([float(point["x"]) + float(point["y"]) for point in points])


def _anywhere(values: Values) -> float:
    return 0.0


def test_the_maximum_is_found() -> None:
    best = evolve(SQUARE, score=_total, violation=_anywhere, rng=np.random.default_rng(0))[0]
    assert best.score > 1.95


def test_the_best_is_feasible_and_near_the_bound() -> None:
    def violation(values: Values) -> float:
        return max(0.0, float(values["x"]) + float(values["y"]) - 0.5)

    found = evolve(SQUARE, score=_total, violation=violation, rng=np.random.default_rng(0))
    assert found[0].violation == 0.0 and 0.45 < found[0].score <= 0.5


def test_feasible_ones_come_first_and_infeasible_ones_by_violation() -> None:
    found = evolve(
        SQUARE,
        score=_total,
        violation=lambda values: max(0.0, float(values["x"]) - 0.3),
        rng=np.random.default_rng(0),
        max_evaluations=96,
    )
    ranks = [(one.violation, -one.score) for one in found]
    assert ranks == sorted(ranks) and all((one.score == -np.inf) == (one.violation > 0) for one in found)


def test_a_tiny_feasible_corner_is_reached_by_smaller_violations() -> None:
    def violation(values: Values) -> float:
        return max(0.0, float(values["x"]) - 0.01) + max(0.0, float(values["y"]) - 0.01)

    found = evolve(SQUARE, score=_total, violation=violation, rng=np.random.default_rng(0), until_feasible=True)
    assert found[0].violation == 0.0


def test_every_point_is_judged_once_and_the_limit_is_kept() -> None:
    asked: list[tuple[float, ...]] = []

    def violation(values: Values) -> float:
        asked.append(SQUARE.key(values))
        return 0.0

    found = evolve(SQUARE, score=_total, violation=violation, rng=np.random.default_rng(0), max_evaluations=100)
    assert len(asked) == len(set(asked)) == len(found) == 100


def test_a_small_space_is_exhausted_and_the_search_ends() -> None:
    space = Space({"a": IntDistribution(0, 2), "b": IntDistribution(0, 2)})
    found = evolve(space, score=lambda points: np.zeros(len(points)), violation=_anywhere, rng=np.random.default_rng(0))
    assert len(found) == 9


def test_the_same_seed_evolves_the_same_points() -> None:
    runs = [evolve(SQUARE, score=_total, violation=_anywhere, rng=np.random.default_rng(1)) for _ in range(2)]
    assert runs[0] == runs[1]
