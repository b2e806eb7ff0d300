"""Who steps the trainings of candidates: one alone, or several side by side in a stack."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Sequence
from typing import TypeVar

from steerage import stops
from steerage.data.dataset import Dataset
from steerage.errors import InfeasibleBudget, TrainingFailed
from steerage.synthesis.clock import RunClock
from steerage.training.fit import Tick, train
from steerage.training.stacked.loop import Run, stackable, train_stacked

T = TypeVar("T")


def side_by_side(
    conducts: Sequence[Generator[Run, Tick | None, T]], dataset: Dataset, clock: RunClock
) -> list[T | TrainingFailed | InfeasibleBudget]:
    """What each of ``conducts`` comes to, in their order; those that a stack can take are trained together.

    A conduct says what is to be trained, is sent each tick, and None after the last; it returns what has become of it.
    Each comes to what it would come to alone, to the bit on one thread. One that fails leaves the others as they are;
    KeyboardInterrupt that one of them raises is told to all, so that each keeps what it has.
    """
    ended: dict[int, T | TrainingFailed | InfeasibleBudget] = {}
    under_way: dict[Run, int] = {}

    def tell(place: int, told: Tick | TrainingFailed | None) -> None:
        conduct = conducts[place]
        try:
            if isinstance(told, TrainingFailed):
                conduct.throw(told)
            else:
                under_way[conduct.send(told)] = place
        except StopIteration as end:
            ended[place] = end.value
        except (TrainingFailed, InfeasibleBudget) as failure:
            ended[place] = failure
        except KeyboardInterrupt as stop:  # all trainings are whole now, unlike within a step
            for other in {*under_way.values()} - {place, *ended}:
                with contextlib.suppress(KeyboardInterrupt):
                    conducts[other].throw(stop)
            raise

    for place in range(len(conducts)):
        tell(place, None)  # which begins it
    for group in _groups(list(under_way), dataset):
        for run, told in clock.counting(stops.in_whole_steps(_trained(group, dataset))):
            tell(under_way[run], told)
    return [ended[place] for place in range(len(conducts))]


def _groups(runs: Sequence[Run], dataset: Dataset) -> list[list[Run]]:
    """``runs`` that can share a stack together, each other one for itself."""
    groups: dict[int, list[Run]] = {}
    for index, run in enumerate(runs):
        groups.setdefault(run.batch if stackable(run.training, dataset) else -1 - index, []).append(run)
    return [*groups.values()]


def _trained(runs: Sequence[Run], dataset: Dataset) -> Iterator[tuple[Run, Tick | TrainingFailed | None]]:
    if stackable(runs[0].training, dataset):
        yield from train_stacked(runs, dataset)
        return
    (run,) = runs
    try:
        for tick in train(run.training, dataset, run.rows, effort=run.effort, after_step=run.after_step):
            yield run, tick
            if run.leaves:
                break
    except TrainingFailed as failure:
        yield run, failure
        return
    yield run, None
