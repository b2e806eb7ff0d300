"""The size of a network that nobody gave a budget: chosen by validation among a bound and two parts of it.

With it comes how long such networks learn before they know the rows by heart. A size that is trained for too long would
be told by how little it can learn by heart, and small ones always won.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from steerage import events
from steerage.cost.budget import Budget
from steerage.errors import InfeasibleBudget, TrainingFailed
from steerage.seeds import child_seed
from steerage.space import Values
from steerage.synthesis.candidate import Bench
from steerage.synthesis.feasible import starting_points, violation_of
from steerage.synthesis.plan import FEWEST_EPOCHS, FEWEST_SECONDS
from steerage.synthesis.stage import Finalist, Run, left, scheme_of, trained_in
from steerage.training.split import validation_split

PARTS = (1, 3, 9)  # of the bound
LENGTHS = (1.0, 0.3, 0.1, 0.03)  # of the time that a training may have; each while the one before helped
REPEATS, FEW_ROWS = 3, 2000  # trainings of a size, each with its own validation rows, where a split has few of them
NAME = "sized"


@dataclass(frozen=True)
class _Best:
    """Of one size: the lowest mean loss over lengths, at which of them, and how long that is."""

    loss: float
    length: float = 1.0
    seconds: float = math.inf
    epochs: float = math.inf


def with_size(run: Run) -> Run:
    """``run`` with the budget, among parts of its own, whose networks have the lowest loss on rows held out.

    One of the template's starting points is pruned to each, for as long as is best for it; the loss tells them apart
    on a few hundred rows where the error does not. Where the best length is shorter than there is time for, trials and
    the promotion's first trainings become no longer than it. A machine too slow for that keeps the largest, since what
    has not been learnt to the end is no matter of size.
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
    found = [_best(run, bench, at, repeats, left_over=len(benches) - at) for at, bench in enumerate(benches)]
    at = min(range(len(benches)), key=lambda at: found[at].loss)
    chosen, best = benches[at], found[at]
    assert chosen.budget.max_params is not None
    run.emit(events.SizeChosen(chosen.budget.max_params))
    plan = replace(run.plan, most_params=bound)
    if best.length < 1.0:
        plan = replace(plan, most_seconds=best.seconds, most_epochs=best.epochs)
    return replace(run, bench=chosen, plan=plan)


def _best(run: Run, bench: Bench, place: int, repeats: int, *, left_over: int) -> _Best:
    """The lowest mean validation loss at the budget of ``bench``; infinite if a training of full length fails."""
    values = next(values for values in starting_points(bench) if violation_of(bench)(values) == 0)
    best, full, timed = _Best(math.inf), _Best(math.inf), run.plan.effort.timed
    for step, length in enumerate(LENGTHS):
        if length * full.epochs < FEWEST_EPOCHS or (timed and length * full.seconds < FEWEST_SECONDS):
            break
        trained: list[Finalist] = []
        for repeat in range(repeats):
            # What a full length may take, so that there is time for the shorter ones of all sizes.
            share = left(run, run.plan.ends("sizing"), sum(LENGTHS) * (repeats * left_over - repeat))
            seconds = None if share is None else share if step == 0 else length * full.seconds
            name = f"{NAME}-{place}-{repeat}" + (f"-{step}" if step > 0 else "")
            try:
                trained.append(_trained(run, bench, values, name, repeat, seconds, length))
            except (TrainingFailed, InfeasibleBudget):
                return best
        scores = [one.trained for one in trained]
        now = _Best(
            sum(one.scores.telling for one in scores) / repeats,
            length,
            sum(one.seconds for one in scores) / repeats,
            sum(one.epochs for one in scores) / repeats,
        )
        full = now if step == 0 else full
        if not now.loss < best.loss:
            break
        best = now
    return best


def _trained(
    run: Run, bench: Bench, values: Values, name: str, repeat: int, seconds: float | None, length: float
) -> Finalist:
    """One training; each repeat has validation rows of its own."""
    if repeat > 0:
        train, held = validation_split(bench.dataset, child_seed(run.seed, f"sizing {repeat}"))
        bench = replace(bench, train_rows=train, validation_rows=held)
    sized = replace(run, bench=bench)
    return trained_in(
        sized,
        name,
        values,
        phase="sizing",
        seconds=seconds,
        epochs=max(1, round(length * run.plan.epochs("sizing"))),
        scheme=scheme_of(sized, values),
        announce=False,
    )
