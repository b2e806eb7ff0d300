"""What a network from a file may ask for, told before it gets any of it."""

from __future__ import annotations

import pytest
from torch import nn

from steerage.bundle import bounds


def rehearsed(network: nn.Module, *input_shape: int) -> tuple[int, ...]:
    elements = sum(parameter.numel() for parameter in network.parameters())
    return bounds.rehearse(lambda: network, lambda model: None, tensors=9, elements=elements, input_shape=input_shape)


@pytest.mark.parametrize(
    ("network", "input_shape", "work"),
    [
        (nn.Conv2d(3, 4, 3, bias=False), (3, 8, 8), 2 * 4 * 6 * 6 * 27),
        (nn.Conv1d(2, 5, 7, bias=False), (2, 16), 2 * 5 * 10 * 14),
        (nn.Conv2d(4, 4, 3, groups=4, bias=False), (4, 8, 8), 2 * 4 * 6 * 6 * 9),
        (nn.Linear(50, 7, bias=False), (50,), 2 * 7 * 50),
        (nn.Linear(50, 7), (50,), 2 * 7 * 50),
    ],
)
def test_the_work_of_two_rows_is_bounded(
    network: nn.Module, input_shape: tuple[int, ...], work: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = network.to("meta")
    monkeypatch.setattr(bounds, "MAX_WORK", work)
    assert rehearsed(network, *input_shape)[0] == 2
    monkeypatch.setattr(bounds, "MAX_WORK", work - 1)
    with pytest.raises(ValueError, match="multiplications"):
        rehearsed(network, *input_shape)
