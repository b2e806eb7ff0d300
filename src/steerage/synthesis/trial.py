"""One trial of the global search, in this process or in a worker."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import torch

from steerage import store
from steerage.errors import InfeasibleBudget, TrainingFailed
from steerage.growprune import schemes
from steerage.search.curves import Judge
from steerage.search.evaluation import TrialOutcome
from steerage.search.fidelity import RUNGS
from steerage.seeds import child_seed
from steerage.space import Values
from steerage.synthesis.candidate import Bench, Rests, Trained, synthesize_candidate
from steerage.synthesis.parcel import Parcel
from steerage.synthesis.stage import remember
from steerage.training.evaluate import Scores
from steerage.training.recipe import Recipe

EARLY = "early_error"  # metric of a trial
TRIAL_SCHEME = schemes.gradual(start=0.25, end=0.75, steps=16)


@dataclass
class TrialTask:
    """Trains the candidates of a search; ``folder`` has their checkpoints. It travels as it is when a trial begins.

    ``seconds`` or ``epochs``: of each. ``early``: errors of earlier trials when they were looked at first, by which
    hopeless ones are given up; None where none is. ``best``: what the search minimizes, of the best trial that ended;
    the network of a better one is kept in ``network_of`` it.
    """

    bench: Bench | Parcel
    folder: Path
    seed: int
    seconds: float | None
    epochs: int | None
    early: list[float] | None
    best: float = math.inf

    def __call__(self, number: int, values: Values, judge: Judge | None = None) -> TrialOutcome:
        """Train trial ``number``. Raises: TrainingFailed; MemoryError."""
        bench = self.bench.bench if isinstance(self.bench, Parcel) else self.bench
        try:
            return self._trained(bench, number, values, judge, bench.recipe(values))
        except torch.OutOfMemoryError:  # of a GPU
            self._forget_checkpoint(number)
        recipe = bench.recipe(values)
        half = replace(recipe, batch_size=max(1, recipe.batch_size // 2))
        try:
            return self._trained(bench, number, values, judge, half)
        except torch.OutOfMemoryError as error:
            raise TrainingFailed(f"the GPU lacks memory even for batches of {half.batch_size}: {error}") from error

    def network_of(self, number: int) -> Path:
        """Where the network of a trial is that was the best when it ended."""
        return self.folder / f"ended-{number}.done"

    def rest_of(self, number: int) -> Path:
        """Where the training of a trial is while it rests."""
        return self.folder / f"trial-{number}.state"

    def _trained(self, bench: Bench, number: int, values: Values, judge: Judge | None, recipe: Recipe) -> TrialOutcome:
        going_on = judge is not None and judge.going_on
        hopeless = None if going_on or self.early is None else Hopeless(self.early)
        if bench.latency is not None:
            bench.latency.check(bench, values)
        try:
            trained = synthesize_candidate(
                bench,
                values,
                name=f"trial {number}",
                seed=child_seed(self.seed, "trial", number),
                seconds=self.seconds,
                epochs=self.epochs,
                scheme=TRIAL_SCHEME,
                recipe=recipe,
                hopeless=hopeless,
                rests=None if judge is None else self._rests(number, judge),
                checkpoint=self._checkpoint(number),
                exact=False,
            )
        except InfeasibleBudget as error:
            raise TrainingFailed(f"the candidate cannot be pruned so far: {error}") from error
        except RuntimeError as error:
            if "DefaultCPUAllocator" in str(error):  # which is how torch says it
                raise MemoryError("there is not enough memory for this candidate") from error
            raise
        outcome = _outcome(trained, {} if hopeless is None or hopeless.first is None else {EARLY: hopeless.first})
        if outcome.stopped_at is None and outcome.error < self.best:
            remember(self.network_of(number), values, trained)
        self._forget_checkpoint(number)
        return outcome

    def _checkpoint(self, number: int) -> Path:
        return self.folder / f"open-{number}.state"

    def _forget_checkpoint(self, number: int) -> None:
        for leftover in (self._checkpoint(number), store.previous(self._checkpoint(number))):
            leftover.unlink(missing_ok=True)

    def _rests(self, number: int, judge: Judge) -> Rests:
        """Where a trial may rest: at rungs, where its networks are compared by what the search minimizes."""

        def by_objective(rung: float, scores: Scores) -> bool:
            return math.isfinite(scores.objective) and judge(rung, scores.objective)

        return Rests(RUNGS, by_objective, self.rest_of(number), judge.going_on)


def _outcome(trained: Trained, early: dict[str, float]) -> TrialOutcome:
    scores = trained.scores
    metrics = {"error": scores.error, "loss": scores.loss, "epochs": trained.epochs, **early}
    if trained.stopped_at is not None:
        return TrialOutcome(scores.objective, metrics, trained.stopped_at)
    return TrialOutcome(scores.objective, {**metrics, **trained.cost.to_json()})


def get_ready() -> None:
    """Nothing; a worker that is given it imports what a trial needs, and does not lose the time later."""


class Hopeless:
    """Gives up a trial that is far behind all others at the same share of their training, before pruning starts.

    Later comparisons would mix networks at different densities; and a wrong guess costs a good candidate, so only
    those are given up whose error is three times the median, and outside of everything ``seen``.
    """

    def __init__(self, seen: Sequence[float] = ()) -> None:
        self._seen = seen
        self.first: float | None = None  # the error that the trial had when it was looked at

    def __call__(self, progress: float, scores: Scores) -> bool:
        if self.first is not None or progress > 0.5:
            return False
        self.first = scores.error
        return len(self._seen) >= 5 and scores.error > max(3.0 * median(self._seen), max(self._seen))
