from __future__ import annotations

import pytest
from torch import nn

from steerage.training import precision
from steerage.training.precision import uses_bfloat16
from tasks import convolutional, perceptron


@pytest.mark.parametrize("native", [False, True])
def test_auto_means_bfloat16_for_convolutions_where_the_cpu_has_it(
    native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "native_bfloat16", lambda: native)
    assert uses_bfloat16(convolutional(), "auto") is native
    assert not uses_bfloat16(perceptron(), "auto")
    depthwise = nn.Sequential(convolutional(), nn.Unflatten(1, (2, 1, 1)), nn.Conv2d(2, 2, 1, groups=2))
    assert not uses_bfloat16(depthwise, "auto")


def test_what_is_asked_for_is_done() -> None:
    assert uses_bfloat16(perceptron(), "bfloat16")
    assert not uses_bfloat16(convolutional(), "float32")


def test_the_cpu_always_gives_the_same_answer() -> None:
    assert precision.native_bfloat16() is precision.native_bfloat16()
