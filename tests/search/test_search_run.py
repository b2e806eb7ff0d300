"""Facts about the loop of the search, and about stopping and resuming it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from steerage.errors import BadArgument, InfeasibleBudget, TrainingFailed
from steerage.events import RoundFinished, TrialFailed, TrialFinished, TrialStarted
from steerage.search.run import TrialOutcome, open_study, promising, ranking, search
from steerage.space import Space, Values

SPACE = Space(
    {
        "width": IntDistribution(8, 512, log=True),
        "lr": FloatDistribution(1e-4, 1e-1, log=True),
        "activation": CategoricalDistribution(["relu", "gelu"]),
    }
)


class Killed(BaseException):
    """Stands for the end of the process."""


def train(number: int, values: Values) -> TrialOutcome:
    error = abs(math.log(float(values["lr"]) / 3e-3)) + (values["activation"] != "gelu")
    return TrialOutcome(error, {"epochs": 2.0})


def killed_at(*numbers: int) -> Callable[[int, Values], TrialOutcome]:
    def evaluate(number: int, values: Values) -> TrialOutcome:
        if number in numbers:
            raise Killed
        return train(number, values)

    return evaluate


def study_in(folder: Path) -> optuna.Study:
    return open_study(f"sqlite:///{folder}/study.db")


def test_events_tell_the_whole_story() -> None:
    study = open_study()
    events = list(search(SPACE, train, study=study, n_trials=14, start=6, batch=4))
    started = [event for event in events if isinstance(event, TrialStarted)]
    finished = [event for event in events if isinstance(event, TrialFinished)]
    rounds = [event for event in events if isinstance(event, RoundFinished)]
    assert [event.number for event in started] == [event.number for event in finished] == list(range(14))
    assert [(event.round, event.trials) for event in rounds] == [(0, 6), (1, 10), (2, 14)]
    assert [event.best_error for event in finished] == [
        min(other.error for other in finished[: i + 1]) for i in range(14)
    ]
    ranked = ranking(study)
    assert [one.error for one in ranked] == sorted(event.error for event in finished)
    assert ranked[0].metrics == {"epochs": 2.0} and SPACE.validate(ranked[0].values)


def test_a_stopped_and_resumed_search_equals_a_straight_one(tmp_path: Path) -> None:
    straight = open_study()
    list(search(SPACE, train, study=straight, n_trials=13, start=6, batch=4, seed=2))
    calls: list[int] = []
    for numbers in [(0,), (7,), (7,), ()]:
        events = search(SPACE, killed_at(*numbers), study=study_in(tmp_path), n_trials=13, start=6, batch=4, seed=2)
        with contextlib.suppress(Killed):
            calls.extend(event.number for event in events if isinstance(event, TrialFinished))
    again = study_in(tmp_path)
    assert calls == list(range(13))
    assert [(one.number, one.values, one.error) for one in ranking(again)] == [
        (one.number, one.values, one.error) for one in ranking(straight)
    ]


def test_a_finished_search_evaluates_nothing_more() -> None:
    study = open_study()
    list(search(SPACE, train, study=study, n_trials=5))
    assert list(search(SPACE, killed_at(*range(99)), study=study, n_trials=5)) == []


def test_a_failed_training_is_told_and_the_search_goes_on() -> None:
    def evaluate(number: int, values: Values) -> TrialOutcome:
        if number == 2:
            raise TrainingFailed("loss is not finite")
        return TrialOutcome(math.nan) if number == 3 else train(number, values)

    study = open_study()
    events = list(search(SPACE, evaluate, study=study, n_trials=8, start=4))
    failed = [event for event in events if isinstance(event, TrialFailed)]
    assert [event.number for event in failed] == [2, 3] and failed[0].reason == "loss is not finite"
    assert len(ranking(study)) == 6
    assert study.get_trials(states=(TrialState.FAIL,))[0].user_attrs["reason"] == "loss is not finite"


def test_five_failures_from_the_start_end_the_search() -> None:
    def evaluate(number: int, values: Values) -> TrialOutcome:
        raise TrainingFailed(f"trial {number} is hopeless")

    study = open_study()
    with pytest.raises(TrainingFailed, match=r"first 5 trials all failed.*trial 4 is hopeless"):
        list(search(SPACE, evaluate, study=study, n_trials=20))


def test_should_stop_ends_the_search_between_trials() -> None:
    study = open_study()
    list(search(SPACE, train, study=study, should_stop=lambda: len(ranking(study)) >= 3))
    assert len(ranking(study)) == 3


def test_a_small_space_is_searched_once_and_no_more() -> None:
    space = Space({"a": IntDistribution(0, 2), "b": IntDistribution(0, 1)})
    study = open_study()
    list(search(space, lambda number, values: TrialOutcome(float(values["a"])), study=study, n_trials=50))
    assert len(study.trials) == len({space.key(one.values) for one in ranking(study)}) == 6


def test_no_trial_is_outside_the_budget() -> None:
    study = open_study()
    events = search(
        SPACE, train, study=study, n_trials=10, start=6, violation=lambda v: max(0.0, float(v["width"]) / 32 - 1.0)
    )
    assert all(event.values["width"] <= 32 for event in events if isinstance(event, TrialStarted))


def test_an_impossible_budget_ends_before_any_trial() -> None:
    study = open_study()
    with pytest.raises(InfeasibleBudget, match="no point inside the budget"):
        list(search(SPACE, train, study=study, n_trials=10, violation=lambda values: 1.0))
    assert study.trials == []


def test_a_queued_candidate_is_tried_first() -> None:
    study = open_study()
    plain = {"width": 64, "lr": 1e-3, "activation": "relu"}
    study.enqueue_trial(plain)
    first = next(iter(search(SPACE, train, study=study, n_trials=3)))
    assert first == TrialStarted(0, plain)


def test_a_search_without_a_limit_or_a_minimum_is_refused() -> None:
    with pytest.raises(BadArgument, match="got neither"):
        list(search(SPACE, train, study=open_study()))
    with pytest.raises(BadArgument, match="MAXIMIZE"):
        list(search(SPACE, train, study=optuna.create_study(direction="maximize"), n_trials=1))


def test_the_trials_alone_decide_while_they_are_few() -> None:
    study = open_study()
    list(search(SPACE, train, study=study, n_trials=6, seed=0))
    assert promising(study, SPACE, n=3, seed=0) == [one.values for one in ranking(study)[:3]]


def test_the_most_promising_are_good_trials_each_named_once() -> None:
    study = open_study()
    list(search(SPACE, train, study=study, n_trials=24, seed=0))
    ranked = [SPACE.key(one.values) for one in ranking(study)]
    best = [SPACE.key(values) for values in promising(study, SPACE, n=3, seed=0)]
    assert len(set(best)) == 3
    assert set(best) <= set(ranked[:8])
    assert best == [SPACE.key(values) for values in promising(study, SPACE, n=3, seed=0)]
