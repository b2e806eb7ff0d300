"""Regression from a candidate's features to the rank of its quality: boosted trees, a linear base, and a small GP."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from steerage.search.features import Columns, Matrix
from steerage.search.gp import GaussianProcess

MIN_OBSERVATIONS = 4
INTERVAL = 1.2816  # standard deviations to either side that hold 80 % of a normal distribution
WEIGHTS = np.array([0.25, 0.25, 0.5])  # of the trees, the linear base and the Gaussian process
ROUNDS = 150
MOST_HELD_OUT = 40  # rows of which a prediction is kept to be shown
BAGS = 2  # bootstrap resamples of each tree model
PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)

Model = Callable[[Matrix], Matrix]


@final
@dataclass(frozen=True)
class Quality:
    """How well held-out folds were predicted: rank correlations in [-1, 1], root mean squared error of normal scores.

    A correlation of constants, or of fewer than ``MIN_OBSERVATIONS`` rows, is None. ``coverage``: share of the held-out
    scores inside their predicted 80 % intervals; less than 0.8 means that the predictor is too sure. ``held_out``: of
    the rows, best first, the share of rows that are better, in [0, 1]: as it is, as it was predicted, and the lower and
    the upper end of the 80 % interval; at most ``MOST_HELD_OUT`` rows, evenly spread.
    """

    tau: float | None
    spearman: float | None
    rmse: float | None
    n: int
    coverage: float | None = None
    held_out: tuple[tuple[float, float, float, float], ...] = ()


def normal_scores(y: Matrix) -> Matrix:
    """Expected normal quantiles of the ranks of ``y``: (n,), ties share their mean rank; (r - 1/2) / n -> Phi^-1."""
    from scipy.special import ndtri
    from scipy.stats import rankdata

    return np.asarray(ndtri((rankdata(y) - 0.5) / len(y)), dtype=float)


@final
class Predictor:
    """Weighted mean of three regressors on normal scores; higher is better, as in the ``y`` given to ``fit``.

    ``bags`` is the number of bootstrap resamples that each tree model is fitted to.
    """

    def __init__(self, columns: Columns, *, bags: int = BAGS) -> None:
        self._columns, self._bags = columns, bags
        self._trees: list[Model] = []
        self._linear: list[Model] = []
        self._gp: GaussianProcess | None = None

    def fit(self, x: Matrix, y: Matrix, rng: np.random.Generator) -> Predictor:
        """Fit to ``x``: (n, columns), ``y``: (n,), n >= 4; only the order of ``y`` matters. Returns itself."""
        if len(x) < MIN_OBSERVATIONS:
            raise ValueError(f"a predictor needs {MIN_OBSERVATIONS} observations, got {len(x)}")
        scores = normal_scores(y)
        bags = [_resample(len(x), rng) for _ in range(self._bags)]
        self._trees = [_boost(x[bag], scores[bag], leaves=7, depth=-1) for bag in bags]
        self._linear = [_linear_base(x[bag], scores[bag]) for bag in bags]
        self._gp = GaussianProcess.fit(x, scores, self._columns, rng)
        return self

    def predict(self, x: Matrix) -> tuple[Matrix, Matrix]:
        """Mean and standard deviation (m,) of the normal score at ``x``: (m, columns).

        The variance is that of a mixture of the three with the same weights as the mean: their own variances (of bags,
        or of the posterior), plus the variance between them.
        """
        if self._gp is None:
            raise ValueError("fit the predictor before predicting")
        trees = np.stack([model(x) for model in self._trees])
        linear = np.stack([model(x) for model in self._linear])
        gp_mean, gp_sd = self._gp.predict(x)
        means = np.stack([trees.mean(axis=0), linear.mean(axis=0), gp_mean])
        variances = np.stack([trees.var(axis=0), linear.var(axis=0), gp_sd**2])
        mean = np.asarray(WEIGHTS @ means)
        return mean, np.sqrt(WEIGHTS @ (variances + (means - mean) ** 2))


def _resample(n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Row numbers of a bootstrap sample, at least two of them different."""
    rows = np.sort(rng.integers(n, size=n))
    return rows if rows[0] != rows[-1] else np.arange(n)


def _boost(x: Matrix, y: Matrix, *, leaves: int, depth: int) -> Model:
    """Gradient-boosted trees; LightGBM's defaults (20 rows per leaf, 3 per bin) would predict a constant here."""
    import lightgbm

    parameters = {
        "objective": "regression", "num_leaves": leaves, "max_depth": depth, "learning_rate": 0.1,
        "min_data_in_leaf": 2, "min_data_in_bin": 1, "max_bin": 63, "feature_pre_filter": False,
        "num_threads": 1, "deterministic": True, "force_col_wise": True, "seed": 0, "verbosity": -1,
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        booster = lightgbm.train(parameters, lightgbm.Dataset(x, y), ROUNDS, keep_training_booster=True)
    return lambda rows: np.asarray(booster.predict(rows, num_threads=1), dtype=float)


def _linear_base(x: Matrix, y: Matrix) -> Model:
    """Ridge regression with its penalty from generalized cross-validation, and depth-2 trees on what it leaves."""
    ridge = _ridge(x, y)
    trees = _boost(x, y - ridge(x), leaves=4, depth=2)
    return lambda rows: ridge(rows) + trees(rows)


def _ridge(x: Matrix, y: Matrix) -> Model:
    """Ridge regression on standardized columns; the penalty minimizes n |r|^2 / (n - df)^2 (Golub et al. 1979)."""
    center, scale = x.mean(axis=0), x.std(axis=0)
    scale = np.where(scale > 1e-9, scale, np.inf)
    level = float(y.mean())
    u, singular, vt = np.linalg.svd((x - center) / scale, full_matrices=False)
    projected = u.T @ (y - level)

    def gcv(penalty: float) -> float:
        shrink = singular**2 / (singular**2 + penalty)
        residual = y - level - u @ (shrink * projected)
        return float(residual @ residual / (len(y) - 1.0 - min(shrink.sum(), len(y) - 1.5)) ** 2)

    best = min(PENALTIES, key=gcv)
    slope = vt.T @ (singular / (singular**2 + best) * projected)
    return lambda rows: level + ((rows - center) / scale) @ slope


def cross_validate(columns: Columns, x: Matrix, y: Matrix, rng: np.random.Generator, *, folds: int = 5) -> Quality:
    """Predict each of ``folds`` shuffled folds from the others; ``x``: (n, columns), ``y``: (n,), higher is better.

    With one bag per tree model, which is twice as fast and a little pessimistic.
    """
    from scipy.stats import kendalltau, spearmanr

    n = len(x)
    folds = min(folds, n)
    if n - math.ceil(n / folds if folds else 0) < MIN_OBSERVATIONS:
        return Quality(None, None, None, n)
    fold = rng.permutation(n) % folds
    predicted, sd = np.empty(n), np.empty(n)
    for k in range(folds):
        held = fold == k
        predicted[held], sd[held] = Predictor(columns, bags=1).fit(x[~held], y[~held], rng).predict(x[held])
    truth = normal_scores(y)
    missed = np.abs(predicted - truth)
    rmse, coverage = float(np.sqrt(np.mean(missed**2))), float(np.mean(missed <= INTERVAL * sd))
    shown = _held_out(truth, predicted, sd)
    if np.ptp(y) == 0 or np.ptp(predicted) == 0:
        return Quality(None, None, rmse, n, coverage, shown)
    tau, spearman = kendalltau(predicted, y).statistic, spearmanr(predicted, y).statistic
    return Quality(float(tau), float(spearman), rmse, n, coverage, shown)


def _held_out(truth: Matrix, predicted: Matrix, sd: Matrix) -> tuple[tuple[float, float, float, float], ...]:
    """``Quality.held_out`` from normal scores."""
    from scipy.special import ndtr

    order = np.argsort(-truth, kind="stable")
    some = order[np.linspace(0, len(order) - 1, min(MOST_HELD_OUT, len(order))).round().astype(int)]
    scores = (truth[some], *(predicted[some] + step * INTERVAL * sd[some] for step in (0.0, 1.0, -1.0)))
    return tuple(zip(*(ndtr(-one).round(4).tolist() for one in scores), strict=True))
