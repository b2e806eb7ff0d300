"""Facts about a search whose trials rest at rungs: what it saves, what it finds, and that stops change nothing."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from steerage.events import TrialFinished, TrialStarted, TrialStopped
from steerage.search import retrain
from steerage.search.curves import Judge
from steerage.search.evaluation import InRungs, TrialOutcome
from steerage.search.ranking import promising, ranking
from steerage.search.run import open_study, search
from steerage.space import Space, Values

SPACE = Space(
    {
        "width": IntDistribution(8, 512, log=True),
        "lr": FloatDistribution(1e-4, 1e-1, log=True),
        "activation": CategoricalDistribution(["relu", "gelu"]),
    }
)
RUNGS = (0.3, 0.6)
N = 30


class Killed(BaseException):
    """Stands for the end of the process."""


def luck(number: int, rung: float) -> float:
    return math.sin(12.9898 * number + 78.233 * rung) * 43758.5453 % 1.0


def end(values: Values) -> float:
    return abs(math.log(float(values["lr"]) / 3e-3)) + (values["activation"] != "gelu")


def ends(number: int, values: Values) -> TrialOutcome:
    return TrialOutcome(end(values))


def informative(number: int, rung: float, values: Values) -> float:
    """What a training shows at a rung: its end, later, and some luck."""
    return end(values) + 2.0 * (1.0 - rung) + 0.3 * luck(number, rung)


def uninformative(number: int, rung: float, values: Values) -> float:
    return luck(number, rung)


class Toy:
    """Trainings that can rest. ``spent``: share of a training that was done, by trial; ``asked``: at which rungs."""

    def __init__(
        self, shown: Callable[[int, float, Values], float] = informative, killed: Sequence[tuple[int, bool]] = ()
    ) -> None:
        self.shown, self.killed = shown, killed
        self.spent: dict[int, float] = {}
        self.rested: dict[int, float] = {}

    def __call__(self, number: int, values: Values, judge: Judge) -> TrialOutcome:
        at = self.rested.get(number, 0.0) if judge.going_on else 0.0
        if (number, judge.going_on) in self.killed:
            raise Killed
        for rung in (one for one in RUNGS if one > at):
            error = self.shown(number, rung, values)
            if judge(rung, error):
                self.spent[number] = self.rested[number] = rung
                return TrialOutcome(error, {}, stopped_at=rung)
        self.spent[number] = 1.0
        return TrialOutcome(end(values))


def searched(toy: Toy, study: optuna.Study, n_trials: int = N, seed: int = 0) -> list[object]:
    return list(search(SPACE, InRungs(toy), study=study, n_trials=n_trials, start=10, batch=4, seed=seed))


def numbers(events: Sequence[object], kind: type) -> list[int]:
    return [event.number for event in events if isinstance(event, kind)]


def test_rungs_that_tell_who_is_best_save_effort_and_lose_little() -> None:
    spent = 0.0
    for seed in range(3):
        toy, study, full = Toy(), open_study(), open_study()
        events = searched(toy, study, seed=seed)
        list(search(SPACE, ends, study=full, n_trials=N, start=10, batch=4, seed=seed))
        assert sorted(set(numbers(events, TrialStarted))) == list(range(N))
        assert min(numbers(events, TrialStopped)) >= 10, "the first come to their end"
        assert ranking(study)[0].error < ranking(full)[0].error + 0.1
        ended = {SPACE.key(one.values) for one in ranking(study)}
        assert {SPACE.key(values) for values in promising(study, SPACE, n=3, seed=0)} <= ended
        assert len(ended) == sum(share == 1.0 for share in toy.spent.values()) < N
        spent += sum(toy.spent.values())
    assert spent < 0.9 * 3 * N


def test_rungs_that_tell_nothing_are_not_trusted_and_change_nothing() -> None:
    for seed in range(2):
        toy, study, full = Toy(uninformative), open_study(), open_study()
        events = searched(toy, study, seed=seed)
        list(search(SPACE, ends, study=full, n_trials=N, start=10, batch=4, seed=seed))
        assert numbers(events, TrialStopped) == []
        assert [(one.number, one.values, one.error) for one in ranking(study)] == [
            (one.number, one.values, one.error) for one in ranking(full)
        ]


def late(number: int, rung: float, values: Values) -> float:
    """As informative, but trial 13 looks hopeless, and all after it look worse still."""
    return 50.0 + number if number >= 13 else informative(number, rung, values)


def told(study: optuna.Study) -> list[tuple[int, dict[str, object], float]]:
    return [(one.number, dict(one.values), one.error) for one in ranking(study)]


def test_trials_that_rest_go_on_once_others_are_worse_and_take_their_own_places() -> None:
    toy, study = Toy(late), open_study()
    events = searched(toy, study, 27)
    started = numbers(events, TrialStarted)
    assert set(numbers(events, TrialStopped)) == set(range(13, 26))
    # Between two batches, a third of the twelve before and the one that asks.
    assert started == [*range(26), 13, 14, 15, 16, 26]
    assert [toy.spent[number] for number in (13, 16, 17)] == [1.0, 1.0, 0.3]
    ended = {one.number: one.error for one in ranking(study) if one.number >= 13}
    assert ended == {number: end(by_number(events)[number]) for number in (13, 14, 15, 16, 26)}
    first, second = (one for one in study.trials if one.user_attrs["number"] == 13)
    assert (first.state, second.state) == (TrialState.PRUNED, TrialState.COMPLETE)
    assert list(first.user_attrs["curve"]) == ["0.3"] and list(second.user_attrs["curve"]) == ["0.3", "0.6"]


def by_number(events: Sequence[object]) -> dict[int, Values]:
    return {event.number: event.values for event in events if isinstance(event, TrialStarted)}


def test_one_that_is_expected_to_end_best_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[int]] = []

    def first_at_rest(trials: Sequence[optuna.trial.FrozenTrial], *_: object, **__: object) -> object:
        at_rest = [one for one in trials if one.state == TrialState.PRUNED]
        asked.append([one.user_attrs["number"] for one in at_rest])
        return at_rest[0] if at_rest else None

    monkeypatch.setattr("steerage.search.run.leader", first_at_rest)
    toy = Toy(late)
    searched(toy, open_study(), 18)
    assert asked[0] == [13] and {number: toy.spent[number] for number in (13, 14)} == {13: 1.0, 14: 1.0}


def study_in(folder: Path) -> optuna.Study:
    return open_study(f"sqlite:///{folder}/study.db")


def test_kills_lose_and_repeat_nothing(tmp_path: Path) -> None:
    straight, toy = open_study(), Toy(late)
    whole = searched(toy, straight, 30)
    seen: list[object] = []
    again = Toy(late)
    for killed in [[(12, False)], [(13, False)], [(15, False)], [(13, True)], [(13, True)], [(28, False)], []]:
        again.killed = killed
        with contextlib.suppress(Killed):
            for event in search(
                SPACE, InRungs(again), study=study_in(tmp_path), n_trials=30, start=10, batch=4, seed=0
            ):
                seen.append(event)
    for kind in (TrialStopped, TrialFinished):
        assert numbers(seen, kind) == numbers(whole, kind)
    assert again.spent == toy.spent
    assert told(study_in(tmp_path)) == told(straight)
    curves = [
        [(one.user_attrs["number"], one.user_attrs["curve"]) for one in study.trials if "curve" in one.user_attrs]
        for study in (straight, study_in(tmp_path))
    ]
    assert curves[0] == curves[1]


def test_a_kill_while_a_trial_that_goes_on_is_asked_for_does_not_lose_its_place(tmp_path: Path) -> None:
    straight = open_study()
    searched(Toy(late), straight, 27)
    study, asked = study_in(tmp_path), optuna.Study.ask

    def cut_off(self: optuna.Study, *args: object, **options: object) -> object:
        waiting = self.get_trials(states=(TrialState.WAITING,))
        if waiting and "continues" in waiting[0].user_attrs:
            self._storage.set_trial_state_values(waiting[0]._trial_id, TrialState.RUNNING)
            raise Killed
        return asked(self, *args, **options)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(optuna.Study, "ask", cut_off)
        searched(Toy(late), study, 27)
    searched(Toy(late), study_in(tmp_path), 27)
    assert told(study_in(tmp_path)) == told(straight)


def test_a_search_that_goes_on_is_the_one_at_once(tmp_path: Path) -> None:
    straight, toy = open_study(), Toy()
    searched(toy, straight, 30)
    for n_trials in (14, 22, 30):
        searched(toy, study_in(tmp_path), n_trials)
    assert told(study_in(tmp_path)) == told(straight)


def test_the_time_that_is_saved_goes_into_more_candidates() -> None:
    toys = Toy(late), Toy(uninformative)
    tried = []
    for toy in toys:
        study = open_study()

        def spent(toy: Toy = toy) -> float:
            return sum(toy.spent.values())

        list(search(SPACE, InRungs(toy), study=study, should_stop=lambda: spent() >= 20.0, used=None, start=10))
        tried.append(len(toy.spent))
    assert tried[0] > tried[1] == 20


def test_new_trainings_of_the_best_come_to_their_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrain, "FROM", 20)
    toy, study = Toy(late), open_study()
    events = searched(toy, study, 20)
    again = [event for event in events if isinstance(event, TrialStarted) and event.repeats is not None]
    assert [event.number for event in again] == [17, 18, 19]
    assert {event.repeats for event in again} <= {one.number for one in ranking(study)}
    assert all(toy.spent[event.number] == 1.0 for event in again)
