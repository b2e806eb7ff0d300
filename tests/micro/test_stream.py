"""Convolutions that feed each other: where that saves memory, and how much, by hand."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from networks import around, network
from steerage.micro import build
from steerage.micro.ir import Conv, Program, steps
from steerage.micro.layout import lay_out
from steerage.micro.plan import plan
from steerage.micro.stream import streamed
from steerage.nn.residual import Residual


def program(*layers: nn.Module, shape: tuple[int, int, int], outputs: int = 4) -> Program:
    net = around(nn.Sequential(*layers), shape, outputs=outputs)
    return build(net.model, net.preprocess)


def same(inputs: int, outputs: int, kernel: int = 3, **options: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, **options)


def feeding(found: Program) -> list[str]:
    return [op.label for op in found.ops if isinstance(op, Conv) and op.feeds]


def test_a_large_map_between_two_convolutions_is_never_there() -> None:
    layers = (same(1, 8), nn.ReLU(), same(8, 8), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 196, 4))
    whole = program(*layers, shape=(1, 28, 28))
    rows = streamed(whole)
    assert feeding(rows) == ["0"]
    # Three rows of the image and of eight channels, each with a zero on both sides; a row before pooling; the output.
    assert plan(rows).bytes == 4 * (3 * 30 + 3 * 8 * 30 + 28 + 8 * 196)
    # Else the map, of which the second convolution's window takes three rows.
    assert plan(whole).bytes == 4 * (8 * 784 + 3 * 8 * 30 + 28)


def test_a_residual_block_takes_the_place_of_its_input() -> None:
    block = Residual(nn.Sequential(same(4, 4), nn.ReLU(), same(4, 4)))
    whole = program(same(1, 4), block, nn.ReLU(), nn.Flatten(), nn.Linear(4 * 400, 4), shape=(1, 20, 20))
    rows = streamed(whole)
    assert feeding(rows) == ["1.body.0"]
    # The map, the windows of both convolutions, and a row before it is added to.
    assert plan(rows).bytes == 4 * (1600 + 2 * 3 * 4 * 22 + 20)
    assert plan(whole).bytes >= 4 * (2 * 1600)


def test_an_inverted_residual_never_expands_the_whole_map() -> None:
    parts = (nn.Conv2d(4, 24, 1), nn.ReLU6(), same(24, 24, groups=24), nn.ReLU6(), nn.Conv2d(24, 4, 1))
    whole = program(same(1, 4), Residual(nn.Sequential(*parts)), nn.Flatten(), nn.Linear(1024, 4), shape=(1, 16, 16))
    rows = streamed(whole)
    assert feeding(rows) == ["1.body.0", "1.body.2"]
    # The map; three rows of 24 channels for the depthwise convolution, one for the last; a row before the sum.
    assert plan(rows).bytes == 4 * (1024 + 3 * 24 * 18 + 24 * 16 + 16)
    assert plan(whole).bytes >= 4 * (24 * 256 + 1024)


def test_small_maps_are_stored() -> None:
    whole = program(same(1, 4), nn.ReLU(), same(4, 4), nn.Flatten(), nn.Linear(64, 4), shape=(1, 4, 4))
    assert feeding(streamed(whole)) == []


def test_what_is_read_twice_is_stored() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = same(1, 4), same(4, 4), same(4, 4)
            self.head = nn.Linear(4 * 256, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.a(x)
            return self.head((self.b(x) * self.c(x)).flatten(1))

    assert feeding(streamed(program(Twice(), shape=(1, 16, 16)))) == []


def test_rows_that_a_stride_leaves_out_are_no_chain() -> None:
    layers = (same(1, 6), nn.Conv2d(6, 2, 1, stride=3), nn.Flatten(), nn.Linear(200, 4))
    assert feeding(streamed(program(*layers, shape=(1, 28, 28)))) == []


@pytest.mark.parametrize("template", ["cnn", "resnet", "mobile"])
def test_what_feeds_comes_right_before_what_it_feeds(template: str) -> None:
    net = network(template)
    for step in steps(lay_out(build(net.model, net.preprocess)).program.ops):
        for one, two in pairwise(step):
            assert isinstance(one, Conv) and isinstance(two, Conv)
            assert one.feeds and two.fed and two.x is one.output


def test_it_never_needs_more_memory() -> None:
    for template in ("cnn", "resnet", "mobile"):
        net = network(template)
        whole = build(net.model, net.preprocess)
        assert plan(streamed(whole)).bytes <= plan(whole).bytes
