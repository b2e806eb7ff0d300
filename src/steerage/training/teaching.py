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
from steerage.training.precision import uses_bfloat16

# Of what is learnt; nothing else was tried (benchmarks/taught.py). The temperature is 1: 2 was no better.
SHARE = 0.7


class Teaching:
    """A ``teacher``, which is put into evaluation mode, as it is asked about each batch of a training."""

    def __init__(self, teacher: nn.Module) -> None:
        self._teacher, self._autocast = teacher.eval(), uses_bfloat16(teacher, "auto")

    def target(self, inputs: Tensor, known: Tensor, dataset: Dataset) -> Tensor:
        """What is to be learnt of ``inputs`` (batch, *input_shape), as a network sees them: probabilities (batch,
        outputs).

        ``known``: classes (batch,), or labels that are on or off (batch, labels).
        """
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=self._autocast):
            outputs = self._teacher(inputs).float()
        if dataset.spec.task == "classification":
            known = F.one_hot(known, dataset.spec.outputs)
        return torch.lerp(known.float(), told(outputs, dataset), SHARE)


def told(outputs: Tensor, dataset: Dataset) -> Tensor:
    """What ``outputs`` (n, outputs) of a network tell: probabilities, or of a regression the outputs."""
    if dataset.spec.task == "classification":
        return outputs.softmax(dim=1)
    return outputs.sigmoid() if dataset.spec.task == "multilabel" else outputs
