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

from steerage.data.dataset import Dataset
from steerage.errors import TrainingFailed
from steerage.seeds import child_seed, generator
from steerage.training.measure import by_target
from steerage.training.optimizer import Optimizer
from steerage.training.precision import uses_bfloat16
from steerage.training.recipe import Recipe
from steerage.training.teaching import Teaching

TICK_SECONDS = 1.0  # how long a caller waits for control at most, on epochs longer than that


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
    """A network in training, with all that is needed to go on after a stop: ``state`` and ``restore``.

    ``teacher``: a network of the same inputs and outputs that tells of each batch what is to be learnt of it beside the
    classes. It is not part of the state.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, *, seed: int, teacher: nn.Module | None = None) -> None:
        self.model, self.recipe = model, recipe
        self.teaching = None if teacher is None else Teaching(teacher)
        self.optimizer = Optimizer(model, recipe)
        self.step, self.epoch, self.batch, self.progress = 0, 0, 0, 0.0
        self.order = generator(seed, "order")  # which rows come when
        self.noise = generator(seed, "noise")  # augmentation and input noise
        self.dropout_state = torch.Generator().manual_seed(child_seed(seed, "dropout")).get_state()
        self.order_at_epoch = self.order.get_state()
        self.average: dict[str, Tensor] = {}

    def state(self) -> dict[str, Any]:
        """Tree of tensors and numbers (see ``steerage.store.save_tree``)."""
        moments = [dict(self.optimizer.state[parameter]) for parameter in self.optimizer.parameters]
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
        for parameter, moments in zip(self.optimizer.parameters, state["moments"], strict=True):
            # Of the shape that the network has by now: its units may have come and left.
            self.optimizer.state[parameter] = {name: like(parameter.detach(), value) for name, value in moments.items()}
        counters = state["counters"]
        self.step, self.epoch, self.batch = int(counters["step"]), int(counters["epoch"]), int(counters["batch"])
        self.progress, self.optimizer.steps = float(counters["progress"]), self.step
        self.order.set_state(state["generators"]["order"])
        self.order_at_epoch = self.order.get_state()
        self.noise.set_state(state["generators"]["noise"])
        self.dropout_state = state["generators"]["dropout"].clone()
        own = self.model.state_dict()
        self.average = {name: like(own[name], value) for name, value in state["average"].items()}

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
) -> Iterator[Tick]:
    """Train on ``rows`` (int64 indices into ``dataset.x``) until ``effort`` is spent; the caller owns the loop.

    ``after_step`` may edit the network in place after each optimizer step (masks).
    Deterministic for a given seed, state and thread count. Raises: TrainingFailed for a loss that is not finite.
    """
    model, recipe, size = training.model, training.recipe, min(training.recipe.batch_size, len(rows))
    autocast = uses_bfloat16(model, recipe.precision)
    batches = recipe.batches(len(rows))
    losses: list[Tensor] = []
    model.train()
    outer, handed_back = torch.get_rng_state(), time.monotonic()
    torch.set_rng_state(training.dropout_state)
    try:
        while training.progress < 1.0:
            training.order.set_state(training.order_at_epoch)  # which a stop within an epoch left behind
            order = rows[torch.randperm(len(rows), generator=training.order)]
            while training.batch < batches:
                training.progress = effort.progress(training.step)
                if training.progress >= 1.0:
                    break
                picked = order[training.batch * size : (training.batch + 1) * size]
                inputs, target = inputs_of(training, dataset, dataset.x[picked]), dataset.y[picked]
                if training.teaching is not None:
                    target = training.teaching.target(inputs, target, dataset)
                training.optimizer.lr = recipe.lr_at(training.progress)
                with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
                    outputs = model(inputs)
                weights = dataset.loss_weights(picked)
                loss = loss_of(outputs.float(), target, dataset, recipe.label_smoothing, weights)
                training.optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                training.optimizer.step()
                training.step += 1
                training.batch += 1
                if after_step is not None:
                    after_step(training)
                update_average(training)
                losses.append(loss.detach())
                if time.monotonic() - handed_back > TICK_SECONDS and training.batch < batches:
                    yield from _hand_back(training, losses, batches, outer, epoch_done=False)
                    handed_back = time.monotonic()
            if training.batch < batches:
                _mean_of(losses, training)
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
    """One tick, with the caller's random state in place while the caller works; ``outer`` follows what it does."""
    mean = _mean_of(losses, training)
    losses.clear()
    training.dropout_state = torch.get_rng_state()
    torch.set_rng_state(outer)
    try:
        yield Tick(training.step, training.step / batches, training.progress, mean, epoch_done)
    finally:  # also when the caller goes on no further
        outer.copy_(torch.get_rng_state())
        torch.set_rng_state(training.dropout_state)
    training.model.train()


def _mean_of(losses: list[Tensor], training: Training) -> float:
    """Mean loss, 0 if there was none. Raises: TrainingFailed if it is not finite."""
    return checked(torch.stack(losses).mean().item() if losses else 0.0, training)


def checked(loss: float, training: Training) -> float:
    """``loss``. Raises: TrainingFailed if it is not finite."""
    if not math.isfinite(loss):
        raise TrainingFailed(f"the loss is {loss} after {training.step} steps; a lower learning rate may help")
    return loss


def inputs_of(training: Training, dataset: Dataset, x: Tensor) -> Tensor:
    """Network inputs (batch, *input_shape) of rows ``x`` of the data set, with noise or augmentation."""
    x = dataset.prepare_train(x, training.noise, training.recipe.augment)
    if training.recipe.input_noise > 0.0 and dataset.spec.kind == "table":
        x = x + training.recipe.input_noise * torch.randn(x.shape, generator=training.noise)
    return x


def loss_of(
    outputs: Tensor, target: Tensor, dataset: Dataset, smoothing: float, weights: Tensor | None = None
) -> Tensor:
    """Mean cross-entropy of ``outputs`` (batch, classes), or of each label by itself, or squared error of
    (batch, targets) in standardized units. The ``target`` of classes may be their probabilities, (batch, classes).

    ``weights``: (batch,), factors of the rows' losses. They are 1 on average over the data set and not over a batch,
    which would make rows count the more the lighter those beside them are.
    """
    reduction = "mean" if weights is None else "none"
    if dataset.spec.task == "classification":
        loss = F.cross_entropy(outputs, target, label_smoothing=smoothing, reduction=reduction)
    elif dataset.spec.task == "multilabel":
        loss = F.binary_cross_entropy_with_logits(outputs, target, reduction=reduction)
        loss = loss if weights is None else loss.mean(dim=1)
    else:
        loss = F.mse_loss(outputs, by_target(target), reduction=reduction)
        loss = loss if weights is None else loss.mean(dim=1)
    return loss if weights is None else (weights * loss).mean()


def update_average(training: Training) -> None:
    """Let the average of the weights, where there is to be one, follow a step."""
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


def like(own: Tensor, value: Tensor) -> Tensor:
    """A copy of ``value`` laid out in memory as ``own`` is: the order of sums, and so the last bit, depends on it."""
    return torch.empty_like(own).copy_(value)
