"""The best few candidates of a search, trained anew: which of them goes on, and how long it is to be trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from steerage.errors import TrainingFailed
from steerage.seeds import child_seed
from steerage.space import Values
from steerage.synthesis import pareto
from steerage.synthesis.candidate import Trained
from steerage.synthesis.plan import FEWEST_EPOCHS, FEWEST_SECONDS, Plan
from steerage.synthesis.plan import LONGER as MULTIPLES
from steerage.synthesis.preference import better, expected_of, helped, preferred
from steerage.synthesis.stage import Finalist, Run, announce_trained, left, recall, scheme_of, train_apart, trained_in
from steerage.synthesis.team import Call
from steerage.training.evaluate import Scores
from steerage.training.split import validation_split

SHORTER, LONGER = "promoted-shorter", "promoted-longer"  # and which of them
CONFIRMING = 2  # trainings of the promotion's length on other rows


@dataclass(frozen=True)
class Again:
    """A training of the promotion: of one of ``shares`` of the phase's time, and no more than ``most`` seconds; of
    ``multiple`` times the phase's epochs, where those are counted.
    """

    name: str
    values: Values
    shares: float
    multiple: float = 1.0
    most: float = math.inf


def promote(run: Run, candidates: Sequence[Values]) -> Finalist:
    """Train the best few candidates again, with new seeds, then the best of them for shorter or longer times.

    Raises: TrainingFailed if it fails for each candidate.
    """
    run.begin("promotion")
    plan, finalists = run.plan, list[Finalist]()
    rest = sum(plan.shorter[:1]) + (max(plan.longer, default=0.0) if run.team.apart else sum(plan.longer))
    first = _trainings(candidates, plan, jobs=run.team.jobs, rest=rest + (CONFIRMING if plan.confirms else 0))
    _by_workers(run, first)
    for training in first:
        try:
            finalists.append(_promoted(run, training))
        except TrainingFailed:  # what went well in the search need not go well with another seed
            if training is first[-1] and not finalists:
                raise
    return _long_enough(run, confirmed(run, preferred(run, finalists), finalists))


def _long_enough(run: Run, winner: Finalist) -> Finalist:
    """``winner``, or the same trained for shorter while that is no worse, or else for longer while that helps.

    A network for few rows that learns for too long knows them by heart: how long is a choice like any other.
    """
    base, plan = winner.trained.seconds, run.plan
    epochs = winner.trained.epochs if plan.effort.timed else plan.epochs("promotion")
    least = max(FEWEST_EPOCHS / epochs, FEWEST_SECONDS / base if plan.effort.timed else 0.0)
    shorter = [
        Again(f"{SHORTER}-{index}", winner.values, 1.0, multiple, multiple * base)
        for index, multiple in enumerate(plan.shorter)
        if multiple >= least
    ]
    best = _while_better(run, winner, shorter, lambda before, now: better(run, before, now))
    if best is not winner:
        return best
    longer = [
        Again(f"{LONGER}-{index}", winner.values, sum(plan.longer[index:]) / multiple, multiple, multiple * base)
        for index, multiple in enumerate(plan.longer)
    ]
    if run.team.apart:
        longer = [replace(one, shares=max(plan.longer) / one.multiple) for one in longer]
    return _while_better(run, winner, longer, lambda before, now: helped(run, before, now))


def _while_better(
    run: Run, best: Finalist, trainings: Sequence[Again], is_better: Callable[[Scores, Scores], bool]
) -> Finalist:
    """The last of ``trainings`` before one that is no better than the one before it, ``best`` before the first."""
    _by_workers(run, trainings)
    for training in trainings:
        try:
            finalist = _promoted(run, training)
        except TrainingFailed:
            break
        if not is_better(best.trained.scores, finalist.trained.scores):
            break
        best = finalist
    return best


def is_longest(finalist: Finalist, plan: Plan) -> bool:
    """Whether it comes from the longest training that there may be, so that a longer one might be better still."""
    return finalist.name == f"{LONGER}-{(1 if plan.scarce else len(MULTIPLES)) - 1}"


def promote_front(run: Run, members: Sequence[Values]) -> list[Finalist]:
    """Train the ``members`` of a front longer, with new seeds; those that still are one, compacted, by rising cost.

    Raises: TrainingFailed if it fails for each of them.
    """
    assert run.plan.pareto is not None
    run.begin("promotion")
    trainings = _trainings(members, run.plan, jobs=run.team.jobs)
    _by_workers(run, trainings)

    def train(index: int, values: Values) -> Trained:
        return _promoted(run, trainings[index]).trained

    front = pareto.trained_front(members, train, run.bench, run.plan.pareto)
    return [Finalist(f"{place:02}", values, trained) for place, (values, trained) in enumerate(front, start=1)]


def _trainings(candidates: Sequence[Values], plan: Plan, *, jobs: int, rest: float = 0.0) -> list[Again]:
    """One training for each of ``candidates``, ``jobs`` at a time; ``rest``: shares that come after them."""
    rows = math.ceil(len(candidates) / jobs)
    return [
        Again(f"promoted-{index}", values, rows - index // jobs + rest, most=plan.most_seconds)
        for index, values in enumerate(candidates)
    ]


def _by_workers(run: Run, trainings: Sequence[Again]) -> None:
    """Have the workers do those of ``trainings`` that are not done; what they leave is then found in the folder.

    A single one is done as well by this process, which may have more threads.
    """
    folder = run.directory.candidates
    missing = [one for one in trainings if not (folder / f"{one.name}.done").is_file()]
    if not run.team.apart or len(missing) < 2:
        return
    bench, ends = run.team.bench(run.bench, folder), run.plan.ends("promotion") if run.plan.effort.timed else None
    place = folder.resolve()
    calls = [
        Call(
            one.name,
            train_apart,
            (bench, place, one.name, one.values, ends, one.shares, one.most, _options(run, one)),
        )
        for one in missing
    ]
    for call in run.team.done(calls):
        kept = recall(run.bench, folder / f"{call.name}.done", call.name)
        if kept is not None:
            announce_trained(run, call.name, kept.trained)


def _options(run: Run, training: Again) -> dict[str, Any]:
    return {
        "seed": child_seed(run.seed, training.name),
        "epochs": None if run.plan.effort.timed else _epochs(run, training),
        "scheme": scheme_of(run, training.values),
    }


def _epochs(run: Run, training: Again) -> int:
    return max(1, round(training.multiple * run.plan.epochs("promotion")))


def _promoted(run: Run, training: Again) -> Finalist:
    seconds = left(run, run.plan.ends("promotion"), training.shares)
    return trained_in(
        run,
        training.name,
        training.values,
        phase="promotion",
        seconds=None if seconds is None else min(seconds, training.most),
        epochs=_epochs(run, training),
        scheme=scheme_of(run, training.values),
        announce=False,
    )


def confirmed(run: Run, best: Finalist, finalists: Sequence[Finalist]) -> Finalist:
    """``best``, if it beats the best starting point of ``finalists`` on other validation rows, too; or else that one.

    The best of many trials is partly the luckiest on the rows that chose it; on others luck is even. Both are trained
    again for that, as long as before, and each of them on what the other rows leave. Nobody is told of their errors,
    which cannot be compared with those of the others.
    """
    expected = expected_of(run, finalists) if run.plan.confirms else None
    if expected is None or best is expected:
        return best
    rows, held = validation_split(run.bench.dataset, child_seed(run.seed, "confirmation"))
    elsewhere = replace(run, bench=replace(run.bench, train_rows=rows, validation_rows=held), emit=lambda event: None)
    try:
        again = [_confirming(elsewhere, one) for one in (best, expected)]
    except TrainingFailed:
        return expected
    return best if again[0].trained.scores.objective < again[1].trained.scores.objective else expected


def _confirming(run: Run, finalist: Finalist) -> Finalist:
    """A network of the promotion, trained once more in the same way."""
    return trained_in(
        run,
        f"confirmed-{finalist.name}",
        finalist.values,
        phase="promotion",
        seconds=finalist.trained.seconds if run.plan.effort.timed else None,
        epochs=max(1, round(finalist.trained.epochs)),
        scheme=scheme_of(run, finalist.values),
        announce=False,
    )
