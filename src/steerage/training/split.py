"""Validation rows come out of the training part, by seed."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from steerage.data.dataset import Dataset
from steerage.data.groups import held_groups
from steerage.seeds import child_seed

VALIDATION_SHARE, MAX_VALIDATION_ROWS = 0.2, 6_000


def validation_split(dataset: Dataset, seed: int) -> tuple[Tensor, Tensor]:
    """Row indices of the training part, int64: those to train on and those to choose by.

    A fifth of the rows, 6,000 at most, is held out; classes keep their shares where each has two rows or more. Where
    rows have groups, whole ones are held out, and classes keep their shares as far as that goes.
    """
    rows = len(dataset.y)
    held = max(1, min(round(rows * VALIDATION_SHARE), MAX_VALIDATION_ROWS))
    labels = dataset.y.numpy() if dataset.spec.task == "classification" else None
    if dataset.groups is not None:
        rng = np.random.default_rng(child_seed(seed, "validation"))
        apart = torch.from_numpy(held_groups(dataset.groups.numpy(), labels, share=held / rows, rng=rng))
        return torch.nonzero(~apart).flatten(), torch.nonzero(apart).flatten()
    if labels is not None:
        counts = np.bincount(labels)
        if counts[counts > 0].min() < 2 or held < (counts > 0).sum() or rows - held < (counts > 0).sum():
            labels = None
    from sklearn.model_selection import train_test_split  # a third of the time that a program takes to begin

    train, validation = train_test_split(
        np.arange(rows), test_size=held, stratify=labels, random_state=child_seed(seed, "validation")
    )
    return torch.from_numpy(np.sort(train)), torch.from_numpy(np.sort(validation))
