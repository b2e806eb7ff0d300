"""What training a candidate is expected to gain: over the best that is known, or over a front."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from steerage.search.features import Matrix
from steerage.search.front import front

FAR = -6.0  # standard deviations from which on the series is exact to 0.3 %


def expected_improvement(mean: Matrix, sd: Matrix, best: Matrix | float) -> Matrix:
    """E[max(0, Q - best)] of a quality Q ~ N(mean, sd^2), sd > 0 (Jones et al. 1998, eq. 15); shapes broadcast."""
    from scipy.special import ndtr

    z = (mean - best) / sd
    return np.asarray(sd * (z * ndtr(z) + np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)))


def log_expected_improvement(mean: Matrix, sd: Matrix, best: float) -> Matrix:
    """Logarithm of ``expected_improvement``, (m,), which tells bad from worse where the improvement itself is 0.

    Far below the best by the series of Mills' ratio, as Ament et al. (arXiv 2310.20708) advise.
    """
    from scipy.special import ndtr

    z = (mean - best) / sd
    near, far = np.maximum(z, FAR), np.minimum(z, FAR)
    inside = np.log(near * ndtr(near) + np.exp(-0.5 * near**2) / np.sqrt(2.0 * np.pi))
    outside = -0.5 * far**2 - 0.5 * np.log(2.0 * np.pi) - 2.0 * np.log(-far) + np.log1p(-3.0 / far**2 + 15.0 / far**4)
    return np.asarray(np.log(sd) + np.where(z > FAR, inside, outside))


@final
@dataclass(frozen=True)
class Staircase:
    """The least error that is known at each cost: ``errors`` (k,) fall as ``costs`` (k,) rise.

    Nothing is known below the first cost; an error of ``worst`` or more, and a cost of ``limit`` or more, are nothing.
    """

    costs: Matrix
    errors: Matrix
    worst: float
    limit: float

    @staticmethod
    def of(errors: Matrix, costs: Matrix, *, worst: float, limit: float) -> Staircase:
        """Staircase of points (n,), (n,)."""
        steps = front(errors, costs)
        steps = steps[costs[steps] < limit]
        return Staircase(costs[steps], errors[steps], worst, limit)

    def extended(self, error: float, cost: float) -> Staircase:
        """The staircase with one point more."""
        errors, costs = np.append(self.errors, error), np.append(self.costs, cost)
        return Staircase.of(errors, costs, worst=self.worst, limit=self.limit)

    def improvement(self, mean: Matrix, sd: Matrix, costs: Matrix) -> Matrix:
        """Expected growth of the hypervolume by candidates of known ``costs`` and error N(mean, sd^2): (m,) each.

        The integral over costs, from the candidate's own to the limit, of the expected gain over what is known there.
        """
        ends = np.concatenate([[-np.inf], self.costs, [self.limit]])
        widths = np.maximum(ends[1:] - np.maximum(ends[:-1], costs[:, None]), 0.0)  # (m, steps)
        levels = np.minimum(np.append(self.worst, self.errors), self.worst)
        gains = expected_improvement(-mean[:, None], sd[:, None], -levels)
        return np.asarray(np.sum(widths * gains, axis=1))
