"""The size of a network that nobody gave a budget: chosen by validation among a bound and two parts of it."""

from __future__ import annotations

import math
from dataclasses import replace

from steerage import events
from steerage.cost.budget import Budget
from steerage.errors import InfeasibleBudget, TrainingFailed
from steerage.seeds import child_seed
from steerage.synthesis.candidate import Bench
from steerage.synthesis.feasible import starting_points, violation_of
from steerage.synthesis.stage import Run, left, scheme_of, trained_in
from steerage.training.split import validation_split

PARTS = (1, 3, 9)  # of the bound
REPEATS, FEW_ROWS = 3, 2000  # trainings of a size, each with its own validation rows, where a split has few of them


def with_size(run: Run) -> Run:
    """``run`` with the budget, among parts of its own, whose networks have the lowest loss on rows held out.

    One of the template's starting points is pruned to each; the loss tells them apart on a few hundred rows where the
    error does not. A machine too slow for that keeps the largest, since what has not been learnt to the end is no
    matter of size.
    """
    bound = run.bench.budget.max_params
    assert bound is not None
    if run.plan.scarce:
        return run
    benches = [replace(run.bench, budget=Budget(max_params=bound // part)) for part in PARTS if bound // part >= 1]
    benches = [bench for bench in benches if any(violation_of(bench)(values) == 0 for values in starting_points(bench))]
    if len(benches) < 2:
        return run
    run.begin("sizing")
    repeats = REPEATS if len(run.bench.dataset.y) < FEW_ROWS else 1
    losses = [_loss(run, bench, at, repeats, left_over=len(benches) - at) for at, bench in enumerate(benches)]
    chosen = benches[min(range(len(benches)), key=lambda at: losses[at])]
    assert chosen.budget.max_params is not None
    run.emit(events.SizeChosen(chosen.budget.max_params))
    return replace(run, bench=chosen)


def _loss(run: Run, bench: Bench, place: int, repeats: int, *, left_over: int) -> float:
    """Mean validation loss over trainings at the budget of ``bench``; infinite if one fails."""
    losses = []
    values = next(values for values in starting_points(bench) if violation_of(bench)(values) == 0)
    for repeat in range(repeats):
        if repeat > 0:
            train, held = validation_split(bench.dataset, child_seed(run.seed, f"sizing {repeat}"))
            bench = replace(bench, train_rows=train, validation_rows=held)
        sized = replace(run, bench=bench)
        try:
            finalist = trained_in(
                sized,
                f"sized-{place}-{repeat}",
                values,
                phase="sizing",
                seconds=left(run, run.plan.ends("sizing"), repeats * left_over - repeat),
                scheme=scheme_of(sized, values),
                announce=False,
            )
        except (TrainingFailed, InfeasibleBudget):
            return math.inf
        losses.append(finalist.trained.scores.loss)
    return sum(losses) / len(losses)
