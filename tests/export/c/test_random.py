"""Networks that nobody would think of: random layers in random shapes, with random connections and storage."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from compilers import agrees, needs_board, needs_host, store_as
from torch import Tensor, nn

from networks import around, pruned
from steerage.bundle import Network
from steerage.export.c.toolchain import TARGETS
from steerage.micro.storage import Format
from steerage.nn.residual import PaddedResidual, Residual
from steerage.nn.squeeze import SqueezeExcitation

pytestmark = needs_host
ACTS: tuple[Callable[[], nn.Module], ...] = (nn.ReLU, nn.GELU, nn.SiLU, nn.Hardswish, nn.ReLU6, lambda: nn.ELU(0.5))
FORMATS: tuple[Format | None, ...] = (None, "dense", "index8", "index16", "delta", "bitmap")


class Beside(nn.Module):
    """Channels of two convolutions side by side."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(channels, 2, 3, padding=1), nn.Conv2d(channels, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.a(x), self.b(x)), 1)


def layers(rng: random.Random, channels: int) -> list[nn.Module]:
    """Some layers that may follow a map of so many channels."""

    def pair(most: int, least: int = 1) -> tuple[int, int]:
        return (rng.randint(least, most), rng.randint(least, most))

    outputs, side = rng.choice([1, 2, 4, 6]), rng.randint(1, 3)
    groups = 2 if channels % 2 == 0 == outputs % 2 and rng.random() < 0.3 else 1
    conv = nn.Conv2d(channels, outputs, pair(5), pair(3), pair(2, 0), groups=groups, bias=rng.random() < 0.6)
    pool = rng.choice([nn.MaxPool2d, nn.AvgPool2d])
    same = nn.Conv2d(channels, channels, 3, padding=1)
    return rng.choice(
        [
            [conv],
            [conv, nn.BatchNorm2d(outputs), rng.choice(ACTS)()],
            [conv, rng.choice(ACTS)(), pool(rng.choice([(2, 2), (1, 2), (3, 3)]))],
            [
                nn.Conv2d(channels, 2 * channels, 3, rng.choice([1, 2]), 1, groups=channels, bias=False),
                rng.choice(ACTS)(),
            ],
            [pool(side, rng.randint(1, 3), rng.randint(0, side // 2))],
            [Residual(nn.Sequential(same, rng.choice(ACTS)())), rng.choice(ACTS)()],
            [Residual(nn.Conv2d(channels, outputs, 3, padding=1), nn.Conv2d(channels, outputs, 1)), nn.ReLU()],
            [PaddedResidual(nn.Conv2d(channels, channels + side, 3, 2, 1), 2)],
            [SqueezeExcitation(channels, 2)],
            [Beside(channels)],
            [nn.BatchNorm2d(channels), rng.choice(ACTS)()],
        ]
    )


def random_network(seed: int) -> Network:
    """A network of 2 to 6 such pieces and a head, on an image of any size."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    shape = (rng.choice([1, 2, 3]), rng.randint(1, 16), rng.randint(1, 16))
    body, x = nn.Sequential(), torch.zeros(2, *shape)
    for _ in range(rng.randint(2, 6)):
        for layer in layers(rng, x.shape[1]):
            try:
                y = layer.eval()(x)
            except RuntimeError:  # the map is too small for it
                break
            if 0 in y.shape:
                break
            body.append(layer)
            x = y
    features = x[0].numel()
    head = [nn.Flatten(), *([nn.BatchNorm1d(features)] if rng.random() < 0.3 else []), nn.Linear(features, 4)]
    dtype = rng.choice(["uint8", "float32"])
    return pruned(around(body.extend(head), shape, dtype=dtype), rng.choice([0.1, 0.4, 1.0]))  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(24))
def test_any_network_computes_the_same(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    format = FORMATS[seed % len(FORMATS)]
    if format is not None:
        store_as(monkeypatch, format)
    agrees(random_network(seed), n=5, prefer="flash" if format is not None or seed % 4 else "speed")


@pytest.mark.parametrize("seed", range(200, 212))
def test_any_network_computes_the_same_in_the_registers_that_this_machine_has(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_as(monkeypatch, "index8" if seed % 2 else "index16")
    agrees(random_network(seed), n=5, prefer="speed", target=replace(TARGETS["host"], flags=("-O3", "-march=native")))


@needs_board
@pytest.mark.parametrize("seed", range(100, 104))
def test_any_network_computes_the_same_on_a_microcontroller(seed: int) -> None:
    agrees(random_network(seed), n=3, target="cortex-m4")
