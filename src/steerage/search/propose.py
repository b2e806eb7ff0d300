"""The next candidates to train, as a pure function of the seed and of what has been tried."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, final

import numpy as np

from steerage.errors import InfeasibleBudget
from steerage.search.acquisition import expected_improvement
from steerage.search.evolution import Individual, Score, Violation, evolve, excess
from steerage.search.features import Columns, Matrix, columns, features
from steerage.search.predictor import MIN_OBSERVATIONS, Predictor, Quality, cross_validate, normal_scores
from steerage.search.retrain import merit
from steerage.seeds import child_seed
from steerage.space import Key, Space, Value, Values, Vector

START = 10
EXPLORATION = 0.07  # share of picks that are random
BOLDNESS = 0.25  # share of the spread that counts as hope: with all of it, continuous genes run to their far ends
MAX_EVALUATIONS = 600
NEIGHBOURS = 24  # best observations whose surroundings the evolution starts from
CROWDING = 2.0  # decay, per gene of difference, of the discount for being like another of the batch
CROWDING_KNOWN = 20.0  # and for being like a point that was tried
SHORTLIST = 100  # candidates among which a batch is picked
FIRST_LOOK = 256  # Sobol points from which a search for feasible ones starts

CostFeatures = Callable[[Values], Sequence[float]]
_Outside = tuple[float, dict[str, Value]]  # violation and values of an infeasible point


@final
@dataclass(frozen=True)
class Observation:
    """A candidate that was tried: ``error`` (lower is better; ignored when it failed).

    ``cost``: its cost features, to save computing them again; () if they are not at hand. ``violation``: of bounds on
    what only a training shows (a latency, say), in [0, inf]; 0 if it keeps to them.
    """

    values: Values
    error: float
    cost: tuple[float, ...] = ()
    state: Literal["ok", "failed"] = "ok"
    violation: float = 0.0

    @property
    def standing(self) -> tuple[int, float]:
        """Sort key of constrained domination, smaller is better: by error, then by violation, failed ones last."""
        if self.state == "failed":
            return 2, 0.0
        return (1, self.violation) if self.violation > 0 else (0, self.error)


def anywhere(values: Values) -> float:
    """No bound: every point is inside the budget."""
    return 0.0


def costless(values: Values) -> Sequence[float]:
    """No cost features."""
    return ()


def propose(
    space: Space,
    history: Sequence[Observation],
    *,
    n: int,
    seed: int,
    violation: Violation = anywhere,
    cost_features: CostFeatures = costless,
    pending: Sequence[Values] = (),
    start: int = START,
    exploration: float = EXPLORATION,
    max_evaluations: int = MAX_EVALUATIONS,
) -> list[dict[str, Value]]:
    """Up to ``n`` feasible points that are neither in ``history`` nor ``pending``; fewer when there are no others.

    The first ``start`` are Sobol points, infeasible ones replaced by the next of the sequence. After that a predictor
    is fitted to ``history``, evolution maximizes expected improvement, and a share ``exploration`` of the picks is
    random. ``violation`` (0 = feasible) is called at most ``3 * max_evaluations`` times.

    Raises: InfeasibleBudget with the candidate of the smallest violation if no feasible point is found at all.
    """
    known: list[Values] = [*(one.values for one in history), *pending]
    taken = {space.key(values) for values in known}
    usable = sum(one.state == "ok" for one in history) >= MIN_OBSERVATIONS
    early = min(n, max(0, start - len(taken))) if usable else n
    batch = spread(space, early, known, seed=seed, violation=violation, limit=max_evaluations)
    if len(batch) < n and usable:
        taken |= {space.key(values) for values in batch}
        rng = np.random.default_rng(child_seed(seed, "propose", len(taken)))
        score = _improvement(space, history, cost_features, rng)
        good = sorted((one for one in history if one.state == "ok"), key=lambda one: one.standing)[:NEIGHBOURS]
        fresh = evolved(space, good, taken, score=score, violation=violation, rng=rng, max_evaluations=max_evaluations)
        batch += _pick(space, fresh, n - len(batch), rng, known=[*known, *batch], exploration=exploration)
    return batch


def evolved(
    space: Space,
    good: Sequence[Observation],
    taken: Collection[Key],
    *,
    score: Score,
    violation: Violation,
    rng: np.random.Generator,
    max_evaluations: int,
) -> list[Individual]:
    """Feasible points that are not ``taken``, best first: evolution from ``good`` observations and a mutant of each."""
    parents: list[Values] = [one.values for one in good]
    parents += [space.mutate(one.values, rng, 1.0 / len(space)) for one in good]
    found = evolve(space, score=score, violation=violation, rng=rng, start=parents, max_evaluations=max_evaluations)
    return [one for one in found if one.violation <= 0 and space.key(one.values) not in taken]


def _improvement(
    space: Space, history: Sequence[Observation], cost_features: CostFeatures, rng: np.random.Generator
) -> Score:
    """Expected improvement (Jones et al. 1998, eq. 15) on the scale of normal scores.

    The incumbent is the best prediction at what was tried, since the best observation is partly luck. Where some of
    what was tried broke bounds and some kept to them, the incumbent is one that kept to them, errors are learnt from
    both, and the improvement is multiplied by the chance of keeping to them (Gardner et al. 2014, eq. 6).
    """
    layout, x, quality = table(space, history, cost_features)
    kept = np.array([one.standing[0] == 0 for one in history])
    broken = np.array([one.standing[0] == 1 for one in history])
    chance: Callable[[Matrix], Matrix] | None = None
    if kept.any() and broken.any():
        quality = np.array([-one.error if one.state == "ok" else -np.inf for one in history])
        told = kept | broken
        chance = _chance(layout, x[told], np.array([one.violation for one in history])[told], rng)
    predictor = Predictor(layout).fit(x, quality, rng)
    best = float(predictor.predict(x[kept] if kept.any() else x)[0].max())

    def score(points: list[Values]) -> Matrix:
        rows = features(space, points, [tuple(cost_features(point)) for point in points])
        mean, sd = predictor.predict(rows)
        improvement = expected_improvement(mean, BOLDNESS * sd, best)
        return improvement if chance is None else improvement * chance(rows)

    return score


def _chance(layout: Columns, x: Matrix, violations: Matrix, rng: np.random.Generator) -> Callable[[Matrix], Matrix]:
    """Probability (m,) in [0, 1] that a row keeps to all bounds; ``violations``: (n,) of ``x``, some of them 0.

    On the scale of normal scores, where the border runs midway between the feasible and the nearest infeasible.
    """
    from scipy.special import ndtr

    predictor = Predictor(layout).fit(x, -violations, rng)
    scores = normal_scores(-violations)
    border = 0.5 * (scores[violations == 0].max() + scores[violations > 0].max())

    def chance(rows: Matrix) -> Matrix:
        mean, sd = predictor.predict(rows)
        return np.asarray(ndtr((mean - border) / sd))

    return chance


def _pick(
    space: Space,
    candidates: Sequence[Individual],
    n: int,
    rng: np.random.Generator,
    *,
    known: Sequence[Values],
    exploration: float,
) -> list[dict[str, Value]]:
    """``n`` of ``candidates`` (best first): random ones, or the best after discounts for likeness.

    Being like a ``known`` point counts only at close range: one more training there tells little that is new.
    """
    if not candidates:
        return []
    x, groups = features(space, [one.values for one in candidates]), columns(space).groups
    shortlist = x[:SHORTLIST]
    near = differences(shortlist, features(space, known), groups).min(axis=1)
    worth = np.array([one.score for one in candidates[:SHORTLIST]]) * (1.0 - np.exp(-CROWDING_KNOWN * near))
    picked: list[int] = []
    while len(picked) < min(n, len(candidates)):
        if rng.random() < exploration or len(picked) >= len(worth):
            at = int(rng.choice([i for i in range(len(candidates)) if i not in picked]))
        else:
            at = int(np.argmax([-np.inf if i in picked else value for i, value in enumerate(worth)]))
        picked.append(at)
        worth *= 1.0 - np.exp(-CROWDING * differences(shortlist, x[[at]], groups)[:, 0])
    return [candidates[i].values for i in picked]


def differences(x: Matrix, y: Matrix, groups: Sequence[Sequence[int]]) -> Matrix:
    """Number of genes, in fractions too, in which each row of ``x`` differs from each of ``y``: (len(x), len(y))."""
    total = np.zeros((len(x), len(y)))
    for group in groups:
        total += np.sqrt(((x[:, None, list(group)] - y[None, :, list(group)]) ** 2).sum(axis=2))
    return total


def table(space: Space, history: Sequence[Observation], cost_features: CostFeatures) -> tuple[Columns, Matrix, Matrix]:
    """Columns, features (n, columns) and quality (n,): ranks from the worst, 0, upwards; equals share one.

    Ranks of constrained domination: those that kept to all bounds by their error, above those that did not by their
    violation, above failed ones.
    """
    width = len(cost_features(history[0].values))
    costs = [one.cost if len(one.cost) == width else tuple(cost_features(one.values)) for one in history]
    ranks = {standing: rank for rank, standing in enumerate(sorted({one.standing for one in history}, reverse=True))}
    quality = np.array([float(ranks[one.standing]) for one in history])
    return columns(space, costs=width), features(space, [one.values for one in history], costs), quality


def assess(
    space: Space, history: Sequence[Observation], *, seed: int, cost_features: CostFeatures = costless
) -> Quality:
    """Cross-validated quality of the predictor on ``history``."""
    if not history:
        return Quality(None, None, None, 0)
    layout, x, y = table(space, history, cost_features)
    return cross_validate(layout, x, y, np.random.default_rng(child_seed(seed, "assess", len(history))))


def best_known(
    space: Space,
    history: Sequence[Observation],
    *,
    seed: int,
    cost_features: CostFeatures = costless,
    trainings: Sequence[int] = (),
) -> list[int]:
    """Positions in ``history`` of those that did not fail, best first: by what each showed and what was predicted.

    A single short training is partly luck; the predictor has seen its neighbours too. Both are normal scores of ranks.
    With fewer than ten the predictor knows too little, and what was shown alone decides. ``trainings``: how many of
    them each error is the mean of, by default one; the prediction counts as much as one.
    """
    places = [at for at, one in enumerate(history) if one.state == "ok"]
    if len(places) < START:
        return sorted(places, key=lambda at: history[at].standing)
    layout, x, y = table(space, [history[at] for at in places], cost_features)
    rng = np.random.default_rng(child_seed(seed, "promising", len(places)))
    shown = np.array([trainings[at] if trainings else 1 for at in places])
    worth = merit(-y, shown, Predictor(layout).fit(x, y, rng).predict(x)[0])
    return [places[i] for i in np.argsort(-worth, kind="stable")]


def find_feasible(
    space: Space, *, violation: Violation, seed: int, max_evaluations: int = 2000, start: Sequence[Values] = ()
) -> Individual:
    """The first feasible point found, else the one of the smallest violation, after ``max_evaluations`` points.

    Looks at ``start`` and at Sobol points first, then evolves them towards the budget; the caller turns a positive
    ``violation`` into its error.
    """
    sobol = space.sample_sobol(min(FIRST_LOOK, max_evaluations), seed=seed)
    rng = np.random.default_rng(child_seed(seed, "feasible"))
    return evolve(
        space,
        score=lambda points: np.zeros(len(points)),
        violation=violation,
        rng=rng,
        start=[*start, *sobol],
        max_evaluations=max_evaluations,
        until_feasible=True,
    )[0]


def spread(
    space: Space, n: int, known: Sequence[Values], *, seed: int, violation: Violation, limit: int
) -> list[dict[str, Value]]:
    """``n`` feasible points evenly spread: the next of the Sobol sequence, or evolved ones where few are feasible.

    None is among ``known``. Fewer than ``n`` when no others are found. Raises: InfeasibleBudget if none of ``known`` is
    feasible, and none of ``2 * limit`` other points.
    """
    if n <= 0:
        return []
    seen, batch, outside = {space.key(values) for values in known}, list[dict[str, Value]](), list[_Outside]()
    for values in space.sample_sobol(limit, seed=seed):
        key = space.key(values)
        if key in seen:
            continue
        seen.add(key)
        above = excess(violation, values)
        if above > 0:
            outside.append((above, values))
            continue
        batch.append(values)
        if len(batch) == n:
            return batch
    outside.sort(key=lambda pair: pair[0])
    archive = [space.encode(values) for values in batch]

    def novelty(points: list[Values]) -> Matrix:
        """Distance to the nearest feasible point that was seen before: (len(points),). They join those seen."""
        units = [space.encode(point) for point in points]
        near = _nearest(units, archive)
        archive.extend(units)
        return near

    found = evolve(
        space,
        score=novelty,
        violation=violation,
        rng=np.random.default_rng(child_seed(seed, "spread", len(known))),
        start=[*batch, *known, *(values for _, values in outside[:FIRST_LOOK])],
        max_evaluations=limit,
    )
    feasible = [one.values for one in found if one.violation <= 0]
    if not feasible:
        looks, best = len(outside) + len(found), found[0]
        raise InfeasibleBudget(
            "violation", 0.0, best.violation, best.values,
            message=f"no point inside the budget among {looks}: the best exceeds it by {best.violation:.0%} with "
            f"{best.values}; allow a larger budget or a space with smaller networks",
        )  # fmt: skip
    fresh = [values for values in feasible if space.key(values) not in seen]
    return batch + _farthest(space, fresh, n - len(batch), known=[*known, *batch])


def _farthest(
    space: Space, points: Sequence[dict[str, Value]], n: int, *, known: Sequence[Values]
) -> list[dict[str, Value]]:
    """``n`` of ``points``, each the farthest from the ``known`` ones and from those before it (Gonzalez 1985)."""
    units = [space.encode(values) for values in points]
    near = _nearest(units, [space.encode(values) for values in known])
    picked: list[int] = []
    while len(picked) < min(n, len(points)):
        at = int(np.argmax(near))
        picked.append(at)
        near = np.minimum(near, _nearest(units, [units[at]]))
        near[picked] = -1.0
    return [points[at] for at in picked]


def _nearest(units: Sequence[Vector], others: Sequence[Vector]) -> Matrix:
    """Distance of each of ``units`` to the nearest of ``others``: (len(units),); 0 if there are none."""
    if not units or not others:
        return np.zeros(len(units))
    gaps = np.stack(units)[:, None] - np.stack(others)[None]
    return np.asarray(np.sqrt(np.min(np.sum(gaps**2, axis=2), axis=1)))
