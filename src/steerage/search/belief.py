"""What is believed of candidates before they are trained, and what a training is expected to gain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from steerage.search.acquisition import log_expected_improvement
from steerage.search.features import Columns, Matrix
from steerage.search.gp import GaussianProcess

Chance = Callable[[Matrix], Matrix]


@final
@dataclass(frozen=True)
class Belief:
    """A Gaussian process on the quality of candidates, and the ``best`` quality, on which others are to improve.

    Quality is the error with its sign turned, centred and divided by ``unit``. ``chance``: probability (m,) of rows to
    keep to the bounds that only a training shows.
    """

    process: GaussianProcess
    layout: Columns
    best: float
    unit: float
    center: float
    chance: Chance | None = None

    @staticmethod
    def of(
        layout: Columns,
        x: Matrix,
        errors: Matrix,
        rng: np.random.Generator,
        *,
        best: float,
        chance: Chance | None = None,
    ) -> Belief:
        """From ``x``: (n, columns) and finite ``errors``: (n,), of which ``best`` is the least that counts.

        The best that was shown is partly luck, but less so than the process believes where it takes all that it cannot
        explain for noise: what is to be improved on is midway between the best shown and the best believed.
        """
        quality = -errors
        unit = float(quality.std()) or 1.0
        center = quality.mean()
        process = GaussianProcess.fit(x, (quality - center) / unit, layout, rng)
        shown, believed = (-best - center) / unit, process.predict(x)[0].max()
        return Belief(process, layout, float(min(shown, 0.5 * (shown + believed))), unit, float(center), chance)

    def improvement(self, rows: Matrix) -> Matrix:
        """Expected decrease (m,) of the least error by training one of ``rows``: (m, columns).

        Expected improvement (Jones et al. 1998, eq. 15), times the chance of keeping to all bounds (Gardner et al.
        2014, eq. 6).
        """
        return np.asarray(self.unit * np.exp(self.promise(rows)))

    def promise(self, rows: Matrix) -> Matrix:
        """Logarithm (m,) of the expected improvement in units; it has an order even where all improvements are 0."""
        mean, sd = self.process.predict(rows)
        promise = log_expected_improvement(mean, sd, self.best)
        with np.errstate(divide="ignore"):
            return promise if self.chance is None else promise + np.log(self.chance(rows))

    def errors(self, rows: Matrix) -> tuple[Matrix, Matrix]:
        """Mean and standard deviation (m,) of the errors that are expected of ``rows``: (m, columns)."""
        mean, sd = self.process.predict(rows)
        return -(self.center + self.unit * mean), self.unit * sd

    def expecting(self, rows: Matrix) -> Belief:
        """The belief while ``rows`` (m, columns) are in training: of those, and of what is like them, less is hoped.

        They count as if they had shown what is believed of them ("kriging believer", Ginsbourger et al. 2010), which
        leaves every mean as it is.
        """
        process = self.process.believing(rows)
        return replace(self, process=process, best=max(self.best, float(self.process.predict(rows)[0].max())))


def tempered(errors: Matrix) -> Matrix:
    """``errors`` (n,), those that lie farther above the median than the least lies below it drawn in to there.

    A candidate that learnt nothing says where not to look; how bad it was says nothing about the differences among good
    ones, and would drown them.
    """
    median = float(np.median(errors))
    return np.asarray(np.minimum(errors, median + (median - errors.min())))
