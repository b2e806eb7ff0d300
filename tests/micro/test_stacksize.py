from __future__ import annotations

import pytest

from networks import network, pruned
from steerage.export.c.generate import layout_of
from steerage.micro.codesize import CORES, Core
from steerage.micro.layout import Layout


def layout(template: str = "mlp", **genes: object) -> Layout:
    return layout_of(pruned(network(template, **genes), 0.3))


@pytest.mark.parametrize("core", CORES)
def test_each_convolution_that_feeds_another_is_on_the_stack_too(core: Core) -> None:
    alone, fed = layout("cnn", blocks=1, stages=1, channels=8), layout("cnn", blocks=2, stages=1, channels=8)
    assert fed.stack_bytes(core) > alone.stack_bytes(core) + 100


def test_a_curve_takes_more_than_a_comparison_does() -> None:
    assert layout(activation="gelu").stack_bytes() > layout(activation="relu").stack_bytes()


def test_a_core_without_floats_takes_more() -> None:
    taken = [layout(activation="relu").stack_bytes(core) for core in CORES]
    assert taken == sorted(taken)
    assert taken[0] < taken[-1]
