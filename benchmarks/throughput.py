"""Images per second in training: steerage's loop, with augmentation, beside a plain hand-written one, turn by turn.

    python benchmarks/throughput.py [NETWORK ...]

Same layers, same batches, bfloat16 autocast, as many threads as there are cores. The plain loop is what one writes in
ten minutes: float tensors in memory that are normalized already, an optimizer of ``torch.optim``, no augmentation; a
second one crops and mirrors every image at random. Each is compared under the same optimizer: SGD, and Muon with AdamW
for what is no matrix, which is the recipe of residual networks here.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from common import row, write
from torch import Tensor, nn
from torch.nn import functional as F

from steerage.cost.budget import Budget
from steerage.data.build import dataset_from_arrays
from steerage.data.dataset import Dataset
from steerage.synthesis.candidate import Bench, build
from steerage.synthesis.clock import RunClock
from steerage.templates.like import published_like
from steerage.training.fit import Steps, Training, train
from steerage.training.muon import suits
from steerage.training.recipe import Optimizer

TURNS, BATCH = 7, 128
STEPS = {"resnet20": 12, "resnet18": 3}
PAIRS = (
    ("ours, SGD", "plain, SGD"),
    ("ours, SGD", "plain, SGD, images changed"),
    ("ours, Muon", "plain, Muon"),
    ("ours, Muon", "plain, SGD"),
)


def ours(bench: Bench, steps: int, optimizer: Optimizer) -> float:
    """Seconds of ``steps`` steps of the product's training."""
    values = bench.template.baseline(bench.dataset.spec)
    recipe = replace(bench.recipe(values), precision="bfloat16", batch_size=BATCH, optimizer=optimizer)
    training = Training(build(bench, values, 0), recipe, seed=0)
    began = time.monotonic()
    for _ in train(training, bench.dataset, bench.train_rows, effort=Steps(steps)):
        pass
    return time.monotonic() - began


def sgd(model: nn.Module) -> list[torch.optim.Optimizer]:
    return [torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)]


def muon(model: nn.Module) -> list[torch.optim.Optimizer]:
    """PyTorch's, which takes matrices alone: a convolution's weights have four dimensions, so each gets a view."""
    matrices = suits(model)
    views = [nn.Parameter(_matrix(weight.detach())) for weight in matrices]
    assert all(view.data_ptr() == weight.data_ptr() for view, weight in zip(views, matrices, strict=True))
    for weight, view in zip(matrices, views, strict=True):
        weight.register_post_accumulate_grad_hook(_hand_to(view))
    others = [one for one in model.parameters() if not any(one is weight for weight in matrices)]
    return [torch.optim.Muon(views, lr=0.012), torch.optim.AdamW(others, lr=0.012)]


def _hand_to(view: nn.Parameter) -> Callable[[Tensor], None]:
    def hand(weight: Tensor) -> None:
        assert weight.grad is not None
        view.grad, weight.grad = _matrix(weight.grad), None

    return hand


def _matrix(weight: Tensor) -> Tensor:
    """(units, ...) as (units, inputs); the channels are last in memory."""
    return weight.permute(0, 2, 3, 1).flatten(1) if weight.ndim == 4 else weight


def plain(
    bench: Bench,
    steps: int,
    optimizers_of: Callable[[nn.Module], list[torch.optim.Optimizer]],
    change: Callable[[Tensor], Tensor] = lambda x: x,
) -> float:
    """Seconds of ``steps`` steps of a loop of one's own."""
    model = build(bench, bench.template.baseline(bench.dataset.spec), 0).train()
    optimizers = optimizers_of(model)
    images, labels = bench.dataset.prepare(bench.dataset.x), bench.dataset.y
    optimizers[0].zero_grad()  # imports the compiler, which is no matter of throughput
    began = time.monotonic()
    order = torch.randperm(len(images))
    for step in range(steps):
        picked = order[step * BATCH : (step + 1) * BATCH]
        x = change(images[picked]).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = F.cross_entropy(model(x), labels[picked])
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
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
            "ours, SGD": partial(ours, bench, optimizer="sgd"),
            "plain, SGD": partial(plain, bench, optimizers_of=sgd),
            "plain, SGD, images changed": partial(plain, bench, optimizers_of=sgd, change=crop_and_mirror),
            "ours, Muon": partial(ours, bench, optimizer="muon"),
            "plain, Muon": partial(plain, bench, optimizers_of=muon),
        }
        for turn in range(TURNS + 1):
            for kind, loop in kinds.items():
                seconds = loop(steps)
                if turn > 0:  # the first is to warm up
                    loops.setdefault(kind, []).append(steps * BATCH / seconds)
        for kind, speeds in loops.items():
            rows.append(row(f"{name}: {kind}", speeds, unit="images/s", bar=None))
        for mine, other in PAIRS:
            ratios = [here / there for here, there in zip(loops[mine], loops[other], strict=True)]
            rows.append(row(f"{name}: {mine}, over {other}", ratios, unit="ratio", bar=1.0, at_least=True))
        for one in rows[-len(loops) - len(PAIRS) :]:
            print(one["name"], round(one["value"], 3), one["std"], flush=True)
    print(write("throughput", rows, command="python benchmarks/throughput.py", seconds=time.monotonic() - began))


if __name__ == "__main__":
    main(sys.argv[1:])
