from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from steerage.nn import (
    PaddedResidual,
    Residual,
    SqueezeExcitation,
    basic_body,
    bottleneck_body,
    inverted_body,
)


def test_a_residual_adds_its_input_or_its_shortcut() -> None:
    x = torch.randn(2, 3)
    assert torch.equal(Residual(nn.Identity())(x), 2 * x)
    assert torch.equal(Residual(nn.Identity(), nn.ReLU())(x), x + x.relu())


def test_a_padded_residual_adds_every_second_pixel_to_the_first_channels() -> None:
    body = nn.Conv2d(2, 5, 3, 2, 1)
    x = torch.randn(3, 2, 7, 6)
    y = PaddedResidual(body, 2)(x)
    assert torch.equal(y[:, :2], body(x)[:, :2] + x[:, :, ::2, ::2])
    assert torch.equal(y[:, 2:], body(x)[:, 2:])


def test_squeeze_and_excitation_weighs_channels() -> None:
    squeeze = SqueezeExcitation(4, 2)
    x = torch.randn(3, 4, 5, 6)
    weights = squeeze(x) / x  # (3, 4, 5, 6)
    hidden = torch.relu(x.mean((2, 3)) @ squeeze.gate.reduce.weight[:, :, 0, 0].T + squeeze.gate.reduce.bias)
    expected = torch.sigmoid(hidden @ squeeze.gate.expand.weight[:, :, 0, 0].T + squeeze.gate.expand.bias)
    torch.testing.assert_close(weights, expected[:, :, None, None].expand_as(x))


BODIES: dict[str, Callable[..., nn.Sequential]] = {
    "basic": lambda **options: basic_body(8, 12, **options),
    "bottleneck": lambda **options: bottleneck_body(8, 4, 12, **options),
    "inverted": lambda **options: inverted_body(8, 24, 12, **options),
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("squeeze", [0, 3])
@pytest.mark.parametrize(("kernel", "stride", "pixels"), [(3, 1, (7, 6)), (5, 2, (4, 3))])
def test_bodies_change_channels_and_pixels(
    name: str, squeeze: int, kernel: int, stride: int, pixels: tuple[int, int]
) -> None:
    body = BODIES[name](kernel=kernel, stride=stride, squeeze=squeeze)
    assert body(torch.randn(2, 8, 7, 6)).shape == (2, 12, *pixels)
    assert sum(isinstance(module, SqueezeExcitation) for module in body) == bool(squeeze)


@pytest.mark.parametrize(("name", "zero"), [("basic", True), ("bottleneck", True), ("inverted", False)])
def test_bodies_of_classical_blocks_return_zeros_at_first(name: str, zero: bool) -> None:
    assert bool((BODIES[name]()(torch.randn(2, 8, 7, 6)) == 0.0).all()) == zero


@pytest.mark.parametrize("body", [basic_body, bottleneck_body])
@pytest.mark.parametrize("squeeze", [0, 3])
def test_channels_that_no_shortcut_carries_are_not_zero(body: Callable[..., nn.Sequential], squeeze: int) -> None:
    sizes = (8, 12) if body is basic_body else (8, 4, 12)
    y = body(*sizes, squeeze=squeeze, carried=8)(torch.randn(2, 8, 7, 6))
    assert (y[:, :8] == 0.0).all()
    assert (y[:, 8:] != 0.0).any(dim=(0, 2, 3)).all()


def test_the_stride_is_that_of_the_convolution_in_the_middle() -> None:
    strides = [m.stride[0] for m in bottleneck_body(8, 4, 12, stride=2).modules() if isinstance(m, nn.Conv2d)]
    assert strides == [1, 2, 1]


def test_an_inverted_body_without_expansion_has_two_layers() -> None:
    assert [name for name, _ in inverted_body(8, 8, 12).named_children()] == ["depthwise", "project"]
