"""The training loop: one visible loop over batches sliced from memory, resumable at any step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from steerage.data.augment import Augment, scaled
from steerage.data.dataset import Dataset
from steerage.errors import TrainingFailed
from steerage.seeds import child_seed, generator
from steerage.training.precision import uses_bfloat16
from steerage.training.recipe import Recipe

TICK_SECONDS = 5.0  # how long a caller waits for control at most, on epochs longer than that


class Effort(Protocol):
    """How far a training has come, in [0, 1]; 1 ends it. Asked before each step, so it must be cheap."""

    def progress(self, step: int) -> float: ...


@dataclass(frozen=True)
class Steps:
    """Effort counted in optimizer steps: the same on every machine."""

    total: int

    def progress(self, step: int) -> float:
        return step / self.total


@dataclass(frozen=True)
class Seconds:
    """Effort counted on a clock from ``start`` for ``total`` seconds; a machine half as fast takes half the steps."""

    clock: Callable[[], float]
    start: float
    total: float

    def progress(self, step: int) -> float:
        return (self.clock() - self.start) / max(self.total, 1e-6)


@dataclass(frozen=True)
class Tick:
    """Control handed back to the caller: after every epoch, and every few seconds within a long one."""

    step: int
    epoch: float
    progress: float
    loss: float
    epoch_done: bool


class Training:
    """A network in training, with all that is needed to go on after a stop: ``state`` and ``restore``."""

    def __init__(self, model: nn.Module, recipe: Recipe, *, seed: int) -> None:
        self.model, self.recipe = model, recipe
        self.optimizer = make_optimizer(model, recipe)
        self.step, self.epoch, self.batch, self.progress = 0, 0, 0, 0.0
        self.order = generator(seed, "order")  # which rows come when
        self.noise = generator(seed, "noise")  # augmentation and input noise
        self.dropout_state = torch.Generator().manual_seed(child_seed(seed, "dropout")).get_state()
        self.order_at_epoch = self.order.get_state()
        self.average: dict[str, Tensor] = {}

    def state(self) -> dict[str, Any]:
        """Tree of tensors and numbers (see ``steerage.store.save_tree``)."""
        moments = {
            str(index): dict(self.optimizer.state[parameter])
            for index, parameter in enumerate(_parameters(self.optimizer))
            if parameter in self.optimizer.state
        }
        return {
            "model": dict(self.model.state_dict()),
            "moments": moments,
            "counters": {"step": self.step, "epoch": self.epoch, "batch": self.batch, "progress": self.progress},
            "generators": {
                "order": self.order_at_epoch,
                "noise": self.noise.get_state(),
                "dropout": self.dropout_state,
            },
            "average": dict(self.average),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from ``state``, taken from a training of the same network and recipe."""
        self.model.load_state_dict(state["model"])
        for index, parameter in enumerate(_parameters(self.optimizer)):
            moments = state["moments"].get(str(index))
            if moments:
                self.optimizer.state[parameter] = {name: _copied(value) for name, value in moments.items()}
        counters = state["counters"]
        self.step, self.epoch, self.batch = int(counters["step"]), int(counters["epoch"]), int(counters["batch"])
        self.progress = float(counters["progress"])
        self.order.set_state(state["generators"]["order"])
        self.order_at_epoch = self.order.get_state()
        self.noise.set_state(state["generators"]["noise"])
        self.dropout_state = state["generators"]["dropout"].clone()
        self.average = {name: value.clone() for name, value in state["average"].items()}

    def use_average(self) -> None:
        """Put the running average of the weights, if there is one, in place of the weights."""
        if self.average:
            self.model.load_state_dict(self.average)
            self.average = {}


def train(
    training: Training,
    dataset: Dataset,
    rows: Tensor,
    *,
    effort: Effort,
    after_step: Callable[[Training], None] | None = None,
    teacher: Callable[[Tensor, Tensor], Tensor] | None = None,
    teacher_weight: float = 0.7,
) -> Iterator[Tick]:
    """Train on ``rows`` (int64 indices into ``dataset.x``) until ``effort`` is spent; the caller owns the loop.

    ``after_step`` may edit the network in place after each optimizer step (masks). ``teacher`` maps (inputs, row
    indices) to scores that are mixed into the target with ``teacher_weight`` (distillation, arXiv 1503.02531).
    Deterministic for a given seed, state and thread count. Raises: TrainingFailed for a loss that is not finite.
    """
    model, recipe, size = training.model, training.recipe, min(training.recipe.batch_size, len(rows))
    augment = scaled(dataset.augment, recipe.augment)
    autocast = uses_bfloat16(model, recipe.precision)
    batches = max(1, len(rows) // size)
    losses: list[Tensor] = []
    model.train()
    outer, handed_back = torch.get_rng_state(), time.monotonic()
    torch.set_rng_state(training.dropout_state)
    try:
        while training.progress < 1.0:
            training.order_at_epoch = training.order.get_state()
            order = rows[torch.randperm(len(rows), generator=training.order)]
            while training.batch < batches:
                training.progress = effort.progress(training.step)
                if training.progress >= 1.0:
                    break
                picked = order[training.batch * size : (training.batch + 1) * size]
                inputs, target = _inputs(training, dataset, picked, augment), dataset.y[picked]
                _set_lr(training.optimizer, recipe.lr_at(training.progress))
                with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
                    outputs = model(inputs)
                loss = _loss(outputs.float(), target, dataset, recipe.label_smoothing)
                if teacher is not None:
                    soft = _distance(outputs.float(), teacher(inputs, picked), dataset)
                    loss = (1.0 - teacher_weight) * loss + teacher_weight * soft
                training.optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                training.optimizer.step()
                training.step += 1
                training.batch += 1
                if after_step is not None:
                    after_step(training)
                _update_average(training)
                losses.append(loss.detach())
                if time.monotonic() - handed_back > TICK_SECONDS and training.batch < batches:
                    yield from _hand_back(training, losses, batches, outer, epoch_done=False)
                    handed_back = time.monotonic()
            if training.batch < batches:
                break
            training.batch, training.epoch = 0, training.epoch + 1
            training.order_at_epoch = training.order.get_state()
            yield from _hand_back(training, losses, batches, outer, epoch_done=True)
            handed_back = time.monotonic()
    finally:
        training.dropout_state = torch.get_rng_state()
        torch.set_rng_state(outer)


def _hand_back(
    training: Training, losses: list[Tensor], batches: int, outer: Tensor, *, epoch_done: bool
) -> Iterator[Tick]:
    """One tick, with the caller's random state in place while the caller works."""
    mean = torch.stack(losses).mean().item()
    losses.clear()
    if not math.isfinite(mean):
        raise TrainingFailed(f"the loss is {mean} after {training.step} steps; a lower learning rate may help")
    training.dropout_state = torch.get_rng_state()
    torch.set_rng_state(outer)
    yield Tick(training.step, training.step / batches, training.progress, mean, epoch_done)
    training.model.train()
    torch.set_rng_state(training.dropout_state)


def _inputs(training: Training, dataset: Dataset, picked: Tensor, augment: Augment) -> Tensor:
    """Network inputs (batch, *input_shape) of the rows ``picked``, with noise or augmentation."""
    x = dataset.prepare_train(dataset.x[picked], training.noise, augment)
    if training.recipe.input_noise > 0.0 and dataset.spec.kind == "table":
        x = x + training.recipe.input_noise * torch.randn(x.shape, generator=training.noise)
    return x


def _loss(outputs: Tensor, target: Tensor, dataset: Dataset, smoothing: float) -> Tensor:
    if dataset.spec.task == "classification":
        return F.cross_entropy(outputs, target, label_smoothing=smoothing)
    return F.mse_loss(outputs[:, 0], target)


def _distance(outputs: Tensor, wanted: Tensor, dataset: Dataset) -> Tensor:
    if dataset.spec.task == "classification":
        student, target = F.log_softmax(outputs, dim=1), F.log_softmax(wanted, dim=1)
        return F.kl_div(student, target, log_target=True, reduction="batchmean")
    return F.mse_loss(outputs, wanted)


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Optimizer of ``recipe`` with weight decay on weights of two dimensions or more only."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.lr, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, lr=recipe.lr, betas=(0.9, 0.99), foreach=True)


def _update_average(training: Training) -> None:
    decay = training.recipe.ema
    if decay <= 0.0 or training.progress < 0.5:
        return
    state = training.model.state_dict()
    if not training.average:
        training.average = {name: value.clone() for name, value in state.items()}
        return
    for name, value in state.items():
        if value.is_floating_point():
            training.average[name].lerp_(value, 1.0 - decay)
        else:
            training.average[name].copy_(value)


def _set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value
