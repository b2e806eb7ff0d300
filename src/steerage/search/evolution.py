"""Evolutionary search over a space, with bounds kept by constrained domination."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from steerage.space import Key, Space, Value, Values

Score = Callable[[list[Values]], NDArray[np.float64]]
Violation = Callable[[Values], float]

POPULATION = 48  # children per generation
PARENTS = 24  # the best of all points so far: parents survive for as long as nothing beats them
TOURNAMENT = 4
CROSSOVER = 0.7  # share of children with two parents; the others are mutants of one
IDLE = 3  # generations in a row with few new points, after which the neighbourhood counts as exhausted
FEW = POPULATION // 4


@final
@dataclass(frozen=True)
class Individual:
    """A point with its score (higher is better; -inf where infeasible) and its violation (0 = inside the budget)."""

    values: dict[str, Value]
    score: float
    violation: float


def evolve(
    space: Space,
    *,
    score: Score,
    violation: Violation,
    rng: np.random.Generator,
    start: Sequence[Values] = (),
    max_evaluations: int = 600,
    until_feasible: bool = False,
) -> list[Individual]:
    """Every point that was looked at, best first.

    The points of ``start`` are the first population, filled up with random ones. Each point costs one call of
    ``violation``; there are at most ``max_evaluations``, fewer if the space is exhausted or, with ``until_feasible``,
    a feasible point is found. Only feasible points are scored, a generation in one call.
    """
    seen: set[Key] = set()
    fresh = _new(space, start, seen, limit=max_evaluations)
    fillers = (space.random(rng) for _ in range(max(0, POPULATION - len(fresh))))
    fresh += _new(space, fillers, seen, limit=max_evaluations - len(fresh))
    found: list[Individual] = []
    parents: list[Individual] = []
    idle = 0
    while len(found) + len(fresh) <= max_evaluations and idle < IDLE:
        judged = _judge(fresh, score, violation)
        found += judged
        parents = sorted([*parents, *judged], key=_rank)[:PARENTS]
        if until_feasible and parents[0].violation <= 0:
            break
        room = min(POPULATION, max_evaluations - len(found))
        if room == 0:
            break
        children = (_child(space, parents, rng) for _ in range(2 * room))
        fresh = _new(space, children, seen, limit=room)
        idle = 0 if len(fresh) >= min(FEW, room) else idle + 1
    return sorted(found, key=_rank)


def _new(space: Space, points: Iterable[Values], seen: set[Key], *, limit: int) -> list[Values]:
    """The first ``limit`` canonical points that are not in ``seen``, which they join."""
    fresh: list[Values] = []
    if limit <= 0:
        return fresh
    for point in points:
        key = space.key(point)
        if key not in seen:
            seen.add(key)
            fresh.append(space.normalize(point))
            if len(fresh) == limit:
                break
    return fresh


def _judge(points: list[Values], score: Score, violation: Violation) -> list[Individual]:
    """Individuals of ``points``, scored where they are feasible."""
    violations = [excess(violation, point) for point in points]
    feasible = [point for point, above in zip(points, violations, strict=True) if above == 0]
    scores = iter(score(feasible).tolist() if feasible else [])
    return [
        Individual(dict(point), next(scores) if above == 0 else -math.inf, above)
        for point, above in zip(points, violations, strict=True)
    ]


def excess(violation: Violation, values: Values) -> float:
    """The violation of ``values`` in [0, inf]: none is better than feasible, and what is no number is worst."""
    above = float(violation(values))
    return math.inf if math.isnan(above) else max(above, 0.0)


def _rank(one: Individual) -> tuple[float, float]:
    """Sort key of constrained domination: smaller violation first, 0 before all, then the higher score (Deb 2000)."""
    return one.violation, -one.score


def _child(space: Space, parents: Sequence[Individual], rng: np.random.Generator) -> dict[str, Value]:
    """Mutant of a parent or of a cross of two; each parent wins a tournament (``parents`` are sorted, best first)."""
    winners = rng.integers(len(parents), size=(2, TOURNAMENT)).min(axis=1)
    one, other = parents[int(winners[0])].values, parents[int(winners[1])].values
    if rng.random() >= CROSSOVER:
        return space.mutate(one, rng, 1.0 / len(space))
    crossed = space.crossover(one, other, rng)
    return space.mutate(crossed, rng, 1.0 / len(space)) if rng.random() < 0.5 else crossed
