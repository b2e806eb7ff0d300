"""Ours with a dense teacher (Hinton et al., arXiv 1503.02531) that takes half of the epochs."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from steerage.data.dataset import Dataset
from steerage.growprune.run import GrowPrune
from steerage.training import fit
from steerage.training.fit import Steps, Training, train

WEIGHT, TEMPERATURE = 0.5, 2.0


class Distilled:
    """A loss for ``train`` that listens to ``teacher`` as well as to the labels."""

    def __init__(self, teacher: nn.Module) -> None:
        self.teacher = teacher.eval()
        self.inputs: Tensor | None = None

    def watch(self, student: nn.Module) -> None:
        """Remember what the student is shown, augmented or not: the teacher is shown the same."""
        student.register_forward_pre_hook(lambda module, given: setattr(self, "inputs", given[0]))

    def __call__(
        self, outputs: Tensor, target: Tensor, dataset: Dataset, smoothing: float, weights: Tensor | None = None
    ) -> Tensor:
        assert weights is None, "none of the tasks weighs its rows"
        labels = F.cross_entropy(outputs, target, label_smoothing=smoothing)
        assert self.inputs is not None
        with torch.no_grad():
            wanted = F.log_softmax(self.teacher(self.inputs) / TEMPERATURE, dim=1)
        found = F.log_softmax(outputs / TEMPERATURE, dim=1)
        soft = F.kl_div(found, wanted, log_target=True, reduction="batchmean")
        return (1.0 - WEIGHT) * labels + WEIGHT * TEMPERATURE**2 * soft


def distil(teacher: Training, student: Training, editor: GrowPrune, dataset: Dataset, rows: Tensor, steps: int) -> None:
    """Train ``teacher`` dense for half of ``steps``, then the ``student``, from the weights of the teacher, along."""
    for _ in train(teacher, dataset, rows, effort=Steps(steps // 2)):
        pass
    student.model.load_state_dict(copy.deepcopy(teacher.model.state_dict()))
    loss = Distilled(teacher.model)
    loss.watch(student.model)
    plain, fit.loss_of = fit.loss_of, loss  # type: ignore[assignment]
    try:
        for _ in train(
            student,
            dataset,
            rows,
            effort=Steps(steps - steps // 2),
            after_step=lambda now: editor.step(now.optimizer, now.progress) and None,
        ):
            pass
    finally:
        fit.loss_of = plain
        student.model._forward_pre_hooks.clear()
