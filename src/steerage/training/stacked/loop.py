"""The training loop of a stack: a step of each training in turn, each with its own rows, noise, rate and end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor

from steerage.data.dataset import Dataset
from steerage.errors import BadArgument, TrainingFailed
from steerage.training import fit
from steerage.training.fit import Effort, Tick, Training, checked, inputs_of, update_average
from steerage.training.precision import uses_bfloat16
from steerage.training.stacked.chain import ACTIVATIONS, chain_of
from steerage.training.stacked.stack import Member, Stack


@final
@dataclass(eq=False)
class Run:
    """A training in a stack, and what ``fit.train`` takes beside it.

    ``leaves`` is set by whoever wants it out before its end, while a tick is handed back.
    """

    training: Training
    rows: Tensor
    effort: Effort
    after_step: Callable[[Training], None] | None = None
    leaves: bool = field(default=False, init=False)

    @property
    def batch(self) -> int:
        """Rows of a batch: what trainings that share a stack have in common."""
        return min(self.training.recipe.batch_size, len(self.rows))


def stackable(training: Training, dataset: Dataset) -> bool:
    """Whether a stack can take ``training`` on ``dataset``: a ``FeedForward`` of the mlp template under AdamW, in
    float32, that learns a class, or the probabilities of classes, or one number for each row, without a teacher.
    """
    recipe = training.recipe
    if training.teaching is not None or (dataset.y.ndim > 1 and dataset.spec.task != "classification"):
        return False
    plain = recipe.optimizer == "adamw" and not uses_bfloat16(training.model, recipe.precision)
    return plain and chain_of(training.model) is not None


def train_stacked(runs: Sequence[Run], dataset: Dataset) -> Iterator[tuple[Run, Tick | TrainingFailed | None]]:
    """Train all ``runs``, side by side, each until its effort is spent; the caller owns the loop.

    Handed back are the ticks of each run, as from ``fit.train``; then None at its end or when it has left, or in place
    of that the TrainingFailed of a loss that is not finite. While that happens all trainings are whole: their states
    can be saved, and tell nothing of the stack.

    What a run comes to does not depend, to the bit, on what is beside it (on one thread), and is what ``fit.train``
    gives but for the order of sums and the stream of dropout, which is drawn 16 bits a unit.
    Raises: BadArgument for runs that are not ``stackable`` or differ in the size of their batches.
    """
    if len({run.batch for run in runs}) > 1 or not all(stackable(run.training, dataset) for run in runs):
        raise BadArgument(
            "a stack takes feed-forward networks under AdamW with batches of one size; train others alone"
        )
    under_way = [_UnderWay(run, dataset) for run in runs]
    handed_back = time.monotonic()
    while under_way:
        under_way.sort(key=lambda one: one.kind)  # one activation after the other
        stack = Stack([one.member for one in under_way], batch=under_way[0].run.batch)
        try:
            while True:
                going_on = [one.begins_step() for one in under_way]
                if not all(going_on):
                    break
                _step(stack, under_way, dataset)
                late = time.monotonic() - handed_back > fit.TICK_SECONDS
                telling = [one for one in under_way if one.at_end_of_epoch or late]
                if telling:
                    for one in under_way:
                        one.keep()
                    for one in telling:
                        yield from one.hand_back()
                    handed_back = time.monotonic()
                if not stack.intact():
                    break
        finally:  # also when the caller goes on no further
            stack.release()
            for one in under_way:
                one.keep()
        over = [one for one in under_way if one.over]
        under_way = [one for one in under_way if not one.over]
        for one in over:
            yield one.run, one.outcome()


def _step(stack: Stack, under_way: Sequence[_UnderWay], dataset: Dataset) -> None:
    picked = [one.picked() for one in under_way]
    together, shape = torch.cat(picked), (len(under_way), stack.batch)
    x, weights = dataset.x[together], dataset.loss_weights(together)
    parts = x.view(*shape, *x.shape[1:]).unbind()
    with torch.no_grad():
        inputs = [one.inputs(part) for one, part in zip(under_way, parts, strict=True)]
        targets = dataset.y[together].view(*shape, *dataset.y.shape[1:])
        losses = stack.gradients(inputs, targets, None if weights is None else weights.view(shape))
        stack.update([one.run.training.recipe.lr_at(one.run.training.progress) for one in under_way])
    for one, loss in zip(under_way, losses.tolist(), strict=True):
        one.ends_step(loss)


class _UnderWay:
    """A run and what it needs from one step to the next."""

    def __init__(self, run: Run, dataset: Dataset) -> None:
        self.run, self.dataset = run, dataset
        chain = chain_of(run.training.model)
        assert chain is not None
        self.member = Member(run.training, chain, torch.Generator().set_state(run.training.dropout_state))
        self.kind = [*ACTIVATIONS.values()].index(chain.layers[0].activation)
        self.batches = run.training.recipe.batches(len(run.rows))
        self.order: Tensor | None = None
        self.losses: list[float] = []
        self.over, self.at_end_of_epoch = False, False
        self.failure: TrainingFailed | None = None
        run.training.model.train()

    def begins_step(self) -> bool:
        """Look at how far the training has come; whether it goes on."""
        training = self.run.training
        if not self.over:
            training.progress = self.run.effort.progress(training.step)
            self.over = self.run.leaves or self.failure is not None or training.progress >= 1.0
        return not self.over

    def picked(self) -> Tensor:
        """Rows of the next batch."""
        training, size = self.run.training, self.run.batch
        if self.order is None:
            training.order.set_state(training.order_at_epoch)  # which a stop within an epoch left behind
            self.order = self.run.rows[torch.randperm(len(self.run.rows), generator=training.order)]
        return self.order[training.batch * size : (training.batch + 1) * size]

    def inputs(self, x: Tensor) -> Tensor:
        """What the first layer reads of rows ``x``."""
        return self.member.chain.inputs(inputs_of(self.run.training, self.dataset, x))

    def ends_step(self, loss: float) -> None:
        training = self.run.training
        training.step += 1
        training.batch += 1
        if self.run.after_step is not None:
            self.run.after_step(training)
        update_average(training)
        self.losses.append(loss)
        self.at_end_of_epoch = training.batch == self.batches
        if self.at_end_of_epoch:
            training.batch, training.epoch, self.order = 0, training.epoch + 1, None
            training.order_at_epoch = training.order.get_state()

    def hand_back(self) -> Iterator[tuple[Run, Tick]]:
        """One tick, unless the training has failed."""
        training = self.run.training
        if (mean := self._mean()) is None:
            return
        self.losses.clear()
        epoch = training.step / self.batches
        yield self.run, Tick(training.step, epoch, training.progress, mean, self.at_end_of_epoch)
        if not training.model.training:  # which goes through all modules, and takes as long as half a step
            training.model.train()

    def keep(self) -> None:
        """Put what the generator of dropout has come to where the training keeps it."""
        self.run.training.dropout_state = self.member.dropout.get_state()

    def outcome(self) -> TrainingFailed | None:
        """How the training ended: None for well."""
        self._mean()
        return self.failure

    def _mean(self) -> float | None:
        try:
            return checked(sum(self.losses) / max(1, len(self.losses)), self.run.training)
        except TrainingFailed as failure:
            self.failure = failure
            return None
