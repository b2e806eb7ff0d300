"""Facts about rungs: when their ranking is trusted, who goes on, and what one that rests is expected to end with."""

from __future__ import annotations

import math

import numpy as np
import pytest

from steerage.search.fidelity import LEAST, TRUST, expected_ends, goes_on, standard_error, trust, trusted_rung

ENDS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
SAME = [1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8]
TWO_SWAPPED = [1.2, 1.1, 1.3, 1.4, 1.5, 1.6, 1.8, 1.7]  # 26 of 28 pairs agree, 2 do not: 24 / 28
MIXED = [1.5, 1.1, 1.6, 1.2, 1.7, 1.3, 1.8, 1.4]


def test_trust_is_tau_less_a_standard_error() -> None:
    error = math.sqrt(2 * 21 / (9 * 8 * 7))
    assert standard_error(8) == pytest.approx(error) == pytest.approx(0.2887, abs=1e-4)
    assert trust(SAME, ENDS) == pytest.approx(1.0 - error)
    assert trust(TWO_SWAPPED, ENDS) == pytest.approx(24 / 28 - error)
    assert trust(SAME[::-1], ENDS) == pytest.approx(-1.0 - error)


def test_few_or_equal_errors_are_no_ground_for_trust() -> None:
    assert trust(SAME[:7], ENDS[:7]) == -math.inf
    assert trust([1.0] * 8, ENDS) == trust(SAME, [1.0] * 8) == -math.inf


def curves(*rungs: list[float]) -> list[dict[float, float]]:
    return [dict(zip((0.3, 0.6), row, strict=False)) for row in zip(*rungs, strict=True)]


def test_the_earliest_rung_that_can_be_trusted_is_used() -> None:
    assert trusted_rung(curves(SAME, SAME), ENDS) == 0.3
    assert trusted_rung(curves(MIXED, SAME), ENDS) == 0.6
    assert trusted_rung(curves(MIXED, MIXED), ENDS) is None
    assert trusted_rung(curves(SAME[:7], SAME[:7]), ENDS[:7]) is None
    assert trusted_rung([], []) is None


def test_rungs_that_tell_nothing_are_trusted_in_one_case_of_a_hundred() -> None:
    rng = np.random.default_rng(0)
    lucky = [trust(rng.random(LEAST).tolist(), rng.random(LEAST).tolist()) > TRUST for _ in range(2000)]
    assert np.mean(lucky) < 0.015


def test_the_best_third_goes_on() -> None:
    seen = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]  # nine with the one that asks: three go on
    assert goes_on(0.05, seen) and goes_on(0.25, seen)
    assert not goes_on(0.35, seen)
    assert goes_on(0.3, seen), "equal ones go on together"
    assert goes_on(0.9, []) and goes_on(0.1, [0.2]) and not goes_on(0.3, [0.2])


def test_the_expected_end_follows_the_ranks() -> None:
    assert expected_ends(SAME, SAME, ENDS) == pytest.approx(ENDS)
    assert expected_ends([1.15, 0.0, 9.0], SAME, ENDS) == pytest.approx([0.15, 0.1, 0.8])


def test_the_less_a_rung_tells_the_nearer_to_the_middle_is_what_it_lets_expect() -> None:
    found = expected_ends(SAME, TWO_SWAPPED, ENDS)
    assert list(found) == sorted(found)
    assert 0.1 < found[0] < 0.2 and 0.7 < found[-1] < 0.8
    assert expected_ends(SAME, SAME[::-1], ENDS) == pytest.approx([0.45] * 8)
    assert expected_ends(SAME, [1.0] * 8, ENDS) == pytest.approx([0.45] * 8)
    assert list(expected_ends([0.7], [0.5], [0.1])) == [0.7]
