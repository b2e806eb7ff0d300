"""Facts about the accuracy predictor."""

from __future__ import annotations

import math

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from scipy.optimize import check_grad
from scipy.stats import kendalltau

from steerage.search.features import Matrix, columns, features
from steerage.search.gp import GaussianProcess, _distances, _kernel, _loss, _prior_mean
from steerage.search.predictor import Predictor, cross_validate, normal_scores
from steerage.space import Space, Values

SPACE = Space(
    {
        "width": IntDistribution(8, 256, log=True),
        "lr": FloatDistribution(1e-4, 1e-1, log=True),
        "activation": CategoricalDistribution(["relu", "gelu", "tanh"]),
        "noise": FloatDistribution(0, 1),
    }
)
LAYOUT = columns(SPACE)


def _quality(values: Values) -> float:
    return (
        math.log(float(values["width"]))
        - math.log(float(values["lr"]) / 3e-3) ** 2 / 4
        + 0.5 * (values["activation"] == "gelu")
    )


def _data(n: int, seed: int) -> tuple[Matrix, Matrix]:
    points = SPACE.sample_sobol(n, seed=seed)
    return features(SPACE, points), np.array([_quality(point) for point in points])


def test_normal_scores_keep_the_order_and_share_ties() -> None:
    scores = normal_scores(np.array([3.0, -1.0, 3.0, 100.0]))
    assert scores[0] == scores[2] and scores[1] < scores[0] < scores[3]
    assert abs(scores[1] + scores[3]) < 1e-12


def test_held_out_candidates_are_ranked_well() -> None:
    x, y = _data(48, seed=0)
    other, truth = _data(64, seed=1)
    mean, spread = Predictor(LAYOUT).fit(x, y, np.random.default_rng(0)).predict(other)
    assert kendalltau(mean, truth).statistic > 0.7
    assert np.all(spread > 0)


@pytest.mark.parametrize("n", [4, 5, 7])
def test_a_handful_of_observations_is_enough(n: int) -> None:
    x, y = _data(n, seed=2)
    mean, spread = Predictor(LAYOUT).fit(x, y, np.random.default_rng(0)).predict(x)
    assert np.all(np.isfinite(mean)) and np.all(np.isfinite(spread)) and np.ptp(mean) > 0


def test_constant_observations_predict_a_constant_score_of_zero() -> None:
    x, _ = _data(6, seed=0)
    mean, _ = Predictor(LAYOUT).fit(x, np.zeros(6), np.random.default_rng(0)).predict(x)
    assert np.allclose(mean, 0.0, atol=1e-6)


def test_only_the_order_of_the_observations_matters() -> None:
    x, y = _data(12, seed=3)
    a = Predictor(LAYOUT).fit(x, y, np.random.default_rng(0)).predict(x)[0]
    b = Predictor(LAYOUT).fit(x, np.exp(y), np.random.default_rng(0)).predict(x)[0]
    assert np.array_equal(a, b)


def test_the_same_seed_fits_the_same_predictor() -> None:
    x, y = _data(12, seed=3)
    first, second = (Predictor(LAYOUT).fit(x, y, np.random.default_rng(7)).predict(x) for _ in range(2))
    assert np.array_equal(first[0], second[0]) and np.array_equal(first[1], second[1])


def test_fewer_than_four_observations_are_refused() -> None:
    x, y = _data(3, seed=0)
    with pytest.raises(ValueError, match="4 observations, got 3"):
        Predictor(LAYOUT).fit(x, y, np.random.default_rng(0))


def test_cross_validation_tells_signal_from_noise() -> None:
    x, y = _data(32, seed=4)
    signal = cross_validate(LAYOUT, x, y, np.random.default_rng(0))
    noise = cross_validate(LAYOUT, x, np.random.default_rng(0).standard_normal(32), np.random.default_rng(0))
    assert signal.tau is not None and noise.tau is not None and signal.rmse is not None
    assert signal.tau > 0.5 > noise.tau and signal.n == 32 and signal.rmse < 1.0


def test_cross_validation_of_too_few_or_constant_rows_is_undefined() -> None:
    x, y = _data(8, seed=4)
    assert cross_validate(LAYOUT, x[:4], y[:4], np.random.default_rng(0)).tau is None
    assert cross_validate(LAYOUT, x, np.zeros(8), np.random.default_rng(0)).tau is None


def test_the_gradient_of_the_gp_is_that_of_its_loss() -> None:
    x, y = _data(12, seed=5)
    genes = [x[:, list(group)] for group in LAYOUT.groups]
    distances, scores, prior = _distances(genes, genes), normal_scores(y), _prior_mean(LAYOUT)
    at = prior + 0.3
    error = check_grad(
        lambda p: _loss(p, distances, scores, prior)[0], lambda p: _loss(p, distances, scores, prior)[1], at
    )
    assert error < 1e-4


def test_the_gp_is_more_certain_near_what_it_has_seen() -> None:
    x, y = _data(24, seed=6)
    gp = GaussianProcess.fit(x[:16], normal_scores(y[:16]), LAYOUT, np.random.default_rng(0))
    assert gp.predict(x[:16])[1].mean() < gp.predict(x[16:])[1].mean()


def test_what_is_believed_keeps_the_means_and_is_what_another_fit_would_say() -> None:
    x, y = _data(24, seed=6)
    before = GaussianProcess.fit(x[:16], normal_scores(y[:16]), LAYOUT, np.random.default_rng(0))
    after = before.believing(x[16:18])
    means, deviations = before.predict(x)[0], after.predict(x)[1]
    assert after.predict(x)[0] == pytest.approx(means)
    assert (deviations < before.predict(x)[1]).all()
    genes = [x[:18, list(group)] for group in LAYOUT.groups]
    covariance = _kernel(before.parameters, _distances(genes, genes)) + (np.exp(before.parameters[-1]) + 1e-6) * np.eye(
        18
    )
    assert after.factor @ after.factor.T == pytest.approx(covariance)


def test_coverage_tells_how_honest_the_predicted_spread_is(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = _data(30, seed=4)
    coverage = cross_validate(LAYOUT, x, y, np.random.default_rng(0)).coverage
    assert coverage is not None and 0.6 <= coverage <= 1.0
    honest = Predictor.predict

    def sure(self: Predictor, rows: Matrix) -> tuple[Matrix, Matrix]:
        mean, sd = honest(self, rows)
        return mean, 1e-6 * sd

    monkeypatch.setattr(Predictor, "predict", sure)
    assert cross_validate(LAYOUT, x, y, np.random.default_rng(0)).coverage == 0.0
    assert cross_validate(LAYOUT, x[:4], y[:4], np.random.default_rng(0)).coverage is None


def test_held_out_places_go_from_the_best_down_with_their_intervals() -> None:
    x, y = _data(60, seed=3)
    quality = cross_validate(LAYOUT, x, y, np.random.default_rng(0))
    found, expected, low, high = np.array(quality.held_out).T
    assert len(found) == 40
    assert found[0] == pytest.approx(0.5 / 60, abs=1e-3) and (np.diff(found) >= 0).all()
    assert ((low <= expected) & (expected <= high)).all()
    assert np.corrcoef(found, expected)[0, 1] > 0.7
    assert cross_validate(LAYOUT, x[:4], y[:4], np.random.default_rng(0)).held_out == ()
