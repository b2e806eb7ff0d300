"""Data as the rest of the program sees it: tensors, their meaning, and the preprocessing that goes with a network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol, TypeAlias

import torch
from torch import Tensor, nn

from steerage.data.augment import Augment, apply, scaled
from steerage.data.images import ImagePreprocess
from steerage.data.signals import SignalAugment

Scale: TypeAlias = float | tuple[float, ...]  # of one target, or of each of several
Task = Literal["classification", "regression", "multilabel"]
Kind = Literal["table", "image", "signal"]


@dataclass(frozen=True)
class TaskSpec:
    """What a template must know to build a network.

    ``input_shape``: of one network input after preprocessing, ``(features,)``, ``(channels, height, width)``, or
    ``(channels, length)`` of a signal.
    ``outputs``: number of classes (>= 2; two classes are two outputs), or of numbers of a regression, or of labels of
    which each is on or off ("multilabel"). ``rows``: of the training part.
    """

    task: Task
    kind: Kind
    input_shape: tuple[int, ...]
    outputs: int
    rows: int


class Preprocess(Protocol):
    """What turns a user's rows into network inputs; fitted on training rows, immutable, an exact JSON round trip.

    ``input_shape``: of one encoded row. ``output_shape``: of one network input. Neither includes the batch.
    """

    @property
    def input_shape(self) -> tuple[int, ...]: ...

    @property
    def output_shape(self) -> tuple[int, ...]: ...

    def encode(self, raw: Any) -> Tensor:
        """The user's rows as numbers: ``(n, *input_shape)``, float32 (missing = NaN) or, for images, also uint8.

        Raises: BadData when columns, shapes or values are not those of the training data.
        """
        ...

    def module(self) -> nn.Module:
        """Encoded rows ``(n, *input_shape)`` -> float32 ``(n, *output_shape)``; plain operations, any batch size."""
        ...

    def to_json(self) -> dict[str, Any]: ...


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training part, a test part, and how raw rows become either.

    x: table: float32 ``(n, features)``, already preprocessed; image: uint8 or float32 ``(n, c, h, w)``, upright if they
    are straightened, and signal: float32 ``(n, channels, length)``, encoded, not normalized (``prepare`` does it). y:
    int64 ``(n,)`` class codes, or float32 ``(n,)`` standardized target; original units = ``y * target_std +
    target_mean``. Several targets: ``(n, targets)``, with a mean and a std of each. Labels that are on or off: float32
    ``(n, labels)``, 1 or 0. What a teacher says, which is learnt and never scored by: float32 ``(n, classes)`` or ``(n,
    labels)``, probabilities.
    ``classes``: name per code, or per label; ``()`` for regression.
    ``fingerprint``: sha256 hex over the contents, the same in every process. The test part may have no rows.
    ``weights``, ``weights_test``: float32 ``(n,)``, how much each row counts in losses and errors, 1 on average; None
    where all count alike. ``class_factors``: float32 ``(classes,)``, by which rows count besides in the loss of a
    training, and in no error; None for 1. ``metric``: name of the one that networks are compared by
    (``steerage.metrics``); None for the usual one of the task. ``groups``: int64 ``(n,)``, to which group each training
    row belongs; validation rows are whole groups (None: rows are independent). ``group_name``: the column of them.
    """

    name: str
    spec: TaskSpec
    x: Tensor
    y: Tensor
    x_test: Tensor
    y_test: Tensor
    preprocess: Preprocess
    classes: tuple[str, ...]
    target_mean: Scale
    target_std: Scale
    augment: Augment | SignalAugment
    fingerprint: str
    target_name: str | None = None
    weights: Tensor | None = None
    weights_test: Tensor | None = None
    class_factors: Tensor | None = None
    metric: str | None = None
    groups: Tensor | None = None
    group_name: str | None = None

    @cached_property
    def _normalize(self) -> nn.Module:
        # Images that are straightened are so already: what changes at random is left for a network to cope with.
        preprocess = self.preprocess
        return (preprocess.normalize() if isinstance(preprocess, ImagePreprocess) else preprocess.module()).eval()

    def weights_of(self, rows: Tensor) -> Tensor | None:
        """Weights of the training ``rows`` (indices, int64); None where all count alike."""
        return None if self.weights is None else self.weights[rows]

    def loss_weights(self, rows: Tensor) -> Tensor | None:
        """By how much the training ``rows`` count in a loss; None where all count alike."""
        weights = self.weights_of(rows)
        if self.class_factors is None:
            return weights
        factors = self.class_factors[self.y[rows]]
        return factors if weights is None else weights * factors

    def prepare(self, x: Tensor) -> Tensor:
        """A batch of ``x`` or ``x_test`` as network input, float32 ``(n, *spec.input_shape)``."""
        if self.spec.kind == "table":
            return x
        normalized: Tensor = self._normalize(x)
        return normalized

    def prepare_train(self, x: Tensor, generator: torch.Generator, strength: float = 1.0) -> Tensor:
        """Like ``prepare``, with random augmentation, the data set's own times ``strength`` >= 0."""
        if self.spec.kind == "table":
            return x
        if isinstance(self.augment, SignalAugment):
            return self.augment.scaled(strength).apply(self.prepare(x), generator)
        return self.prepare(apply(x, scaled(self.augment, strength), generator))


def fingerprint(tensors: Iterable[Tensor], *values: Any) -> str:
    """Sha256 hex of tensors (type, shape, bytes) and JSON values."""
    digest = hashlib.sha256()
    for tensor in tensors:
        array = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.reshape(-1).view("uint8").data)
    digest.update(json.dumps(values, sort_keys=True).encode())
    return digest.hexdigest()
