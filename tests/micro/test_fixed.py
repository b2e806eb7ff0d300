"""Fixed-point arithmetic: what fits into 32 bits, and how near it comes."""

from __future__ import annotations

import numpy as np
import pytest

from steerage.micro.fixed import MOST, Part, factors, rows


def outputs(found_sum: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """As the generated code has it, and nothing beyond 32 bits on the way."""
    product = found_sum.astype(np.int64) * (8 + codes.astype(np.int64) // 32)
    assert (np.abs(product) <= MOST).all()
    return product >> (codes.astype(np.int64) % 32)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 0.3, 20.0])
def test_sums_of_products_come_within_a_step_of_the_real_ones(scale: float) -> None:
    rng = np.random.default_rng(0)
    weights, bias, zero = rng.normal(size=(9, 40)) * scale / 100, rng.normal(size=9) * 20, -128.0
    found = rows([Part(weights, np.full(40, zero), 128.0)], bias)
    x = rng.integers(-128, 128, size=(200, 40)).astype(float)
    made = outputs(x @ found.values[0].T + found.bias, np.broadcast_to(found.codes, (200, 9)))
    real = (x - zero) @ weights.T + bias
    # Rounded weights: half a step of each, which is an eighth more than a 127th of a row's largest at most.
    step = np.abs(weights).max(axis=1) / 127 * 9 / 8
    assert (np.abs(made - real) <= 0.5 + step * np.abs(x - zero).sum(axis=1, keepdims=True) / 2 + step + 0.01).all()
    assert np.abs(found.values[0]).max() <= 127


def test_steps_of_weights_are_an_eighth_larger_than_they_must_be_at_most() -> None:
    weights = np.abs(np.random.default_rng(1).normal(size=(500, 1))) + 0.01
    found = rows([Part(weights, np.zeros(1), 128.0)], np.zeros(500))
    least = weights[:, 0] / 127
    assert ((found.steps >= least * 0.999999) & (found.steps <= least * 1.125001)).all()


def test_parts_of_a_sum_share_their_steps() -> None:
    rng = np.random.default_rng(2)
    one, two = rng.normal(size=(5, 8)), rng.normal(size=(5, 3)) * 0.1
    found = rows([Part(one, np.zeros(8), 255.0), Part(two, np.zeros(3), 128.0)], np.zeros(5))
    assert np.allclose(found.values[0] * found.steps[:, None], one, atol=found.steps.max())
    assert np.allclose(found.values[1] * found.steps[:, None], two, atol=found.steps.max())


def test_a_row_without_weights_has_its_bias() -> None:
    bias = np.array([0.0, 17.3, -128.0, 1e5])
    found = rows([Part(np.zeros((4, 3)), np.zeros(3), 128.0)], bias)
    made = outputs(found.bias, found.codes)
    assert np.abs(made - bias).max() <= 0.5 + 1e-3


def test_what_no_number_of_32_bits_holds_is_cut_off() -> None:
    found = rows([Part(np.array([[1e9, 1.0]]), np.zeros(2), 128.0)], np.array([1e12]))
    assert np.abs(found.values[0]).max() <= 127
    assert outputs(found.bias + 127 * 128, found.codes)[0] > 127  # the end of any output's range


@pytest.mark.parametrize("real", [1e-5, 0.01, 0.7, 3.0, 900.0, 1e9])
def test_factors_are_as_fine_as_fits(real: float) -> None:
    found = factors(np.array([[real], [-real / 3]]), np.array([5.0]), (128.0, 128.0))
    whole, bias = found.factors[:, 0], found.bias[0]
    assert np.abs(whole).max() < 2**15
    assert np.abs(whole).sum() * 128 + abs(bias) <= MOST
    if real < 1000:
        x = np.arange(-128, 128)
        made = (whole[0] * x + whole[1] * x[::-1] + bias).astype(np.int64) >> found.shift
        assert np.abs(made - (real * x - real / 3 * x[::-1] + 5.0)).max() <= 0.5 + 1e-4 * real * 128 + 0.01
