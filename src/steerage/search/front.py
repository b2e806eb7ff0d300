"""The front of two figures that are both to be small: who is on it, and how much it dominates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from steerage.search.features import Matrix


def front(errors: Matrix, costs: Matrix) -> NDArray[np.int64]:
    """Indices of the points (n,), (n,) that no other one dominates, by rising cost; of equal points the first.

    Along the front errors fall strictly. A point that is not finite is never on it. O(n log n).
    """
    errors, costs = np.asarray(errors, dtype=float), np.asarray(costs, dtype=float)
    order = np.lexsort((errors, costs))  # stable: of equal points the first stays the first
    order = order[np.isfinite(errors[order]) & np.isfinite(costs[order])]
    before = np.minimum.accumulate(np.concatenate([[np.inf], errors[order]]))[:-1]
    return np.asarray(order[errors[order] < before], dtype=np.int64)


def layers(errors: Matrix, costs: Matrix, *, n: int) -> NDArray[np.int64]:
    """Indices of up to ``n`` finite points: the front, then the front of the rest, and so on."""
    errors, costs = np.asarray(errors, dtype=float), np.asarray(costs, dtype=float)
    left = np.flatnonzero(np.isfinite(errors) & np.isfinite(costs))
    found = np.zeros(0, dtype=np.int64)
    while len(found) < n and len(left):
        layer = front(errors[left], costs[left])
        found = np.concatenate([found, left[layer]])
        left = np.delete(left, layer)
    return found[:n]


def carriers(errors: Matrix, costs: Matrix, reference: tuple[float, float], *, n: int) -> NDArray[np.int64]:
    """Indices of at most ``n`` >= 1 points of the front, by rising cost, that together dominate the most.

    The one of the least error is always among them; others beyond ``reference``, an error and a cost, never. Exact, by
    dynamic programming over the front, O(n k^2) for its k points.
    """
    errors, costs = np.asarray(errors, dtype=float), np.asarray(costs, dtype=float)
    stairs = front(errors, costs)
    if len(stairs) == 0:
        return stairs
    height, width = errors[stairs], reference[1] - costs[stairs]
    area = width * (reference[0] - height)  # of the best set of one size that ends in each point
    areas, before = [area], [np.full(len(stairs), -1)]
    for _ in range(1, min(n, len(stairs))):
        added = area[:, None] + width * (height[:, None] - height)  # (the point before, the last point)
        added[np.tril_indices(len(stairs))] = -np.inf
        before.append(np.argmax(added, axis=0))
        area = added.max(axis=0)
        areas.append(area)
    size, at = int(np.argmax([one[-1] for one in areas])), len(stairs) - 1
    picked = [at]
    for step in range(size, 0, -1):
        at = int(before[step][at])
        picked.append(at)
    return stairs[picked[::-1]]


def hypervolume(errors: Matrix, costs: Matrix, reference: tuple[float, float]) -> float:
    """Area that the points (n,), (n,) dominate below ``reference``, an error and a cost; exact, O(n log n)."""
    errors, costs = np.asarray(errors, dtype=float), np.asarray(costs, dtype=float)
    inside = (errors < reference[0]) & (costs < reference[1])
    errors, costs = errors[inside], costs[inside]
    stairs = front(errors, costs)
    widths = np.diff(np.append(costs[stairs], reference[1]))
    return float(np.sum(widths * (reference[0] - errors[stairs])))
