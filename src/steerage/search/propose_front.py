"""The next candidates to train where the whole front of error against a cost is wanted, not one network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from steerage.search.acquisition import Staircase
from steerage.search.evolution import Individual, Violation
from steerage.search.features import Matrix, columns, features
from steerage.search.front import carriers, front, hypervolume, layers
from steerage.search.predictor import MIN_OBSERVATIONS
from steerage.search.propose import (
    CROWDING,
    EXPLORATION,
    MAX_EVALUATIONS,
    NEIGHBOURS,
    START,
    CostFeatures,
    Observation,
    anywhere,
    costless,
    differences,
    evolved,
    look_ahead,
    spread,
)
from steerage.search.retrain import expected_errors
from steerage.seeds import child_seed
from steerage.space import Space, Value, Values

BOLDNESS = 0.25  # share of the spread that counts as hope: with all of it, continuous genes run to their far ends
COST_LOOK = 128  # Sobol points among which the start of a front is spread over the costs
REFERENCE = 0.9  # quantile, among the errors of the start, of the error that a front is measured from
MARGIN = 0.05  # share of the range of costs by which its other end lies beyond the largest cost that was tried

Cost = Callable[[Values], float]


def propose_front(
    space: Space,
    history: Sequence[Observation],
    *,
    cost: Cost,
    n: int,
    seed: int,
    violation: Violation = anywhere,
    cost_features: CostFeatures = costless,
    pending: Sequence[Values] = (),
    start: int = START,
    exploration: float = EXPLORATION,
    max_evaluations: int = MAX_EVALUATIONS,
) -> list[dict[str, Value]]:
    """Up to ``n`` points as ``propose`` returns them, but for the front of error and log ``cost``.

    ``cost`` is a positive figure known before training (parameters, operations). The start covers the range of costs;
    after it evolution maximizes the expected growth of the hypervolume. ``violation`` is called up to ``COST_LOOK``
    times more often than by ``propose``. Raises: InfeasibleBudget if no feasible point is found at all.
    """
    known: list[Values] = [*(one.values for one in history), *pending]
    usable = sum(one.state == "ok" for one in history) >= MIN_OBSERVATIONS
    early = min(n, max(0, start - len({space.key(values) for values in known}))) if usable else n
    batch = _spread_costs(space, early, known, cost, seed=seed, violation=violation)
    rest = early - len(batch)
    batch += spread(space, rest, [*known, *batch], seed=seed, violation=violation, limit=max_evaluations)
    if len(batch) == n or not usable:
        return batch
    known += batch
    taken = {space.key(values) for values in known}
    rng = np.random.default_rng(child_seed(seed, "propose front", len(taken)))
    along = _along(space, history, cost, cost_features, rng, waiting=[*pending, *batch])
    good = _best_layers(history, cost)
    fresh = evolved(
        space, good, taken, score=along.score, violation=violation, rng=rng, max_evaluations=max_evaluations
    )
    return batch + _pick(space, fresh, n - len(batch), rng, known=known, exploration=exploration, along=along)


def expected_growth(
    space: Space,
    history: Sequence[Observation],
    proposals: Sequence[Values],
    cost: Cost,
    *,
    seed: int,
    cost_features: CostFeatures = costless,
) -> float | None:
    """By which share of itself, >= 0, the best of ``proposals`` is expected to let the hypervolume grow.

    None where too little is known to say.
    """
    good = [one for one in history if one.standing[0] == 0]
    if len(good) < MIN_OBSERVATIONS or not proposals:
        return None
    rng = np.random.default_rng(child_seed(seed, "growth", len(history)))
    along = _along(space, history, cost, cost_features, rng, waiting=(), boldness=1.0)
    # As it was shown: from a few trials the predictor says next to nothing, and a share of nothing is no share.
    errors, costs = np.array([one.error for one in good]), np.log([cost(one.values) for one in good])
    volume = hypervolume(errors, costs, (_worst(errors), along.stairs.limit))
    return float(along.score([*proposals]).max()) / volume if volume > 0 else None


def known_front(
    space: Space,
    history: Sequence[Observation],
    cost: Cost,
    *,
    seed: int,
    cost_features: CostFeatures = costless,
    trainings: Sequence[int] = (),
    n: int | None = None,
) -> list[int]:
    """Positions in ``history`` of the candidates to name as the front of error and ``cost``, by rising cost.

    As ``best_known`` does it: by what was shown and what is believed, or what was shown alone if fewer than ten did not
    fail. Those that broke a bound are left out. ``trainings``: how many of them each error is the mean of, by default
    one. ``n``: at most so many, which carry most of the hypervolume of error and log cost, the most accurate always
    among them.
    """
    places = [at for at, one in enumerate(history) if one.standing[0] == 0]
    known = [history[at] for at in places]
    costs = np.array([cost(one.values) for one in known])
    shown = errors = np.array([one.error for one in known])
    if len(known) >= START:
        rng = np.random.default_rng(child_seed(seed, "front", len(known)))
        outlook = look_ahead(space, known, cost_features, rng, worst=_worst(shown))
        counts = np.array([trainings[at] if trainings else 1 for at in places])
        errors = expected_errors(shown, counts, outlook.errors([one.values for one in known]))
    on = front(errors, costs)
    if n is not None and len(on) > n:
        logs = np.log(costs)
        on = on[carriers(errors[on], logs[on], (_worst(shown), _limit(logs)), n=n)]
    return [places[i] for i in on]


def _worst(errors: Matrix) -> float:
    """Error that a hypervolume begins at: one that few of the start exceeded; ``errors`` (n,) in order of the trials.

    Later trials are better ones, and measured by them a small network would be worth nothing.
    """
    return float(np.quantile(errors[:START], REFERENCE))


def _limit(costs: Matrix) -> float:
    """Log cost at which a hypervolume ends, for the log costs (n,) that were tried."""
    return float(costs.max() + MARGIN * (np.ptp(costs) or 1.0))


@final
@dataclass(frozen=True)
class _View:
    """Of points: expected error, hope (deviation), log cost, and chance to keep to all bounds; (m,) each."""

    mean: Matrix
    hope: Matrix
    cost: Matrix
    chance: Matrix

    def growth(self, stairs: Staircase) -> Matrix:
        """Expected growth of the hypervolume above ``stairs``: (m,)."""
        return stairs.improvement(self.mean, self.hope, self.cost) * self.chance


@final
@dataclass(frozen=True)
class _Along:
    """``look`` tells what is expected of points, ``stairs`` what is known."""

    look: Callable[[Sequence[Values]], _View]
    stairs: Staircase

    def score(self, points: list[Values]) -> Matrix:
        """Expected growth of the hypervolume: (len(points),)."""
        return self.look(points).growth(self.stairs)


def _along(
    space: Space,
    history: Sequence[Observation],
    cost: Cost,
    cost_features: CostFeatures,
    rng: np.random.Generator,
    *,
    waiting: Sequence[Values],
    boldness: float = BOLDNESS,
) -> _Along:
    """What is known of the front, ``waiting`` points included: by predictions, for the best observations are part luck.

    ``boldness``: share of the spread of a prediction that counts as hope.
    """
    kept = [one for one in history if one.standing[0] == 0]
    figures = [one.error for one in kept]
    if not kept:  # what broke bounds is all there is to go by
        kept = [one for one in history if one.state == "ok"]
        figures = [one.violation for one in kept]
    worst = _worst(np.array(figures))
    outlook = look_ahead(space, history, cost_features, rng, worst=worst)

    def look(points: Sequence[Values]) -> _View:
        rows = outlook.rows(points)
        mean, sd = outlook.belief.errors(rows)
        chance = outlook.belief.chance
        likely = np.ones(len(rows)) if chance is None else chance(rows)
        return _View(mean, boldness * sd, np.log([cost(point) for point in points]), likely)

    known = look([one.values for one in kept])
    stairs = Staircase.of(known.mean, known.cost, worst=worst, limit=_limit(known.cost))
    if waiting:
        ahead = look(waiting)
        for error, price in zip(ahead.mean.tolist(), ahead.cost.tolist(), strict=True):
            stairs = stairs.extended(error, price)
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
    along: _Along,
) -> list[dict[str, Value]]:
    """``n`` of ``candidates``: random ones, or those that let the front grow most, the earlier picks being on it."""
    if not candidates:
        return []
    points = [one.values for one in candidates]
    view = along.look(points)
    x, groups, stairs = features(space, points), columns(space).groups, along.stairs
    near = differences(x, features(space, known), groups).min(axis=1)
    discount = 1.0 - np.exp(-CROWDING * near)
    left = list(range(len(points)))
    picked: list[int] = []
    while left and len(picked) < n:
        if rng.random() < exploration:
            at = int(rng.choice(left))
        else:
            worth = discount * view.growth(stairs)
            at = left[int(np.argmax(worth[left]))]
        left.remove(at)
        picked.append(at)
        stairs = stairs.extended(float(view.mean[at]), float(view.cost[at]))
    return [candidates[i].values for i in picked]


def _spread_costs(
    space: Space, n: int, known: Sequence[Values], cost: Cost, *, seed: int, violation: Violation
) -> list[dict[str, Value]]:
    """Up to ``n`` of the first feasible Sobol points, each where the log costs so far leave the widest gap."""
    if n <= 0:
        return []
    taken = {space.key(values) for values in known}
    sobol = {space.key(values): values for values in space.sample_sobol(COST_LOOK, seed=seed)}
    pool = [values for key, values in sobol.items() if key not in taken and violation(values) <= 0]
    costs = np.log([cost(values) for values in pool])
    gap = np.full(len(pool), np.inf)
    for values in known:
        gap = np.minimum(gap, np.abs(costs - math.log(cost(values))))
    batch: list[dict[str, Value]] = []
    while len(batch) < min(n, len(pool)):
        at = int(np.argmax(gap))  # the first of equals, so a start that knows nothing begins with the sequence
        batch.append(pool[at])
        gap = np.minimum(gap, np.abs(costs - costs[at]))
        gap[at] = -1.0
    return batch
