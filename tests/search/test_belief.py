"""Facts about what is believed before a training."""

from __future__ import annotations

import numpy as np
import pytest

from steerage.search.belief import Belief, tempered
from steerage.search.features import Columns

LINE = Columns(("x",), ((0,),), (1 / 6,))
X = np.linspace(0.0, 1.0, 9)[:, None]
ERRORS = 3.0 + (X[:, 0] - 0.4) ** 2


def belief(errors: np.ndarray[tuple[int], np.dtype[np.float64]] = ERRORS, **more: object) -> Belief:
    return Belief.of(LINE, X, errors, np.random.default_rng(0), best=float(errors.min()), **more)  # type: ignore[arg-type]


def test_errors_far_above_the_median_are_drawn_in() -> None:
    assert tempered(np.array([1.0, 2.0, 3.0, 4.0, 90.0])).tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert tempered(np.array([7.0, 7.0])).tolist() == [7.0, 7.0]


def test_more_is_expected_near_the_best_than_far_from_it() -> None:
    near, far = belief().improvement(np.array([[0.44], [0.6]]))
    assert near > 2 * far > 0


def test_bad_is_told_from_worse() -> None:
    rows = np.array([[0.8], [0.9], [1.0]])
    assert belief().improvement(rows).max() < 1e-100
    promises = belief().promise(rows)
    assert promises[0] > promises[1] > promises[2] > -np.inf


def test_improvement_is_in_the_unit_of_the_error() -> None:
    rows = np.array([[0.44], [0.6]])
    assert belief(10.0 * ERRORS).improvement(rows) == pytest.approx(10.0 * belief().improvement(rows))


def test_improvement_counts_as_far_as_the_bounds_are_likely_kept() -> None:
    rows = np.array([[0.44], [0.6]])
    doubtful = belief(chance=lambda rows: np.where(rows[:, 0] < 0.5, 0.25, 1.0))
    assert doubtful.improvement(rows) == pytest.approx(belief().improvement(rows) * [0.25, 1.0])


def test_less_is_hoped_of_what_is_like_a_candidate_in_training() -> None:
    rows = np.array([[0.44], [0.45], [0.9]])
    before, after = belief(), belief().expecting(rows[:1])
    lost = 1.0 - after.improvement(rows) / before.improvement(rows)
    assert min(lost[:2]) > 0.1 and lost[2] < min(lost[:2]) / 2


def test_equal_errors_are_no_trouble() -> None:
    assert np.isfinite(belief(np.full(9, 0.3)).improvement(X)).all()
