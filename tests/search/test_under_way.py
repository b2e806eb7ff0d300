"""Facts about a search that has several trials under way."""

from __future__ import annotations

import contextlib
import math
import random
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from steerage.errors import BadArgument, TrainingFailed
from steerage.events import RoundFinished, TrialFailed, TrialFinished, TrialLost, TrialStarted, TrialStopped
from steerage.search import fidelity, retrain
from steerage.search import run as search_run
from steerage.search.curves import Judge, is_stopped
from steerage.search.evaluation import InRungs, TrialOutcome
from steerage.search.ranking import ranking
from steerage.search.run import open_study, search
from steerage.search.under_way import Workers
from steerage.space import Space, Values

SPACE = Space(
    {
        "width": IntDistribution(8, 512, log=True),
        "lr": FloatDistribution(1e-4, 1e-1, log=True),
        "activation": CategoricalDistribution(["relu", "gelu"]),
    }
)
AHEAD = 3


class Killed(BaseException):
    """Stands for the end of the process."""


class Scrambled(Executor):
    """Workers that come to an end in any order: whenever they are waited for, one of them does. ``done``: of whom."""

    def __init__(self, seed: int, *, killed_after: int | None = None) -> None:
        self._rng, self._left = random.Random(seed), list[tuple[Future[Any], Callable[[], Any], int]]()
        self._killed_after, self.done = killed_after, list[int]()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._left.append((future, lambda: fn(*args, **kwargs), args[1]))
        return future

    def wait(self, futures: Collection[Future[Any]]) -> None:
        future, work, number = self._left.pop(self._rng.randrange(len(self._left)))
        self.done.append(number)
        future.set_result(work())
        if self._killed_after is not None and len(self.done) >= self._killed_after:
            raise Killed

    def workers(self, *, in_order: bool = True) -> Workers:
        return Workers(self, AHEAD, in_order, self.wait)


def train(number: int, values: Values) -> TrialOutcome:
    return TrialOutcome(abs(math.log(float(values["lr"]) / 3e-3)) + (values["activation"] != "gelu") + 1e-3 * number)


class Resting:
    """Trainings that can rest at a rung, and go on."""

    def __call__(self, number: int, values: Values, judge: Judge) -> TrialOutcome:
        end = train(number, values).error
        if not judge.going_on and judge(0.3, end + 1.0):
            return TrialOutcome(end + 1.0, {}, stopped_at=0.3)
        return TrialOutcome(end)


def searched(workers: Workers, study: optuna.Study | None = None, n_trials: int = 12, **options: Any) -> list[object]:
    study = open_study() if study is None else study
    return list(search(SPACE, train, study=study, n_trials=n_trials, start=6, workers=workers, **options))


def what_was_trained(study: optuna.Study) -> list[tuple[int, dict[str, Any], float, int]]:
    return sorted((one.number, one.values, one.error, one.trainings) for one in ranking(study))


def kinds(events: list[object]) -> list[tuple[str, object]]:
    return [(type(event).__name__, getattr(event, "number", None)) for event in events]


def test_what_is_trained_does_not_depend_on_which_worker_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrain, "FROM", 10)
    studies = [open_study() for _ in range(3)]
    told = [
        searched(workers, study, again=0.3)
        for workers, study in zip(
            [Workers(ahead=AHEAD), Scrambled(1).workers(), Scrambled(2).workers()], studies, strict=True
        )
    ]
    assert kinds(told[0]) == kinds(told[1]) == kinds(told[2])
    trained = [what_was_trained(study) for study in studies]
    assert trained[0] == trained[1] == trained[2]
    repeats = [event for event in told[0] if isinstance(event, TrialStarted) and event.repeats is not None]
    assert len(repeats) == 4 and len({event.repeats for event in repeats[:2]}) == 2, "a round goes on side by side"


def first_of_two(trials: Sequence[FrozenTrial], *_: object, **__: object) -> FrozenTrial | None:
    """Where two rest the first goes on, in place of who is expected to end best."""
    resting = [one for one in trials if is_stopped(one)]
    return resting[0] if len(resting) > 1 else None


def test_trials_that_rest_go_on_beside_others_whoever_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fidelity, "LEAST", 4)
    monkeypatch.setattr(fidelity, "TRUST", -2.0)
    monkeypatch.setattr(search_run, "leader", first_of_two)
    studies = [open_study(), open_study()]
    told = [
        list(
            search(
                SPACE,
                InRungs(Resting()),
                study=study,
                n_trials=18,
                start=6,
                seed=1,
                workers=Scrambled(seed).workers(),
            )
        )
        for seed, study in enumerate(studies)
    ]
    assert kinds(told[0]) == kinds(told[1])
    assert what_was_trained(studies[0]) == what_was_trained(studies[1])
    stopped = [event.number for event in told[0] if isinstance(event, TrialStopped)]
    ended = {event.number for event in told[0] if isinstance(event, TrialFinished)}
    assert stopped and set(stopped) & ended, "there is something to test"
    assert set(stopped) | ended == set(range(18))
    rounds = [event.round for event in told[0] if isinstance(event, RoundFinished)]
    assert rounds == list(range(len(rounds))) and len(rounds) == 4


def test_a_search_that_was_killed_again_and_again_trains_the_same_and_nothing_finished_twice(tmp_path: Path) -> None:
    straight = open_study()
    searched(Workers(ahead=AHEAD), straight, n_trials=9)
    done: list[int] = []
    for turn in range(99):
        study = open_study(f"sqlite:///{tmp_path}/study.db")
        workers = Scrambled(turn, killed_after=1 + turn % 3)
        with contextlib.suppress(Killed):
            searched(workers.workers(), study, n_trials=9)
            break
        done += workers.done[:-1]  # the last one ended at the moment of the kill
    assert turn > 3
    assert what_was_trained(study) == what_was_trained(straight)
    assert max(Counter(done).values()) == 1


def test_those_under_way_are_all_different_and_are_told_as_they_come_where_order_does_not_matter() -> None:
    study, workers = open_study(), Scrambled(0)
    events = searched(workers.workers(in_order=False), study)
    finished = [event.number for event in events if isinstance(event, TrialFinished)]
    assert sorted(finished) == list(range(12)) and finished == workers.done != sorted(finished)
    assert len({SPACE.key(one.values) for one in ranking(study)}) == 12


def test_any_executor_will_do() -> None:
    study = open_study()
    with ThreadPoolExecutor(2) as threads:
        searched(Workers(threads, ahead=2), study, n_trials=8)
    other = open_study()
    searched(Workers(ahead=2), other, n_trials=8)
    assert what_was_trained(study) == what_was_trained(other)


class Dying(Executor):
    """Workers of which the first ``times`` that get trial 2 are lost."""

    def __init__(self, times: int) -> None:
        self.left = times

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if args[1] == 2 and self.left:
            self.left -= 1
            future.set_exception(BrokenExecutor("it was killed"))
        else:
            future.set_result(fn(*args, **kwargs))
        return future


@pytest.mark.parametrize("times", [1, 2])
def test_a_lost_worker_costs_one_training_that_is_tried_once_more(times: int) -> None:
    events = searched(Workers(Dying(times), ahead=2), n_trials=5)
    assert [(event.number, event.reason) for event in events if isinstance(event, TrialLost)] == [(2, "it was killed")]
    failed = [(event.number, event.reason) for event in events if isinstance(event, TrialFailed)]
    assert failed == ([] if times == 1 else [(2, "it was killed; and before: it was killed")])
    assert sum(isinstance(event, TrialFinished) for event in events) == (5 if times == 1 else 4)


def test_any_other_fault_of_a_worker_ends_the_search() -> None:
    def broken(number: int, values: Values) -> TrialOutcome:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(search(SPACE, broken, study=open_study(), n_trials=4, workers=Workers(ahead=2)))


def test_failures_are_told_from_workers_too() -> None:
    def refused(number: int, values: Values) -> TrialOutcome:
        raise TrainingFailed("no such network")

    with ThreadPoolExecutor(2) as threads, pytest.raises(TrainingFailed, match="all failed"):
        list(search(SPACE, refused, study=open_study(), n_trials=9, workers=Workers(threads, ahead=2)))


def test_ahead_must_be_positive() -> None:
    with pytest.raises(BadArgument, match="ahead must be positive"):
        Workers(ahead=0)
