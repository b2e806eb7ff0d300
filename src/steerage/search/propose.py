"""The next candidates to train, as a pure function of the seed and of what has been tried."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, final

import numpy as np

from steerage.errors import BadSpace
from steerage.search.evolution import Individual, Score, Violation, evolve
from steerage.search.features import Columns, Matrix, columns, features
from steerage.search.predictor import MIN_OBSERVATIONS, Predictor, Quality, cross_validate
from steerage.search.retrain import merit
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
FIRST_LOOK = 256  # Sobol points from which a search for feasible ones starts

CostFeatures = Callable[[Values], Sequence[float]]


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
    pending: Sequence[Values] = (),
    start: int = START,
    exploration: float = EXPLORATION,
    max_evaluations: int = MAX_EVALUATIONS,
) -> list[dict[str, Value]]:
    """Up to ``n`` feasible points that are neither in ``history`` nor ``pending``; fewer when there are no others.

    The first ``start`` are Sobol points, infeasible ones replaced by the next of the sequence. After that a predictor
    is fitted to ``history``, evolution maximizes expected improvement, and a share ``exploration`` of the picks is
    random. ``violation`` (0 = feasible) is called at most ``3 * max_evaluations`` times.

    Raises: BadSpace if no feasible point is found at all.
    """
    taken = {space.key(one.values) for one in history} | {space.key(values) for values in pending}
    usable = sum(one.state == "ok" for one in history) >= MIN_OBSERVATIONS
    early = min(n, max(0, start - len(taken))) if usable else n
    batch = _spread(space, early, taken, seed=seed, violation=violation, limit=max_evaluations)
    if len(batch) < n and usable:
        taken |= {space.key(values) for values in batch}
        rng = np.random.default_rng(child_seed(seed, "propose", len(taken)))
        score = _improvement(space, history, cost_features, rng)
        good = sorted((one for one in history if one.state == "ok"), key=lambda one: one.error)[:NEIGHBOURS]
        parents: list[Values] = [one.values for one in good]
        parents += [space.mutate(one.values, rng, 1.0 / len(space)) for one in good]
        found = evolve(space, score=score, violation=violation, rng=rng, start=parents, max_evaluations=max_evaluations)
        fresh = [one for one in found if one.violation <= 0 and space.key(one.values) not in taken]
        known = [*(one.values for one in history), *pending, *batch]
        batch += _pick(space, fresh, n - len(batch), rng, known=known, exploration=exploration)
    return batch


def _improvement(
    space: Space, history: Sequence[Observation], cost_features: CostFeatures, rng: np.random.Generator
) -> Score:
    """Expected improvement (Jones et al. 1998, eq. 15) on the scale of normal scores.

    The incumbent is the best prediction at what was tried, since the best observation is partly luck.
    """
    from scipy.special import ndtr

    layout, x, y = table(space, history, cost_features)
    predictor = Predictor(layout).fit(x, y, rng)
    best = float(predictor.predict(x)[0].max())

    def score(points: list[Values]) -> Matrix:
        mean, sd = predictor.predict(features(space, points, [tuple(cost_features(point)) for point in points]))
        sd = BOLDNESS * sd
        z = (mean - best) / sd
        return np.asarray(sd * (z * ndtr(z) + np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)))

    return score


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
    near = _differences(shortlist, features(space, known), groups).min(axis=1)
    worth = np.array([one.score for one in candidates[:SHORTLIST]]) * (1.0 - np.exp(-CROWDING_KNOWN * near))
    picked: list[int] = []
    while len(picked) < min(n, len(candidates)):
        if rng.random() < exploration or len(picked) >= len(worth):
            at = int(rng.choice([i for i in range(len(candidates)) if i not in picked]))
        else:
            at = int(np.argmax([-np.inf if i in picked else value for i, value in enumerate(worth)]))
        picked.append(at)
        worth *= 1.0 - np.exp(-CROWDING * _differences(shortlist, x[[at]], groups)[:, 0])
    return [candidates[i].values for i in picked]


def _differences(x: Matrix, y: Matrix, groups: Sequence[Sequence[int]]) -> Matrix:
    """Number of genes, in fractions too, in which each row of ``x`` differs from each of ``y``: (len(x), len(y))."""
    total = np.zeros((len(x), len(y)))
    for group in groups:
        total += np.sqrt(((x[:, None, list(group)] - y[None, :, list(group)]) ** 2).sum(axis=2))
    return total


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
        return sorted(places, key=lambda at: history[at].error)
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
