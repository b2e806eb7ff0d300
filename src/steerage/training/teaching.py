"""What a network learns of rows that are changed each time: their classes, and what a teacher tells of what it sees.

A row that has been turned, moved or worn looks more or less like its class, and like others. A teacher that sees the
very same can tell how much; the class alone cannot (Beyer, Zhai, Royer, Markeeva, Anil & Kolesnikov, "Knowledge
distillation: a good teacher is patient and consistent", CVPR 2022).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from steerage.data.dataset import Dataset
from steerage.seeds import generator
from steerage.training.precision import uses_bfloat16

# Of what is learnt: MNIST, 1,200 parameters, 20 epochs (benchmarks/taught.py). At a temperature of 1: 2 helped less.
SHARE = 0.7
# After so many epochs the same changes to the rows come again, of which is known what the teacher tells: to ask it
# takes as long as a training step of a network that is as small as those that need a teacher.
DIFFERENT = 8
MOST_KEPT = 64_000_000  # numbers that were told: 256 MB


class Teaching:
    """A teacher, and what it has told. ``teacher`` is put into evaluation mode, and not changed otherwise."""

    def __init__(self, teacher: nn.Module, *, seed: int) -> None:
        self._teacher, self._seed = teacher.eval(), seed
        self._autocast = uses_bfloat16(teacher, "auto")
        self._told: dict[tuple[int, int], Tensor] = {}
        self._kept = 0

    def generators(self, epoch: int) -> tuple[torch.Generator, torch.Generator]:
        """The order of the rows in ``epoch``, and how they are changed."""
        again = epoch % DIFFERENT
        return generator(self._seed, "order", again), generator(self._seed, "noise", again)

    def target(self, place: tuple[int, int], inputs: Tensor, known: Tensor, dataset: Dataset) -> Tensor:
        """What is to be learnt of ``inputs`` (batch, *input_shape), as the network sees them: probabilities (batch,
        outputs).

        ``place``: epoch and batch, whose rows and changes come from ``generators``. ``known``: classes (batch,), or
        labels that are on or off (batch, labels).
        """
        epoch, batch = place
        key = (epoch % DIFFERENT, batch)
        found = self._told.get(key)
        if found is None:
            found = self._asked(inputs, known, dataset)
            if self._kept + found.numel() <= MOST_KEPT:
                self._told[key] = found
                self._kept += found.numel()
        return found

    def _asked(self, inputs: Tensor, known: Tensor, dataset: Dataset) -> Tensor:
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=self._autocast):
            outputs = self._teacher(inputs).float()
        if dataset.spec.task == "multilabel":
            return torch.lerp(known.float(), outputs.sigmoid(), SHARE)
        return torch.lerp(F.one_hot(known, dataset.spec.outputs).float(), outputs.softmax(dim=1), SHARE)
