"""A signal is a map with one row: programs of one-dimensional networks are those of the same in two."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from steerage.cost.memory import memory
from steerage.data.images import ImagePreprocess
from steerage.data.signals import SignalPreprocess
from steerage.errors import UnsupportedLayer
from steerage.micro import build
from steerage.micro.ir import Conv

SIGNAL = SignalPreprocess(3, 20, (1.0, 2.0, 3.0), (2.0, 3.0, 4.0))
IMAGE = ImagePreprocess(3, 1, 20, SIGNAL.mean, SIGNAL.std, "float32")


def pair() -> tuple[nn.Module, nn.Module]:
    """A network for signals, and the same for images of one row, with the same weights."""
    one = nn.Sequential(
        *(nn.Conv1d(3, 8, 5, stride=2, padding=2, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(2)),
        *(nn.Conv1d(8, 8, 3, padding=1, groups=8), nn.Conv1d(8, 6, 1), nn.AvgPool1d(2, padding=1)),
        *(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(6, 4)),
    ).eval()
    kinds: dict[type[nn.Module], Any] = {
        nn.MaxPool1d: lambda layer: nn.MaxPool2d((1, 2)),
        nn.AvgPool1d: lambda layer: nn.AvgPool2d((1, 2), padding=(0, 1)),
        nn.AdaptiveAvgPool1d: lambda layer: nn.AdaptiveAvgPool2d(1),
        nn.BatchNorm1d: lambda layer: nn.BatchNorm2d(8),
        nn.Conv1d: lambda layer: nn.Conv2d(
            layer.in_channels,
            layer.out_channels,
            (1, *layer.kernel_size),
            (1, *layer.stride),
            (0, *layer.padding),
            groups=layer.groups,
            bias=layer.bias is not None,
        ),
    }
    two = nn.Sequential(*(kinds.get(type(layer), copy.deepcopy)(layer) for layer in one)).eval()
    state = {name: value.unsqueeze(2) if value.ndim == 3 else value for name, value in one.state_dict().items()}
    two.load_state_dict(state)
    return one, two


def test_a_signal_becomes_the_program_of_an_image_of_one_row() -> None:
    one, two = pair()
    mine, other = build(one, SIGNAL), build(two, IMAGE)
    assert [type(op) for op in mine.ops] == [type(op) for op in other.ops]
    for op, like in zip(mine.ops, other.ops, strict=True):
        assert op.output.shape == like.output.shape
        if isinstance(op, Conv) and isinstance(like, Conv):
            assert (op.window, op.groups, op.pool, op.act) == (like.window, like.groups, like.pool, like.act)
            assert torch.equal(op.weights.values, like.weights.values)
            assert op.mean is like.mean is None or torch.equal(op.mean, like.mean)  # type: ignore[arg-type]
    assert memory(one, SIGNAL) == memory(two, IMAGE)


def test_masks_of_a_signal_are_followed() -> None:
    one, _ = pair()
    mask = torch.rand(8, 3, 5) < 0.5
    with torch.no_grad():
        one.get_parameter("0.weight").mul_(mask)
    op = build(one, SIGNAL, masks={"0.weight": mask}).ops[0]
    assert isinstance(op, Conv)
    assert torch.equal(op.weights.active.squeeze(2), mask)


class _Mean(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv, self.dim = nn.Conv1d(3, 4, 3), dim

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).mean(self.dim)


@pytest.mark.parametrize("dim", [2, -1])
def test_a_mean_over_time_is_a_pooling(dim: int) -> None:
    assert build(_Mean(dim), SIGNAL).output.size == 4


def test_a_mean_over_channels_is_refused() -> None:
    with pytest.raises(UnsupportedLayer, match="dimensions 1"):
        build(_Mean(1), SIGNAL)


def test_a_dilated_convolution_is_refused() -> None:
    with pytest.raises(UnsupportedLayer, match="dilation"):
        build(nn.Sequential(nn.Conv1d(3, 4, 3, dilation=2), nn.Flatten()), SIGNAL)
