"""The next candidates to train, as a pure function of the seed and of what has been tried."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, final

import numpy as np

from steerage.errors import BadSpace
from steerage.search.acquisition import Staircase, Worth, expected_improvement
from steerage.search.evolution import Individual, Score, Violation, evolve
from steerage.search.features import Columns, Matrix, columns, features
from steerage.search.front import front, layers
from steerage.search.predictor import MIN_OBSERVATIONS, Predictor, Quality, cross_validate, normal_scores
from steerage.seeds import child_seed
from steerage.space import Key, Space, Value, Values

START = 10
EXPLORATION = 0.07  # share of picks that are random
BOLDNESS = 0.25  # share of the spread that counts as hope: with all of it, continuous genes run to their far ends
MAX_EVALUATIONS = 600
NEIGHBOURS = 24  # best observations whose surroundings the evolution starts from
CROWDING = 2.0  # decay, per gene of difference, of the discount for being like another of the batch
CROWDING_KNOWN = 20.0  # and for being like a point that was tried
SHORTLIST = 100  # candidates among which a batch is picked
COST_LOOK = 128  # Sobol points among which the start of a front is spread over the costs
FIRST_LOOK = 256  # Sobol points from which a search for feasible ones starts

REFERENCE = 0.9  # quantile, among the errors of the start, of the error that a front is measured from
MARGIN = 0.05  # share of the range of costs by which its other end lies beyond the largest cost that was tried

CostFeatures = Callable[[Values], Sequence[float]]
Cost = Callable[[Values], float]


@final
@dataclass(frozen=True)
class Observation:
    """A candidate that was tried: ``error`` (lower is better; ignored when it failed).

    ``cost``: its cost features, to save computing them again; () if they are not at hand.
    """

    values: Values
    error: float
    cost: tuple[float, ...] = ()
    state: Literal["ok", "failed"] = "ok"


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
    cost: Cost | None = None,
    pending: Sequence[Values] = (),
    start: int = START,
    exploration: float = EXPLORATION,
    max_evaluations: int = MAX_EVALUATIONS,
) -> list[dict[str, Value]]:
    """Up to ``n`` feasible points that are neither in ``history`` nor ``pending``; fewer when there are no others.

    The first ``start`` are Sobol points, infeasible ones replaced by the next of the sequence. After that a predictor
    is fitted to ``history``, evolution maximizes expected improvement, and a share ``exploration`` of the picks is
    random. ``violation`` (0 = feasible) is called at most ``3 * max_evaluations`` times.

    With ``cost``, a positive figure known before training (parameters, operations), the whole front of error and log
    cost is wanted: the start covers the range of costs, and evolution maximizes the expected growth of the hypervolume;
    up to ``COST_LOOK`` more calls of ``violation``.

    Raises: BadSpace if no feasible point is found at all.
    """
    taken = {space.key(one.values) for one in history} | {space.key(values) for values in pending}
    usable = sum(one.state == "ok" for one in history) >= MIN_OBSERVATIONS
    early = min(n, max(0, start - len(taken))) if usable else n
    tried = [*(one.values for one in history), *pending]
    batch: list[dict[str, Value]] = []
    if cost is not None:
        batch = _spread_costs(space, early, taken, cost, seed=seed, violation=violation, tried=tried)
    seen = taken | {space.key(values) for values in batch}
    batch += _spread(space, early - len(batch), seen, seed=seed, violation=violation, limit=max_evaluations)
    if len(batch) < n and usable:
        taken |= {space.key(values) for values in batch}
        rng = np.random.default_rng(child_seed(seed, "propose", len(taken)))
        if cost is None:
            along, score = None, _improvement(space, history, cost_features, rng)
            good = sorted((one for one in history if one.state == "ok"), key=lambda one: one.error)[:NEIGHBOURS]
        else:
            along = _along(space, history, cost, cost_features, rng, waiting=[*pending, *batch])
            score, good = along.score, _best_layers(history, cost)
        parents: list[Values] = [one.values for one in good]
        parents += [space.mutate(one.values, rng, 1.0 / len(space)) for one in good]
        found = evolve(space, score=score, violation=violation, rng=rng, start=parents, max_evaluations=max_evaluations)
        fresh = [one for one in found if one.violation <= 0 and space.key(one.values) not in taken]
        known, room = [*tried, *batch], n - len(batch)
        if along is None:
            batch += _pick(space, fresh, room, rng, known=known, exploration=exploration)
        else:
            batch += _pick_along(space, fresh, room, rng, known=known, exploration=exploration, along=along)
    return batch


def _improvement(
    space: Space, history: Sequence[Observation], cost_features: CostFeatures, rng: np.random.Generator
) -> Score:
    """Expected improvement (Jones et al. 1998, eq. 15) on the scale of normal scores.

    The incumbent is the best prediction at what was tried, since the best observation is partly luck.
    """
    layout, x, y = table(space, history, cost_features)
    predictor = Predictor(layout).fit(x, y, rng)
    best = float(predictor.predict(x)[0].max())

    def score(points: list[Values]) -> Matrix:
        mean, sd = predictor.predict(features(space, points, [tuple(cost_features(point)) for point in points]))
        return expected_improvement(mean, BOLDNESS * sd, best)

    return score


@final
@dataclass(frozen=True)
class _Along:
    """``look`` tells the predicted mean, hope and log cost of points, (len(points),) each; ``stairs`` what is known."""

    look: Callable[[Sequence[Values]], tuple[Matrix, Matrix, Matrix]]
    stairs: Staircase

    def score(self, points: list[Values]) -> Matrix:
        """Expected growth of the hypervolume: (len(points),)."""
        return self.stairs.improvement(*self.look(points))


def _along(
    space: Space,
    history: Sequence[Observation],
    cost: Cost,
    cost_features: CostFeatures,
    rng: np.random.Generator,
    *,
    waiting: Sequence[Values],
) -> _Along:
    """What is known of the front, ``waiting`` points included: by predictions, for the best observations are part luck.

    Its hypervolume begins at an error that few of the start exceeded. Later trials are better ones, and measured by
    them a small network would be worth nothing.
    """
    layout, x, y = table(space, history, cost_features)
    predictor = Predictor(layout).fit(x, y, rng)

    def look(points: Sequence[Values]) -> tuple[Matrix, Matrix, Matrix]:
        mean, sd = predictor.predict(features(space, points, [tuple(cost_features(point)) for point in points]))
        return mean, BOLDNESS * sd, np.log([cost(point) for point in points])

    costs = np.log([cost(one.values) for one in history])
    limit = float(costs.max() + MARGIN * (np.ptp(costs) or 1.0))
    works = np.isfinite(y)
    worst = float(np.quantile(-y[works][:START], REFERENCE))
    worth = Worth.of(normal_scores(y), -y, worst=worst)
    stairs = Staircase.of(predictor.predict(x)[0][works], costs[works], limit=limit, worth=worth)
    if waiting:
        means, _, prices = look(waiting)
        for quality, price in zip(means.tolist(), prices.tolist(), strict=True):
            stairs = stairs.extended(quality, price)
    return _Along(look, stairs)


def _best_layers(history: Sequence[Observation], cost: Cost) -> list[Observation]:
    """The first ``NEIGHBOURS`` observations, front after front."""
    works = [one for one in history if one.state == "ok"]
    errors, costs = np.array([one.error for one in works]), np.array([cost(one.values) for one in works])
    return [works[i] for i in layers(errors, costs, n=NEIGHBOURS)]


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
    near = np.min([_difference(shortlist, row, groups) for row in features(space, known)], axis=0)
    worth = np.array([one.score for one in candidates[:SHORTLIST]]) * (1.0 - np.exp(-CROWDING_KNOWN * near))
    picked: list[int] = []
    while len(picked) < min(n, len(candidates)):
        if rng.random() < exploration or len(picked) >= len(worth):
            at = int(rng.choice([i for i in range(len(candidates)) if i not in picked]))
        else:
            at = int(np.argmax([-np.inf if i in picked else value for i, value in enumerate(worth)]))
        picked.append(at)
        worth *= 1.0 - np.exp(-CROWDING * _difference(shortlist, x[at], groups))
    return [candidates[i].values for i in picked]


def _pick_along(
    space: Space,
    candidates: Sequence[Individual],
    n: int,
    rng: np.random.Generator,
    *,
    known: Sequence[Values],
    exploration: float,
    along: _Along,
) -> list[dict[str, Value]]:
    """``n`` of ``candidates``: random ones, or those that let the front grow most, the earlier picks being on it."""
    if not candidates:
        return []
    points = [one.values for one in candidates]
    mean, hope, costs = along.look(points)
    x, groups, stairs = features(space, points), columns(space).groups, along.stairs
    near = np.min([_difference(x, row, groups) for row in features(space, known)], axis=0)
    discount = 1.0 - np.exp(-CROWDING_KNOWN * near)
    left = list(range(len(points)))
    picked: list[int] = []
    while left and len(picked) < n:
        if rng.random() < exploration:
            at = int(rng.choice(left))
        else:
            worth = discount * stairs.improvement(mean, hope, costs)
            at = left[int(np.argmax(worth[left]))]
        left.remove(at)
        picked.append(at)
        stairs = stairs.extended(float(mean[at]), float(costs[at]))
    return [candidates[i].values for i in picked]


def _difference(x: Matrix, row: Matrix, groups: Sequence[Sequence[int]]) -> Matrix:
    """Number of genes, in fractions too, in which each row of ``x`` differs from ``row``: (len(x),)."""
    squares = [np.sum((x[:, list(group)] - row[list(group)]) ** 2, axis=1) for group in groups]
    return np.asarray(np.sum(np.sqrt(squares), axis=0))


def table(space: Space, history: Sequence[Observation], cost_features: CostFeatures) -> tuple[Columns, Matrix, Matrix]:
    """Columns, features (n, columns) and quality (n,), which is minus the error; failed ones are below all others."""
    width = len(cost_features(history[0].values))
    costs = [one.cost if len(one.cost) == width else tuple(cost_features(one.values)) for one in history]
    errors = np.array([one.error if one.state == "ok" else np.inf for one in history])
    return columns(space, costs=width), features(space, [one.values for one in history], costs), -errors


def assess(
    space: Space, history: Sequence[Observation], *, seed: int, cost_features: CostFeatures = costless
) -> Quality:
    """Cross-validated quality of the predictor on ``history``."""
    if not history:
        return Quality(None, None, None, 0)
    layout, x, y = table(space, history, cost_features)
    return cross_validate(layout, x, y, np.random.default_rng(child_seed(seed, "assess", len(history))))


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


def _spread_costs(
    space: Space,
    n: int,
    taken: Collection[Key],
    cost: Cost,
    *,
    seed: int,
    violation: Violation,
    tried: Sequence[Values],
) -> list[dict[str, Value]]:
    """Up to ``n`` of the first feasible Sobol points, each where the log costs so far leave the widest gap."""
    if n <= 0:
        return []
    sobol = {space.key(values): values for values in space.sample_sobol(COST_LOOK, seed=seed)}
    pool = [values for key, values in sobol.items() if key not in taken and violation(values) <= 0]
    costs = np.log([cost(values) for values in pool])
    gap = np.full(len(pool), np.inf)
    for values in tried:
        gap = np.minimum(gap, np.abs(costs - math.log(cost(values))))
    batch: list[dict[str, Value]] = []
    while len(batch) < min(n, len(pool)):
        at = int(np.argmax(gap))  # the first of equals, so a start that knows nothing begins with the sequence
        batch.append(pool[at])
        gap = np.minimum(gap, np.abs(costs - costs[at]))
        gap[at] = -1.0
    return batch


def _spread(
    space: Space, n: int, taken: Collection[Key], *, seed: int, violation: Violation, limit: int
) -> list[dict[str, Value]]:
    """``n`` feasible points evenly spread: the next of the Sobol sequence, or evolved ones where few are feasible.

    Raises: BadSpace if ``2 * limit`` points have none that is feasible.
    """
    if n <= 0:
        return []
    seen, batch, outside = set(taken), list[dict[str, Value]](), list[tuple[float, dict[str, Value]]]()
    for values in space.sample_sobol(limit, seed=seed):
        key = space.key(values)
        if key in seen:
            continue
        seen.add(key)
        excess = violation(values)
        if excess > 0:
            outside.append((excess, values))
            continue
        batch.append(values)
        if len(batch) == n:
            return batch
    outside.sort(key=lambda pair: pair[0])
    known = [space.encode(values) for values in batch]

    def isolation(points: list[Values]) -> Matrix:
        """Distance to the nearest point that the batch has: (len(points),)."""
        if not known:
            return np.zeros(len(points))
        units = np.stack([space.encode(point) for point in points])
        return np.asarray(np.min(np.linalg.norm(units[:, None] - np.stack(known)[None], axis=2), axis=1))

    found = evolve(
        space,
        score=isolation,
        violation=violation,
        rng=np.random.default_rng(child_seed(seed, "spread", len(taken))),
        start=[*batch, *(values for _, values in outside[:FIRST_LOOK])],
        max_evaluations=limit,
    )
    if not taken and found[0].violation > 0:
        raise BadSpace(
            f"no point inside the budget among {len(outside) + len(found)}: the best exceeds it by "
            f"{found[0].violation:.0%}; allow a larger budget or a space with smaller networks"
        )
    fresh = [one.values for one in found if one.violation <= 0 and space.key(one.values) not in seen]
    return batch + fresh[: n - len(batch)]


def known_front(
    space: Space, history: Sequence[Observation], cost: Cost, *, seed: int, cost_features: CostFeatures = costless
) -> list[int]:
    """Positions in ``history`` of the candidates to name as the front of error and ``cost``, by rising cost.

    A single short training is partly luck; the predictor has seen its neighbours too. Merit is the mean of what was
    shown and what was predicted, both as normal scores. With fewer than ten that did not fail the predictor knows too
    little, and what was shown alone decides.
    """
    places = [at for at, one in enumerate(history) if one.state == "ok"]
    known = [history[at] for at in places]
    costs = np.array([cost(one.values) for one in known])
    if len(known) < START:
        return [places[i] for i in front(np.array([one.error for one in known]), costs)]
    layout, x, y = table(space, known, cost_features)
    rng = np.random.default_rng(child_seed(seed, "front", len(known)))
    merit = normal_scores(y) + Predictor(layout).fit(x, y, rng).predict(x)[0]
    return [places[i] for i in front(-merit, costs)]
