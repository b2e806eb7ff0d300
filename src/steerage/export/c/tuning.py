"""Fine-tuning of a network that is to compute with 8-bit integers, where rounding it costs too much."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from steerage.micro.aware import Aware
from steerage.micro.calibrate import Scheme
from steerage.micro.ir import Program
from steerage.seeds import generator

BATCH = 64
STEPS = 300  # of the training, whatever the number of rows
RATE = 0.01  # of the first step, in root mean squares of the weights or biases that it changes
REFRESH = 50  # steps after which the steps of integers follow the weights


def tuned(
    program: Program,
    scheme: Scheme,
    rows: Tensor,
    scores: Tensor,
    *,
    numbers: bool,
    seed: int = 0,
    steps: int = STEPS,
) -> tuple[Program, Scheme]:
    """``program`` trained to return ``scores`` (n, outputs), those of the network itself, in spite of the rounding.

    ``rows``: encoded, (n, *input). Scores of classes are compared as probabilities; ``numbers`` as they are.
    """
    aware, rng = Aware(program, scheme), generator(seed, "int8")
    groups = [{"params": [one], "lr": RATE * _size(one)} for one in aware.parameters()]
    optimizer = torch.optim.Adam(groups)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    scores = scores.float()
    for step in range(steps):
        if step % REFRESH == 0:
            aware.refresh()
        chosen = torch.randint(len(rows), (min(BATCH, len(rows)),), generator=rng)
        made, wanted = aware(rows[chosen]), scores[chosen]
        loss = F.mse_loss(made, wanted) if numbers else F.cross_entropy(made, wanted.softmax(dim=1))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return aware.trained()


def _size(parameter: Tensor) -> float:
    size = parameter.detach().square().mean().sqrt().item()
    return size if size > 0 else 1e-3
