"""Whether convolutions of several candidates side by side pay: one grouped convolution against one after the other.

    python benchmarks/grouped.py

Forward and backward pass of a layer of eight networks, in float32 on one thread, in seconds of the processor. Grouped:
channels of all networks side by side, groups as many as networks, which is also what ``torch.vmap`` makes of it.
Unfolded: patches as rows, one product of matrices for each network. Of several turns the fastest counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from common import row, write
from torch import Tensor
from torch.nn import functional as F

NETWORKS, TURNS, REPEATS = 8, 5, 4


@dataclass(frozen=True)
class Layer:
    name: str
    inputs: int
    outputs: int
    side: int
    batch: int
    depthwise: bool = False


LAYERS = (
    Layer("first, 8 x 8", 1, 16, 8, 256),
    Layer("16 channels, 8 x 8", 16, 16, 8, 256),
    Layer("48 channels, 4 x 4", 48, 48, 4, 256),
    Layer("16 channels, 28 x 28", 16, 16, 28, 64),
    Layer("depthwise, 45 channels, 8 x 8", 45, 45, 8, 256, depthwise=True),
)


def seconds(work: Callable[[], None]) -> float:
    """Of one call, the fastest of some turns."""
    work()
    found = []
    for _ in range(TURNS):
        began = time.process_time()
        for _ in range(REPEATS):
            work()
        found.append((time.process_time() - began) / REPEATS)
    return min(found)


def both_ways(x: Tensor, weight: Tensor, groups: int, gradient: Tensor) -> None:
    F.conv2d(x, weight, padding=1, groups=groups).backward(gradient)


def images(layer: Layer, channels: int) -> Tensor:
    return torch.randn(layer.batch, channels, layer.side, layer.side).to(memory_format=torch.channels_last)


def one_by_one(layer: Layer) -> Callable[[], None]:
    reads = 1 if layer.depthwise else layer.inputs
    weight = torch.randn(layer.outputs, reads, 3, 3, requires_grad=True)
    x, gradient = images(layer, layer.inputs).requires_grad_(), images(layer, layer.outputs)
    groups = layer.inputs if layer.depthwise else 1

    def work() -> None:
        for _ in range(NETWORKS):
            both_ways(x, weight, groups, gradient)

    return work


def grouped(layer: Layer) -> Callable[[], None]:
    reads = 1 if layer.depthwise else layer.inputs
    weight = torch.randn(NETWORKS * layer.outputs, reads, 3, 3, requires_grad=True)
    x = images(layer, NETWORKS * layer.inputs).requires_grad_()
    gradient = images(layer, NETWORKS * layer.outputs)
    groups = NETWORKS * (layer.inputs if layer.depthwise else 1)
    return lambda: both_ways(x, weight, groups, gradient)


def unfolded(layer: Layer) -> Callable[[], None]:
    weight = torch.randn(9 * layer.inputs, layer.outputs, requires_grad=True)
    x = images(layer, layer.inputs).requires_grad_()
    gradient = torch.randn(layer.batch, layer.side**2, layer.outputs)

    def work() -> None:
        for _ in range(NETWORKS):
            (F.unfold(x, 3, padding=1).mT @ weight).backward(gradient)

    return work


def main() -> None:
    torch.set_num_threads(1)
    began, rows = time.monotonic(), []
    for layer in LAYERS:
        alone = seconds(one_by_one(layer))
        ways = {"grouped": grouped} | ({} if layer.depthwise else {"unfolded": unfolded})
        for name, way in ways.items():
            found = row(
                f"{layer.name}: {name}, speed over one by one", [alone / seconds(way(layer))], unit="ratio", bar=None
            )
            print(found["name"], round(found["value"], 3), flush=True)
            rows.append(found)
    print(write("grouped", rows, command="python benchmarks/grouped.py", seconds=time.monotonic() - began))


if __name__ == "__main__":
    main()
