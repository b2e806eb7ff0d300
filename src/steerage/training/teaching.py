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


def taught(teacher: nn.Module, inputs: Tensor, target: Tensor, dataset: Dataset) -> Tensor:
    """What is to be learnt of ``inputs`` (batch, *input_shape), as a network sees them: probabilities (batch, outputs).

    ``target``: classes (batch,), or labels that are on or off (batch, labels). ``teacher`` is left in evaluation mode.
    """
    teacher.eval()
    autocast = uses_bfloat16(teacher, "auto")
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        outputs = teacher(inputs).float()
    if dataset.spec.task == "multilabel":
        return torch.lerp(target.float(), outputs.sigmoid(), SHARE)
    return torch.lerp(F.one_hot(target, dataset.spec.outputs).float(), outputs.softmax(dim=1), SHARE)
