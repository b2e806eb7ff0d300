"""A small Gaussian process over genes: one length scale per gene, hyperparameters by maximum a posteriori."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from steerage.search.features import Columns, Matrix

FIT_ROWS = 200  # hyperparameters are found on at most so many rows, since one evaluation costs O(rows^3)
KEPT_ROWS = 400  # and the posterior is of at most so many, which bounds time and memory whatever the history
BLOCK = 512  # rows that are predicted at a time: distances are (genes, rows, observations)
RELEVANCE = 1.5  # prior mean of sum_g w_g D_g over random points
MAIN_DECAY = 2.0  # of the main-effects kernel along one gene
PRIOR_SD = 1.0  # of every log hyperparameter
JITTER = 1e-6


@final
@dataclass(frozen=True)
class GaussianProcess:
    """Posterior of ``y(x) = interactions + main effects + noise`` with zero prior mean.

    k(a, b) = s m(sqrt(sum_g w_g D_g)) + v mean_g exp(-2 D_g), m the Matern-5/2 correlation (Rasmussen & Williams 2006,
    eq. 4.17) and D_g the squared distance over gene g; w, s, v and the noise have log-normal priors.
    """

    layout: Columns
    genes: tuple[Matrix, ...]
    parameters: Matrix  # log of (w_1, ..., w_d, s, v, noise)
    factor: Matrix  # lower Cholesky factor of the covariance of the observations
    weights: Matrix  # covariance^-1 y

    @staticmethod
    def fit(x: Matrix, y: Matrix, layout: Columns, rng: np.random.Generator) -> GaussianProcess:
        """Fit to ``x``: (n, columns), ``y``: (n,) of zero mean and unit scale.

        Of more than ``KEPT_ROWS`` rows the best half of that number stays, since the search is about those, and as many
        random ones of the others.
        """
        from scipy.linalg import cho_factor, cho_solve
        from scipy.optimize import minimize

        if len(x) > KEPT_ROWS:
            kept = _kept(y, rng)
            x, y = x[kept], y[kept]
        rows = np.sort(rng.permutation(len(x))[:FIT_ROWS])
        genes = _genes(x, layout)
        distances = _distances([gene[rows] for gene in genes], [gene[rows] for gene in genes])
        start = _prior_mean(layout)
        found = minimize(
            _loss, start, args=(distances, y[rows], start), jac=True, method="L-BFGS-B",
            bounds=[(mean - 4.0, mean + 4.0) for mean in start], options={"maxiter": 40},
        )  # fmt: skip
        if len(rows) < len(x):
            distances = _distances(genes, genes)
        covariance = _kernel(found.x, distances) + (np.exp(found.x[-1]) + JITTER) * np.eye(len(x))
        factor, _ = cho_factor(covariance, lower=True)
        return GaussianProcess(layout, genes, found.x, np.tril(factor), cho_solve((factor, True), y))

    def predict(self, x: Matrix) -> tuple[Matrix, Matrix]:
        """Posterior mean and standard deviation (m,) of the noise-free function at ``x``: (m, columns)."""
        blocks = [self._predict(x[at : at + BLOCK]) for at in range(0, max(len(x), 1), BLOCK)]
        return np.concatenate([mean for mean, _ in blocks]), np.concatenate([sd for _, sd in blocks])

    def _predict(self, x: Matrix) -> tuple[Matrix, Matrix]:
        from scipy.linalg import solve_triangular

        cross = _kernel(self.parameters, _distances(_genes(x, self.layout), self.genes))  # (m, n)
        explained = np.sum(solve_triangular(self.factor, cross.T, lower=True) ** 2, axis=0)
        prior = float(np.exp(self.parameters[-3]) + np.exp(self.parameters[-2]))
        return cross @ self.weights, np.sqrt(np.maximum(prior - explained, 1e-12))

    def believing(self, x: Matrix) -> GaussianProcess:
        """The process after observations at ``x``: (m, columns) of just what it predicts there.

        Means stay (the residuals of such observations are zero, so their weights are), deviations shrink.
        """
        from scipy.linalg import cholesky, solve_triangular

        fresh = _genes(x, self.layout)
        across = solve_triangular(self.factor, _kernel(self.parameters, _distances(self.genes, fresh)), lower=True)
        within = _kernel(self.parameters, _distances(fresh, fresh)) + self._noise * np.eye(len(x))
        n, m = len(self.factor), len(x)
        factor = np.zeros((n + m, n + m))
        factor[:n, :n], factor[n:, :n] = self.factor, across.T
        factor[n:, n:] = cholesky(within - across.T @ across, lower=True)
        genes = tuple(np.vstack(pair) for pair in zip(self.genes, fresh, strict=True))
        return GaussianProcess(self.layout, genes, self.parameters, factor, np.append(self.weights, np.zeros(m)))

    @property
    def _noise(self) -> float:
        return float(np.exp(self.parameters[-1])) + JITTER


def _kept(y: Matrix, rng: np.random.Generator) -> NDArray[np.int64]:
    """Row numbers of the best ``KEPT_ROWS // 2`` of ``y`` and of as many others, in order."""
    order = np.argsort(-y, kind="stable")
    best, others = order[: KEPT_ROWS // 2], order[KEPT_ROWS // 2 :]
    return np.sort(np.concatenate([best, rng.permutation(others)[: KEPT_ROWS - len(best)]]))


def _genes(x: Matrix, layout: Columns) -> tuple[Matrix, ...]:
    """The columns of each gene: (n, its columns)."""
    return tuple(x[:, list(group)] for group in layout.groups)


def _distances(a: Sequence[Matrix], b: Sequence[Matrix]) -> Matrix:
    """(genes, rows of a, rows of b): squared distances over each gene."""
    return np.stack([((p[:, None, :] - q[None, :, :]) ** 2).sum(axis=2) for p, q in zip(a, b, strict=True)])


def _prior_mean(layout: Columns) -> Matrix:
    """Prior means of the log hyperparameters.

    Over random points all genes together are expected to differ by ``RELEVANCE``, each by the same. Noise is a
    fiftieth: more would explain the best of a few observations as luck, and a search would not look around it.
    """
    relevance = [RELEVANCE / len(layout.groups) / spread for spread in layout.spreads]
    return np.asarray(np.log([*relevance, 0.5, 0.5, 0.02]))


def _kernel(parameters: Matrix, distances: Matrix) -> Matrix:
    scaled = np.sqrt(5.0 * np.tensordot(np.exp(parameters[:-3]), distances, axes=1))
    matern = (1.0 + scaled + scaled**2 / 3.0) * np.exp(-scaled)
    main = np.exp(-MAIN_DECAY * distances).mean(axis=0)
    return np.asarray(np.exp(parameters[-3]) * matern + np.exp(parameters[-2]) * main)


def _loss(parameters: Matrix, distances: Matrix, y: Matrix, prior: Matrix) -> tuple[float, Matrix]:
    """Negative log posterior and its gradient; ``prior``: means of the parameters."""
    from scipy.linalg import cho_factor, cho_solve

    n, relevance = len(y), np.exp(parameters[:-3])
    amplitude, additive, noise = np.exp(parameters[-3:])
    scaled = np.sqrt(5.0 * np.tensordot(relevance, distances, axes=1))
    decay = np.exp(-scaled)
    matern = (1.0 + scaled + scaled**2 / 3.0) * decay
    main = np.exp(-MAIN_DECAY * distances).mean(axis=0)
    factor = cho_factor(amplitude * matern + additive * main + (noise + JITTER) * np.eye(n), lower=True)
    weights = cho_solve(factor, y)
    offset = parameters - prior
    fit = 0.5 * y @ weights + np.log(np.diag(factor[0])).sum()
    loss = float(fit + 0.5 * np.sum((offset / PRIOR_SD) ** 2))

    slope = 0.5 * (cho_solve(factor, np.eye(n)) - np.outer(weights, weights))  # of the loss along the covariance
    toward = slope * (-5.0 / 6.0 * amplitude) * (1.0 + scaled) * decay  # d matern / d (r^2), r^2 = sum w D
    gradient = np.concatenate([
        relevance * np.tensordot(distances, toward, axes=2),
        [amplitude * np.sum(slope * matern), additive * np.sum(slope * main), noise * np.trace(slope)],
    ])  # fmt: skip
    return loss, gradient + offset / PRIOR_SD**2
