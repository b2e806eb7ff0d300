"""Constants by which integers with steps of their own become one with other steps."""

from __future__ import annotations

import numpy as np

from steerage.micro.fixed import factors
from steerage.micro.ir import Quantization, Rescale

BYTE = 255.0  # the largest of an image, or difference of two integers of 8 bits
REACH = 128.0  # the largest absolute value of 8 bits


def scale_and_zero(one: Quantization) -> tuple[float, float]:
    """Of a value that has one of each."""
    return float(one.scale[0]), float(one.zero[0])


def of_sum(x: Quantization, y: Quantization, made: Quantization, sign: float = 1.0) -> Rescale:
    """Of ``x + sign * y``."""
    (x_scale, x_zero), (y_scale, y_zero), (scale, zero) = map(scale_and_zero, (x, y, made))
    offset = zero - x_zero * x_scale / scale - sign * y_zero * y_scale / scale
    found = factors(np.array([[x_scale / scale], [sign * y_scale / scale]]), np.array([offset]), (REACH, REACH))
    first, second = (int(one) for one in found.factors[:, 0])
    return Rescale(first, int(found.bias[0]), found.shift, second, int(x_zero), int(y_zero))


def of_product(x: Quantization, y: Quantization, made: Quantization) -> Rescale:
    """Of ``x * y``."""
    (x_scale, x_zero), (y_scale, y_zero), (scale, zero) = map(scale_and_zero, (x, y, made))
    found = factors(np.array([[x_scale * y_scale / scale]]), np.array([zero]), (BYTE * BYTE,))
    return Rescale(int(found.factors[0, 0]), int(found.bias[0]), found.shift, 0, int(x_zero), int(y_zero))


def of_average(x: Quantization, made: Quantization, count: int) -> Rescale:
    """Of a sum of ``count`` differences from the zero of x."""
    (x_scale, x_zero), (scale, zero) = scale_and_zero(x), scale_and_zero(made)
    found = factors(np.array([[x_scale / scale / count]]), np.array([zero]), (BYTE * count,))
    return Rescale(int(found.factors[0, 0]), int(found.bias[0]), found.shift, 0, int(x_zero))
