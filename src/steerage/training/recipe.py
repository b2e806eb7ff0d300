"""How a network is trained, as one frozen value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from steerage.errors import BadArgument

Optimizer = Literal["adamw", "sgd", "muon"]
Decay = Literal["cosine", "linear"]
Precision = Literal["float32", "bfloat16", "auto"]


@dataclass(frozen=True)
class Recipe:
    """Settings of one training, the same object for baselines, trials and final networks.

    ``lr`` is the peak learning rate: it rises linearly over the first ``warmup`` of the effort and then decays to zero
    (``decay``); ``warmup=0.3`` with ``decay="linear"`` is the one-cycle schedule. ``weight_decay`` is decoupled and
    spares biases and normalization. ``input_noise``: standard deviation of Gaussian noise on standardized table
    inputs. ``augment`` multiplies the strength of image augmentation. ``ema`` in [0, 1): decay per step of a running
    average of the weights that is taken over the second half of the training and replaces them at its end; 0 is off.
    ``precision="auto"`` uses bfloat16 autocast for convolutional networks where the CPU computes it natively.
    """

    optimizer: Optimizer = "adamw"
    lr: float = 4e-3
    weight_decay: float = 1e-2
    batch_size: int = 256
    warmup: float = 0.05
    decay: Decay = "cosine"
    label_smoothing: float = 0.0
    input_noise: float = 0.0
    augment: float = 1.0
    ema: float = 0.0
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        rules = {
            "lr": self.lr > 0,
            "weight_decay": self.weight_decay >= 0,
            "batch_size": self.batch_size >= 1,
            "warmup": 0 <= self.warmup < 1,
            "label_smoothing": 0 <= self.label_smoothing < 1,
            "input_noise": self.input_noise >= 0,
            "augment": self.augment >= 0,
            "ema": 0 <= self.ema < 1,
        }
        for name, holds in rules.items():
            if not holds:
                raise BadArgument(
                    f"Recipe.{name}={getattr(self, name)} is outside its range; see the docstring of Recipe"
                )

    def batches(self, rows: int) -> int:
        """Mini-batches of an epoch of ``rows`` rows: whole ones alone, or one of all rows where there are fewer."""
        return max(1, rows // self.batch_size)

    def lr_at(self, progress: float) -> float:
        """Learning rate at ``progress`` in [0, 1] of the effort."""
        if progress < self.warmup:
            # Never zero: the first step of a one-step training must move the weights.
            return self.lr * max(progress, 0.02 * self.warmup) / self.warmup
        left = (1.0 - min(progress, 1.0)) / (1.0 - self.warmup)
        return self.lr * (0.5 * (1.0 - math.cos(math.pi * left)) if self.decay == "cosine" else left)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def recipe_from(values: Mapping[str, Any], defaults: Mapping[str, Any] | None = None) -> Recipe:
    """Recipe whose fields come from the genes of a candidate, then from a template's defaults, then from ``Recipe``."""
    known = {field.name for field in fields(Recipe)}
    chosen = {**(defaults or {}), **{name: value for name, value in values.items() if name in known}}
    return replace(Recipe(), **{name: value for name, value in chosen.items() if name in known})
