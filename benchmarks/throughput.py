"""Images per second in training: steerage's loop, with augmentation, beside a plain hand-written one, turn by turn.

    python benchmarks/throughput.py [NETWORK ...]

Same layers, same batches, bfloat16 autocast, as many threads as there are cores. The plain loop is what one writes in
ten minutes: float tensors in memory that are normalized already, ``torch.optim.SGD``, no augmentation; a second one
crops and mirrors every image at random.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from common import row, write
from torch import Tensor
from torch.nn import functional as F

from steerage.cost.budget import Budget
from steerage.data.build import dataset_from_arrays
from steerage.data.dataset import Dataset
from steerage.synthesis.candidate import Bench, build
from steerage.synthesis.clock import RunClock
from steerage.templates.like import published_like
from steerage.training.fit import Steps, Training, train

TURNS, BATCH = 5, 128
STEPS = {"resnet20": 12, "resnet18": 3}


def ours(bench: Bench, steps: int) -> float:
    """Seconds of ``steps`` steps of the product's training."""
    values = bench.template.baseline(bench.dataset.spec)
    recipe = replace(bench.recipe(values), precision="bfloat16", batch_size=BATCH)
    training = Training(build(bench, values, 0), recipe, seed=0)
    began = time.monotonic()
    for _ in train(training, bench.dataset, bench.train_rows, effort=Steps(steps)):
        pass
    return time.monotonic() - began


def plain(bench: Bench, steps: int, change: Callable[[Tensor], Tensor]) -> float:
    """Seconds of ``steps`` steps of a loop of one's own."""
    model = build(bench, bench.template.baseline(bench.dataset.spec), 0).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    images, labels = bench.dataset.prepare(bench.dataset.x), bench.dataset.y
    optimizer.zero_grad()  # imports the compiler, which is no matter of throughput
    began = time.monotonic()
    order = torch.randperm(len(images))
    for step in range(steps):
        picked = order[step * BATCH : (step + 1) * BATCH]
        x = change(images[picked]).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = F.cross_entropy(model(x), labels[picked])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.monotonic() - began


def crop_and_mirror(x: Tensor) -> Tensor:
    """Each image by itself, as tutorials do it."""
    padded = F.pad(x, (4, 4, 4, 4), mode="reflect")
    found = []
    for image in padded:
        down, across = np.random.randint(0, 9, 2)
        part = image[:, down : down + 32, across : across + 32]
        found.append(part.flip(2) if np.random.rand() < 0.5 else part)
    return torch.stack(found)


def noise() -> Dataset:
    """As many classes and pixels as CIFAR-10 has; what they show does not matter here."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4000, 32, 32, 3), dtype=np.uint8)
    return dataset_from_arrays(images, rng.integers(0, 10, 4000), name="noise")


def main(words: list[str]) -> None:
    began = time.monotonic()
    torch.set_num_threads(os.cpu_count() or 1)
    dataset, rows = noise(), []
    assert dataset.augment.active, "there is something that could cost time"
    for name in words or STEPS:
        bench = Bench(
            dataset,
            published_like(name, dataset.spec),
            Budget(),
            torch.arange(len(dataset.y)),
            torch.arange(64),
            RunClock(),
        )
        steps, loops = STEPS[name], dict[str, list[float]]()
        kinds: dict[str, Callable[[int], float]] = {
            "ours": lambda steps, bench=bench: ours(bench, steps),  # type: ignore[misc]
            "plain": lambda steps, bench=bench: plain(bench, steps, lambda x: x),  # type: ignore[misc]
            "plain, images changed": lambda steps, bench=bench: plain(bench, steps, crop_and_mirror),  # type: ignore[misc]
        }
        for turn in range(TURNS + 1):
            for kind, loop in kinds.items():
                seconds = loop(steps)
                if turn > 0:  # the first is to warm up
                    loops.setdefault(kind, []).append(steps * BATCH / seconds)
        for kind, speeds in loops.items():
            rows.append(row(f"{name}: {kind}", speeds, unit="images/s", bar=None))
        for kind in ("plain", "plain, images changed"):
            ratios = [mine / other for mine, other in zip(loops["ours"], loops[kind], strict=True)]
            rows.append(row(f"{name}: ours over {kind}", ratios, unit="ratio", bar=1.0, at_least=True))
        for one in rows[-5:]:
            print(one["name"], round(one["value"], 3), one["std"], flush=True)
    print(write("throughput", rows, command="python benchmarks/throughput.py", seconds=time.monotonic() - began))


if __name__ == "__main__":
    main(sys.argv[1:])
