"""The next candidates to train, as a pure function of the seed and of what has been tried."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, final

import numpy as np

from steerage.errors import InfeasibleBudget
from steerage.search.belief import Belief, Chance, tempered
from steerage.search.evolution import Individual, Score, Violation, evolve, excess
from steerage.search.features import Columns, Matrix, columns, features
from steerage.search.predictor import MIN_OBSERVATIONS, Predictor, Quality, cross_validate, normal_scores
from steerage.search.retrain import expected_errors
from steerage.seeds import child_seed
from steerage.space import Key, Space, Value, Values, Vector

START = 10
EXPLORATION = 0.07  # share of picks that are random
MAX_EVALUATIONS = 600
NEIGHBOURS = 24  # best observations whose surroundings the evolution starts from
CROWDING = 20.0  # decay, per gene of difference, of the discount for being like a point that was tried
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
        outlook = look_ahead(space, history, cost_features, rng, pending=[*pending, *batch])
        good = sorted((one for one in history if one.state == "ok"), key=lambda one: one.standing)[:NEIGHBOURS]
        fresh = evolved(
            space, good, taken, score=outlook.promises, violation=violation, rng=rng, max_evaluations=max_evaluations
        )
        known += batch
        batch += _pick(space, fresh, n - len(batch), rng, known=known, exploration=exploration, outlook=outlook)
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


@final
@dataclass(frozen=True)
class Outlook:
    """A belief as a function of points: ``rows`` turns (m) points into the (m, columns) that it speaks of."""

    belief: Belief
    rows: Callable[[Sequence[Values]], Matrix]

    def gains(self, points: Sequence[Values]) -> Matrix:
        """Expected decrease (m,) of the least error by training one of ``points``."""
        return self.belief.improvement(self.rows(points))

    def promises(self, points: Sequence[Values]) -> Matrix:
        """Logarithm (m,) of these gains, but for a constant."""
        return self.belief.promise(self.rows(points))

    def errors(self, points: Sequence[Values]) -> Matrix:
        """Errors (m,) that are expected of ``points``."""
        return self.belief.errors(self.rows(points))[0]


def look_ahead(
    space: Space,
    history: Sequence[Observation],
    cost_features: CostFeatures,
    rng: np.random.Generator,
    *,
    pending: Sequence[Values] = (),
    worst: float | None = None,
) -> Outlook:
    """What is to be expected after ``history``, of which not all failed, while ``pending`` points are in training.

    Errors above ``worst`` count as that; by default those far above the median are drawn in (``tempered``).

    Where some broke bounds and some kept to them, the best is one that kept to them and errors are learnt from both; as
    long as none kept to them, violations are learnt in the place of errors. One that failed counts as the worst.
    """
    layout, x, _ = table(space, history, cost_features)
    places = np.array([one.standing[0] for one in history])
    kept, broken = places == 0, places == 1
    violations = np.array([one.violation for one in history])
    chance: Chance | None = None
    if kept.any() and broken.any():
        chance = _chance(layout, x[kept | broken], violations[kept | broken], rng)
    figures = np.array([one.error for one in history]) if kept.any() else violations
    told = np.isfinite(figures) & (kept | broken)
    figures = np.where(told, figures, figures[told].max() if told.any() else 0.0)
    figures = tempered(figures) if worst is None else np.minimum(figures, worst)
    best = figures[kept].min() if kept.any() else figures.min()
    belief = Belief.of(layout, x, figures, rng, best=float(best), chance=chance)

    def rows(points: Sequence[Values]) -> Matrix:
        return features(space, points, [tuple(cost_features(point)) for point in points])

    return Outlook(belief.expecting(rows(pending)) if pending else belief, rows)


def _chance(layout: Columns, x: Matrix, violations: Matrix, rng: np.random.Generator) -> Chance:
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
    outlook: Outlook,
) -> list[dict[str, Value]]:
    """``n`` of ``candidates`` (best first): random ones, or those of the highest gain while the others are in training.

    Being like a ``known`` point, or another of the batch, counts against one at close range: one more training there
    tells little that is new.
    """
    if not candidates:
        return []
    shortlist, belief = outlook.rows([one.values for one in candidates[:SHORTLIST]]), outlook.belief
    groups = columns(space).groups
    near = differences(shortlist, features(space, known), groups).min(axis=1)
    left = list(range(len(candidates)))
    picked: list[int] = []
    while left and len(picked) < n:
        listed = [i for i in left if i < len(shortlist)]
        if not listed or rng.random() < exploration:
            at = int(rng.choice(left))
        else:
            with np.errstate(divide="ignore"):
                worth = belief.promise(shortlist) + np.log(1.0 - np.exp(-CROWDING * near))
            at = max(listed, key=lambda i: float(worth[i]))
        left.remove(at)
        picked.append(at)
        if len(picked) < n:
            row = outlook.rows([candidates[at].values])
            belief = belief.expecting(row)
            near = np.minimum(near, differences(shortlist, row, groups)[:, 0])
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
    """Cross-validated quality of the predictor on ``history``; of fewer than ten it says nothing that is not chance."""
    if len(history) < START:
        return Quality(None, None, None, len(history))
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
    """Positions in ``history`` of those that did not fail, best first: by what each showed and what is believed.

    A single short training is partly luck; the belief comes from its neighbours too. With fewer than ten it is worth
    too little, and what was shown alone decides. ``trainings``: how many of them each error is the mean of, by default
    one; the belief counts as much as one (``retrain.expected_errors``). Those that broke a bound come last.
    """
    places = [at for at, one in enumerate(history) if one.state == "ok"]
    known = [history[at] for at in places]
    if len(places) < START:
        return sorted(places, key=lambda at: history[at].standing)
    rng = np.random.default_rng(child_seed(seed, "promising", len(places)))
    believed = look_ahead(space, known, cost_features, rng).errors([one.values for one in known])
    counts = np.array([trainings[at] if trainings else 1 for at in places])
    expected = expected_errors(np.array([one.error for one in known]), counts, believed)
    apart = [one.standing if one.standing[0] else (0, error) for one, error in zip(known, expected, strict=True)]
    return [places[i] for i in sorted(range(len(places)), key=apart.__getitem__)]


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
