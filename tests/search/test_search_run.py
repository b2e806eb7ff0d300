"""Facts about the loop of the search, and about stopping and resuming it."""

from __future__ import annotations

import contextlib
import math
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from steerage.errors import BadArgument, InfeasibleBudget, TrainingFailed
from steerage.events import RoundFinished, TrialFailed, TrialFinished, TrialStarted
from steerage.search import retrain
from steerage.search.evaluation import TrialOutcome
from steerage.search.front import hypervolume
from steerage.search.ranking import on_front, promising, ranking
from steerage.search.run import open_study, search, study_file
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


QUEUE = [{"width": width, "lr": 1e-3, "activation": "relu"} for width in (16, 64, 256)]


def queued_in(study: optuna.Study) -> optuna.Study:
    for values in QUEUE:
        study.enqueue_trial(values)
    return study


def run_in_order(study: optuna.Study) -> list[tuple[int, dict[str, object]]]:
    """Numbers and values of what was trained, in the order in which it was."""
    done = study.get_trials(states=(TrialState.COMPLETE,))
    return [(one.user_attrs["number"], one.params) for one in sorted(done, key=lambda one: one.number)]


@pytest.mark.parametrize("n_trials", [2, 5])
def test_a_kill_among_trials_that_were_queued_changes_neither_order_nor_numbers(n_trials: int, tmp_path: Path) -> None:
    straight, study = queued_in(open_study()), queued_in(study_in(tmp_path))
    list(search(SPACE, train, study=straight, n_trials=n_trials, start=4))
    for number in (0, 0, 1):
        with pytest.raises(Killed):
            list(search(SPACE, killed_at(number), study=study, n_trials=n_trials, start=4))
        study = study_in(tmp_path)
    list(search(SPACE, train, study=study, n_trials=n_trials, start=4))
    assert run_in_order(study) == run_in_order(straight)
    assert [values for _, values in run_in_order(study)][:3] == QUEUE[:n_trials]


@pytest.mark.parametrize("begun", [0, 1, 3])
def test_a_kill_while_one_that_was_queued_is_asked_for_does_not_lose_it(begun: int, tmp_path: Path) -> None:
    straight, study = queued_in(open_study()), queued_in(study_in(tmp_path))
    list(search(SPACE, train, study=straight, n_trials=5, start=4))
    left = study.ask(dict(list(SPACE.distributions.items())[:begun]))
    assert len(left.params) == begun
    list(search(SPACE, train, study=study_in(tmp_path), n_trials=5, start=4))
    assert run_in_order(study) == run_in_order(straight)


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


def noisy(number: int, values: Values) -> TrialOutcome:
    """An error with the luck of the training in it, as a number alone decides it."""
    luck = math.sin(12.9898 * number) * 43758.5453 % 1.0
    return TrialOutcome(train(number, values).error + luck, {"error": luck, "params": 10 + number})


def shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty trials are a long time in a test: train again from twenty on."""
    monkeypatch.setattr(retrain, "FROM", 20)


def test_the_last_trials_of_a_long_search_train_the_best_again(monkeypatch: pytest.MonkeyPatch) -> None:
    shortened(monkeypatch)
    study = open_study()
    events = list(search(SPACE, noisy, study=study, n_trials=20, start=12, batch=4))
    started = [event for event in events if isinstance(event, TrialStarted)]
    assert [event.number for event in started] == list(range(20))
    assert [event.repeats is None for event in started] == [True] * 17 + [False] * 3
    by_number = {event.number: event.values for event in started}
    assert all(event.values == by_number[event.repeats] for event in started if event.repeats is not None)
    assert len({SPACE.key(event.values) for event in started[:17]}) == 17
    assert [event.trials for event in events if isinstance(event, RoundFinished)] == [12, 16]
    ranked = ranking(study)
    assert sum(one.trainings for one in ranked) == 20 and len(ranked) == 17
    again = [one for one in ranked if one.trainings > 1]
    assert len(again) == 2 and all(one.spread > 0.0 for one in again)
    luckless = {event.number: event.error for event in events if isinstance(event, TrialFinished)}
    for one in again:
        numbers = [event.number for event in started if one.number in (event.number, event.repeats)]
        assert one.error == pytest.approx(sum(luckless[number] for number in numbers) / len(numbers))
        assert one.metrics["params"] == 10 + max(numbers)
    last = [event for event in events if isinstance(event, TrialFinished)][-1]
    assert (last.best_number, last.best_error) == (ranked[0].number, ranked[0].error)
    assert set(map(SPACE.key, promising(study, SPACE, n=3, seed=0))) <= {SPACE.key(one.values) for one in ranked}


def test_a_short_search_trains_nothing_again() -> None:
    study = open_study()
    events = list(search(SPACE, noisy, study=study, n_trials=12, start=12))
    assert all(event.repeats is None for event in events if isinstance(event, TrialStarted))


def test_new_trainings_survive_a_stop_and_are_not_done_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shortened(monkeypatch)
    straight = open_study()
    list(search(SPACE, noisy, study=straight, n_trials=20, start=16, seed=1))
    calls: list[tuple[int, int | None]] = []

    def killed(*numbers: int) -> Callable[[int, Values], TrialOutcome]:
        def evaluate(number: int, values: Values) -> TrialOutcome:
            if number in numbers:
                raise Killed
            return noisy(number, values)

        return evaluate

    for numbers in [(17,), (17,), (18,), (19,), ()]:
        events = search(SPACE, killed(*numbers), study=study_in(tmp_path), n_trials=20, start=16, seed=1)
        with contextlib.suppress(Killed):
            calls.extend((event.number, event.repeats) for event in events if isinstance(event, TrialFinished))
    assert [number for number, _ in calls] == list(range(20))
    assert [one for _, one in calls if one is not None] != []
    assert [(one.number, one.error, one.trainings, one.spread) for one in ranking(study_in(tmp_path))] == [
        (one.number, one.error, one.trainings, one.spread) for one in ranking(straight)
    ]


def test_a_candidate_that_fails_when_it_is_trained_again_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    shortened(monkeypatch)

    def evaluate(number: int, values: Values) -> TrialOutcome:
        if number == 17:
            raise TrainingFailed("diverged this time")
        return noisy(number, values)

    study = open_study()
    events = list(search(SPACE, evaluate, study=study, n_trials=20, start=16))
    first = next(event for event in events if isinstance(event, TrialStarted) and event.number == 17)
    assert first.repeats is not None
    assert ranking(study)[0].number != first.repeats
    assert next(one for one in ranking(study) if one.number == first.repeats).trainings >= 2


def test_a_search_by_time_trains_again_when_it_has_little_left(monkeypatch: pytest.MonkeyPatch) -> None:
    shortened(monkeypatch)
    study = open_study()

    def used() -> float:
        return len(study.trials) / 25

    events = list(search(SPACE, noisy, study=study, should_stop=lambda: used() >= 1.0, used=used, start=24))
    repeats = [event.repeats is not None for event in events if isinstance(event, TrialStarted)]
    assert repeats == [False] * 21 + [True] * 4


def test_a_round_names_the_incumbent_and_what_going_on_would_bring() -> None:
    study = open_study()
    events = list(search(SPACE, train, study=study, n_trials=14, start=6, batch=4))
    rounds = [event for event in events if isinstance(event, RoundFinished)]
    assert all(event.gain is not None and 0.0 <= event.gain <= event.best_error for event in rounds)
    known = [event.coverage for event in rounds if event.trials >= 10]
    assert len(known) == 2 and all(one is not None and 0.0 <= one <= 1.0 for one in known)
    assert rounds[0].coverage is None is rounds[0].tau, "six trials say nothing"
    assert [len(event.held_out) for event in rounds] == [0, 10, 14]
    assert (rounds[-1].best_number, rounds[-1].best_error) == (ranking(study)[0].number, ranking(study)[0].error)


def test_patience_ends_a_search_that_promises_next_to_nothing() -> None:
    study = open_study()
    options: dict[str, Any] = {"study": study, "n_trials": 40, "start": 6, "batch": 4, "patience": 2}
    list(search(SPACE, train, negligible=lambda best: math.inf, **options))
    assert len(ranking(study)) == 10
    assert list(search(SPACE, killed_at(*range(40)), negligible=lambda best: math.inf, **options)) == []


def test_patience_goes_on_while_there_is_something_to_gain() -> None:
    study = open_study()
    list(search(SPACE, train, study=study, n_trials=15, start=6, batch=4, patience=1, negligible=lambda best: 0.0))
    assert len(ranking(study)) == 15
    with pytest.raises(BadArgument, match="patience must be positive, got 0"):
        list(search(SPACE, train, study=study, n_trials=15, patience=0))


def test_rounds_that_promised_nothing_are_remembered_over_a_stop(tmp_path: Path) -> None:
    options: dict[str, Any] = {"n_trials": 40, "start": 6, "patience": 2, "negligible": lambda best: math.inf}
    with contextlib.suppress(Killed):
        list(search(SPACE, killed_at(7), study=study_in(tmp_path), **options))
    rounds = [
        event.round
        for event in search(SPACE, train, study=study_in(tmp_path), **options)
        if isinstance(event, RoundFinished)
    ]
    assert rounds == [1]
    assert len(ranking(study_in(tmp_path))) == 10


def width(values: Values) -> float:
    return float(values["width"])


def wider_is_better(number: int, values: Values) -> TrialOutcome:
    error = train(number, values).error
    return TrialOutcome(10.0 / width(values) + 0.1 * error, {"params": width(values)})


def volume(study: optuna.Study) -> float:
    known = ranking(study)
    errors, costs = np.array([one.error for one in known]), np.log([width(one.values) for one in known])
    return hypervolume(errors, costs, (2.0, math.log(600)))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_front_of_a_search_dominates_that_of_twice_as_many_random_candidates(seed: int) -> None:
    study, random = open_study(), open_study()
    list(search(SPACE, wider_is_better, study=study, n_trials=30, seed=seed, cost=width))
    random.sampler = optuna.samplers.RandomSampler(seed=seed)
    for number in range(60):
        trial = random.ask(fixed_distributions=dict(SPACE.distributions))
        random.tell(trial, wider_is_better(number, trial.params).error)
    assert volume(study) > volume(random)


def test_the_front_is_named_by_rising_cost() -> None:
    study = open_study()
    list(search(SPACE, wider_is_better, study=study, n_trials=26, cost=width))
    named = on_front(study, SPACE, cost=lambda trial: trial.metrics["params"], seed=0)
    costs = [one.metrics["params"] for one in named]
    assert len(costs) > 3 and costs == sorted(costs)
    few = on_front(study, SPACE, cost=lambda trial: trial.metrics["params"], seed=0, n=2)
    assert len(few) == 2 and few[-1] == named[-1]


def test_a_search_for_a_front_that_was_stopped_goes_on_as_a_straight_one(tmp_path: Path) -> None:
    options: dict[str, Any] = {"n_trials": 18, "start": 6, "batch": 4, "seed": 2, "cost": width}
    straight = open_study()
    list(search(SPACE, wider_is_better, study=straight, **options))
    for at in (3, 11):

        def evaluate(number: int, values: Values, at: int = at) -> TrialOutcome:
            if number == at:
                raise Killed
            return wider_is_better(number, values)

        with contextlib.suppress(Killed):
            list(search(SPACE, evaluate, study=study_in(tmp_path), **options))
    list(search(SPACE, wider_is_better, study=study_in(tmp_path), **options))
    numbered = [{one.number: one.values for one in ranking(study)} for study in (straight, study_in(tmp_path))]
    assert numbered[0] == numbered[1] and len(numbered[0]) == 18


def test_the_gain_of_a_front_is_a_share_of_its_hypervolume() -> None:
    study = open_study()
    events = list(search(SPACE, wider_is_better, study=study, n_trials=80, cost=width, again=0.0, patience=2))
    gains = [event.gain for event in events if isinstance(event, RoundFinished)]
    assert all(gain is not None and gain >= 0.0 for gain in gains)
    assert len(ranking(study)) == 80 or all(gain is not None and gain < 0.01 for gain in gains[-2:])


def test_members_of_the_front_are_trained_again() -> None:
    study = open_study()
    list(search(SPACE, wider_is_better, study=study, n_trials=60, start=51, cost=width))
    again = [one for one in ranking(study) if one.trainings > 1]
    sizes = [width(one.values) for one in again]
    assert len(again) == 5 and min(sizes) < 20 and max(sizes) > 300
    assert sum(one.trainings - 1 for one in again) == 9


def test_a_study_file_comes_with_all_of_its_tables_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, replace = tmp_path / "study.db", Path.replace
    (tmp_path / "study.db.new").write_text("what a killed process left")
    (tmp_path / "study.db.new-wal").write_text("of it")
    unique: list[bool] = []

    def watched(self: Path, target: Path) -> Path:
        with contextlib.closing(sqlite3.connect(self)) as database:
            indices = database.execute("select name from sqlite_master where type = 'index'").fetchall()
        unique.append(("ix_studies_study_name",) in indices and not path.exists())
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    for trials in (0, 1):
        with study_file(path) as study:
            assert len(study.trials) == trials
            study.ask()
    assert unique == [True]  # once, before there was a file
    assert [file.name for file in tmp_path.iterdir()] == ["study.db"]
