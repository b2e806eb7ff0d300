"""What training a candidate is expected to gain: over the best that is known, or over a front."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from steerage.search.features import Matrix
from steerage.search.front import front

FAR = -6.0  # standard deviations from which on the series is exact to 0.3 %
TOP = 0.1  # share of the observations whose spread tells how much error one normal score is worth beyond the best


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
class Worth:
    """How much a quality on the scale of normal scores is worth: a piecewise linear function that never falls.

    It runs through ``values`` (k,) at ``scores`` (k,), both rising; it is constant below the first score, and goes on
    with the slope ``beyond`` above the last.
    """

    scores: Matrix
    values: Matrix
    beyond: float

    @staticmethod
    def of(scores: Matrix, errors: Matrix, *, worst: float) -> Worth:
        """Worth is the error below ``worst``: (n,) normal scores of the quality, and the errors that they stand for.

        An error of ``worst`` or more is worth nothing.
        """
        levels, first = np.unique(scores, return_index=True)
        values = np.maximum(worst - errors[first], 0.0)
        last = len(levels) - 1
        top = max(last - max(2, int(np.ceil(TOP * len(levels)))), 0)
        rise = (values[last] - values[top]) / (levels[last] - levels[top]) if last > top else 1.0
        return Worth(levels, values, float(rise))

    def at(self, scores: Matrix) -> Matrix:
        """Worth of ``scores``: (n,) -> (n,)."""
        inside = np.interp(scores, self.scores, self.values)
        return np.asarray(inside + self.beyond * np.maximum(scores - self.scores[-1], 0.0))

    def expected_gains(self, mean: Matrix, sd: Matrix, levels: Matrix) -> Matrix:
        """E[max(0, worth(Q) - worth(level))] of Q ~ N(mean, sd^2): (m,), (m,), levels (k,) -> (m, k).

        It is the integral of worth'(t) P(Q > t) from the level up, and that of P(Q > t) between two knots is the
        difference of the expected improvements over them.
        """
        knots = np.unique(np.concatenate([self.scores, levels[np.isfinite(levels)]]))
        slopes = np.append(np.diff(self.at(knots)) / np.diff(knots), self.beyond)
        over = expected_improvement(mean[:, None], sd[:, None], knots)  # (m, knots)
        pieces = slopes * (over - np.column_stack([over[:, 1:], np.zeros(len(over))]))
        from_here_up = np.cumsum(pieces[:, ::-1], axis=1)[:, ::-1]
        return np.asarray(from_here_up[:, np.searchsorted(knots, np.maximum(levels, knots[0]))])


@final
@dataclass(frozen=True)
class Staircase:
    """The best quality that is known at each cost, on the scale of normal scores, up to the cost ``limit``.

    ``qualities`` (k,) rise with ``costs`` (k,); nothing is known below the first cost.
    """

    costs: Matrix
    qualities: Matrix
    limit: float
    worth: Worth

    @staticmethod
    def of(qualities: Matrix, costs: Matrix, *, limit: float, worth: Worth) -> Staircase:
        """Staircase of points (n,), (n,); costs above ``limit`` do not count."""
        steps = front(-qualities, costs)
        steps = steps[costs[steps] < limit]
        return Staircase(costs[steps], qualities[steps], limit, worth)

    def extended(self, quality: float, cost: float) -> Staircase:
        """The staircase with one point more."""
        qualities, costs = np.append(self.qualities, quality), np.append(self.costs, cost)
        return Staircase.of(qualities, costs, limit=self.limit, worth=self.worth)

    def improvement(self, mean: Matrix, sd: Matrix, costs: Matrix) -> Matrix:
        """Expected growth of the hypervolume by candidates of known ``costs`` and quality N(mean, sd^2): (m,) each.

        The integral over costs, from the candidate's own to the limit, of the expected gain over what is known there.
        """
        ends = np.concatenate([[-np.inf], self.costs, [self.limit]])
        widths = np.maximum(ends[1:] - np.maximum(ends[:-1], costs[:, None]), 0.0)  # (m, steps)
        gains = self.worth.expected_gains(mean, sd, np.concatenate([[-np.inf], self.qualities]))
        return np.asarray(np.sum(widths * gains, axis=1))
