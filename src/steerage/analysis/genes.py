"""Which hyperparameters mattered: what the accuracy predictor of a search says when one of them changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import ndtr

from steerage.search.features import Matrix, columns, features
from steerage.search.predictor import Predictor
from steerage.search.propose import Observation
from steerage.space import Space, Value

LEAST = 8  # candidates without which nothing is said
LEVELS = 7  # values of a number that are looked at
SHOWN = 8  # hyperparameters


def genes(space: Space, history: Sequence[Observation], *, seed: int) -> list[dict[str, Any]]:
    """The hyperparameters that matter most, as JSON takes them: ``name``, ``share``, ``values`` and ``errors``.

    ``errors``: partial dependence (Friedman 2001), the mean error that the predictor expects of the candidates in
    ``history`` if each had the value. ``share``: standard deviation of that, as a share of the sum over all. Empty with
    fewer than eight candidates, or where nothing makes a difference.
    """
    known = [one for one in history if one.state == "ok"]
    if len(known) < LEAST:
        return []
    points, errors = [one.values for one in known], np.array([one.error for one in known])
    layout = columns(space)
    predictor = Predictor(layout).fit(features(space, points), -errors, np.random.default_rng(seed))
    found: list[tuple[float, dict[str, Any]]] = []
    for gene in space.genes:
        values = _levels([point[gene.name] for point in points])
        if len(values) < 2:
            continue
        expected = []
        for value in values:
            changed = [space.normalize({**point, gene.name: value}) for point in points]
            scores, _ = predictor.predict(features(space, changed))
            expected.append(float(_errors(scores, errors).mean()))
        found.append((float(np.std(expected)), {"name": gene.name, "values": values, "errors": expected}))
    total = sum(spread for spread, _ in found)
    if total <= 0:
        return []
    found.sort(key=lambda one: -one[0])
    return [{**one, "share": spread / total} for spread, one in found[:SHOWN]]


def _levels(values: Sequence[Value]) -> list[Value]:
    """The values that occur; of many numbers a few, evenly spread among them."""
    ordered = sorted(set(values), key=lambda value: (isinstance(value, str), value))
    if len(ordered) <= LEVELS:
        return ordered
    return [ordered[round(i * (len(ordered) - 1) / (LEVELS - 1))] for i in range(LEVELS)]


def _errors(scores: Matrix, errors: Matrix) -> Matrix:
    """Errors that stand where normal ``scores`` (higher is better) stand among ``errors``."""
    return np.asarray(np.quantile(errors, 1.0 - ndtr(scores)), dtype=float)
