"""Facts about the sampler in the studies of other Optuna users."""

from __future__ import annotations

import copy
import math
import pickle
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import PartialFixedSampler, RandomSampler
from optuna.study import Study
from optuna.trial import Trial, TrialState

from steerage.errors import InfeasibleBudget
from steerage.search.sampler import SteerageSampler
from steerage.space import Space, Values

optuna.logging.set_verbosity(optuna.logging.ERROR)

PLANE: dict[str, BaseDistribution] = {"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)}


def anything(trial: Trial) -> float:
    """Every kind of parameter."""
    total = trial.suggest_float("x", -1, 1) ** 2 + abs(math.log10(trial.suggest_float("lr", 1e-5, 1, log=True)) + 2)
    total += abs(trial.suggest_float("rate", 0, 1, step=0.25) - 0.5) + abs(trial.suggest_int("n", 1, 64, log=True) - 8)
    total += trial.suggest_int("depth", 2, 10, step=2) / 10
    choice = trial.suggest_categorical("choice", [None, 1, "a", 2.5, True, math.nan])
    return total + (choice is not None)


def simple(trial: Trial) -> float:
    return trial.suggest_float("x", 0, 1) + trial.suggest_int("n", 0, 99)


def asked(study: Study, distributions: dict[str, BaseDistribution], value: Callable[[Trial], float]) -> Trial:
    trial = study.ask(fixed_distributions=distributions)
    study.tell(trial, value(trial))
    return trial


def in_plane(trial: Trial) -> float:
    return float((trial.params["x"] - 0.3) ** 2 + (trial.params["y"] - 0.6) ** 2)


def test_every_kind_of_parameter_is_searched_and_none_of_it_left_to_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    study = optuna.create_study(sampler=SteerageSampler(seed=0))
    study.optimize(anything, n_trials=1)
    monkeypatch.setattr(SteerageSampler, "sample_independent", lambda *_: pytest.fail("sampled independently"))
    study.optimize(anything, n_trials=23)
    keys = {tuple(repr(value) for value in trial.params.values()) for trial in study.trials}
    assert len(keys) == 24
    assert study.best_params["choice"] is None


def test_a_gene_that_appears_late_is_random_and_the_others_are_not() -> None:
    names: list[str] = []

    sampler = SteerageSampler(seed=0)
    original = sampler.sample_independent

    def watched(study: Study, trial: Any, name: str, distribution: BaseDistribution) -> Any:
        names.append(name)
        return original(study, trial, name, distribution)

    sampler.sample_independent = watched  # type: ignore[method-assign]
    study = optuna.create_study(sampler=sampler)

    def objective(trial: Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        return x + (trial.suggest_float("late", 0, 1) if trial.number % 2 else 0.0)

    study.optimize(objective, n_trials=8)
    assert names == ["x", "late", "late", "late", "late"]


def test_genes_of_a_space_that_the_objective_asks_for_only_sometimes() -> None:
    space = Space({"depth": IntDistribution(1, 2), "a": FloatDistribution(0, 1), "b": FloatDistribution(0, 1)})
    study = optuna.create_study(sampler=SteerageSampler(seed=0, space=space))

    def objective(trial: Trial) -> float:
        error = abs(trial.suggest_float("a", 0, 1) - 0.4)
        return error + (trial.suggest_float("b", 0, 1) if trial.suggest_int("depth", 1, 2) == 2 else 0.6)

    study.optimize(objective, n_trials=24)
    assert len({trial.params["a"] for trial in study.trials[:10]}) == 10
    assert study.best_value < 0.3


def test_failed_and_pruned_trials_and_values_that_are_not_finite() -> None:
    study = optuna.create_study(sampler=SteerageSampler(seed=0))

    def objective(trial: Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        match trial.number % 5:
            case 1:
                raise RuntimeError
            case 2:
                trial.report(x, 0)
                raise optuna.TrialPruned
            case 3:
                return math.inf if trial.number > 9 else math.nan
            case 4:
                raise optuna.TrialPruned
        return x

    study.optimize(objective, n_trials=30, catch=(RuntimeError,))
    assert len(study.trials) == 30 and study.best_value < 0.1
    assert len({trial.params["x"] for trial in study.trials}) == 30


@pytest.mark.filterwarnings("ignore:Fixed parameter")
@pytest.mark.parametrize("space", [None, Space({"x": FloatDistribution(0, 1, step=0.25), "n": IntDistribution(0, 9)})])
def test_queued_values_off_the_grid_and_out_of_range_do_no_harm(space: Space | None) -> None:
    study = optuna.create_study(sampler=SteerageSampler(seed=0, space=space, start=6))
    for queued in [{"x": 0.123}, {"x": 7.0, "n": 3}, {"n": -40}, {"x": 0.25000000000000006}, {"x": math.nan}]:
        study.enqueue_trial(queued)

    def objective(trial: Trial) -> float:
        return abs(trial.suggest_float("x", 0, 1, step=0.25) - 0.75) + trial.suggest_int("n", 0, 9)

    study.optimize(objective, n_trials=22, catch=(ValueError,))
    later = [trial.params for trial in study.trials[5:]]
    assert all(params["x"] in (0, 0.25, 0.5, 0.75, 1) and 0 <= params["n"] <= 9 for params in later)
    assert min(trial.value for trial in study.trials[5:] if trial.value is not None) <= 0.25


def test_a_warm_start_from_a_study_whose_distributions_were_others() -> None:
    old = optuna.create_study(sampler=RandomSampler(seed=0))
    old.optimize(
        lambda t: t.suggest_float("x", -5, 20) ** 2 + t.suggest_int("n", 0, 40) + t.suggest_float("gone", 0, 1),
        n_trials=25,
    )
    space = Space({"x": FloatDistribution(-1, 4), "n": IntDistribution(0, 20, step=2)})
    study = optuna.create_study(sampler=SteerageSampler(seed=0, space=space))
    study.add_trials(old.trials)
    study.optimize(lambda t: t.suggest_float("x", -1, 4) ** 2 + t.suggest_int("n", 0, 20, step=2), n_trials=12)
    new = study.trials[25:]
    assert all(-1 <= trial.params["x"] <= 4 and trial.params["n"] in range(0, 21, 2) for trial in new)
    assert len({(trial.params["x"], trial.params["n"]) for trial in new}) == 12
    assert study.best_trial.number >= 25


def test_a_choice_that_is_no_longer_one_is_not_learnt_from() -> None:
    space = Space({"kind": CategoricalDistribution(["a", "b"]), "x": FloatDistribution(0, 1)})
    study = optuna.create_study(sampler=SteerageSampler(seed=0, space=space, start=2))
    for number in range(8):
        study.add_trial(
            optuna.create_trial(
                params={"kind": "abcd"[number % 4], "x": number / 8},
                distributions={"kind": CategoricalDistribution(["a", "b", "c", "d"]), "x": FloatDistribution(0, 1)},
                value=float(number),
            )
        )
    trial = study.ask()
    assert set(trial.relative_params) == {"kind", "x"} and trial.relative_params["kind"] in "ab"


@pytest.mark.filterwarnings("ignore:PartialFixedSampler is experimental")
def test_fixed_parameters_are_left_to_those_who_fix_them() -> None:
    study = optuna.create_study(sampler=SteerageSampler(seed=0, space=Space(PLANE)))
    asked(study, PLANE, in_plane)
    study.sampler = PartialFixedSampler({"y": 0.25}, study.sampler)
    assert asked(study, PLANE, in_plane).params["y"] == 0.25


def test_a_space_with_nothing_left_repeats_what_is_inside_the_budget() -> None:
    space = Space({"n": IntDistribution(0, 9)})
    sampler = SteerageSampler(seed=0, space=space, violation=lambda v: max(0.0, float(v["n"]) - 2.0))
    study = optuna.create_study(sampler=sampler)
    study.optimize(lambda t: float(t.suggest_int("n", 0, 9)), n_trials=15)
    numbers = [trial.params["n"] for trial in study.trials]
    assert sorted(numbers[:3]) == [0, 1, 2] and set(numbers) == {0, 1, 2}


def test_a_budget_that_nothing_meets_is_told_with_the_best_candidate() -> None:
    sampler = SteerageSampler(seed=0, space=Space(PLANE), violation=lambda v: 1.0 + float(v["x"]))
    study = optuna.create_study(sampler=sampler)
    study.enqueue_trial({"x": 0.5, "y": 0.5})  # also when there are trials already
    asked(study, PLANE, in_plane)
    with pytest.raises(InfeasibleBudget, match=r"exceeds it by 10[0-4]%") as refusal:
        study.ask(fixed_distributions=PLANE)
    assert refusal.value.smallest == 1.0 + refusal.value.values["x"]


@pytest.mark.parametrize("start", [10, 40])
def test_threads_get_different_points(start: int) -> None:
    space = Space({"a": IntDistribution(0, 5), "b": IntDistribution(0, 5), "c": IntDistribution(0, 5)})
    study = optuna.create_study(sampler=SteerageSampler(seed=0, space=space, start=start))
    together = threading.Barrier(4)

    def objective(trial: Trial) -> float:
        together.wait(timeout=60)  # all four are asked for before any is answered
        a = trial.suggest_int("a", 0, 5)
        together.wait(timeout=60)  # all know one gene before any tells the others
        return a + trial.suggest_int("b", 0, 5) + trial.suggest_int("c", 0, 5)

    study.optimize(objective, n_trials=24, n_jobs=4)
    assert len({space.key(trial.params) for trial in study.trials}) == 24


@pytest.mark.parametrize("seed", [14, 19, 31, 36])
def test_trials_that_begin_and_end_in_any_order_get_different_points(seed: int) -> None:
    rng, space = random.Random(seed), Space({name: IntDistribution(0, 3) for name in "abc"})
    study = optuna.create_study(sampler=SteerageSampler(seed=0, space=space, start=8))
    begun: list[Trial] = []
    under_way: list[Trial] = []
    while len(study.trials) < 24 or begun or under_way:
        able = {
            "ask": len(begun) + len(under_way) < 4 and len(study.trials) < 24,
            "sample": bool(begun),
            "tell": bool(under_way),
        }
        step = rng.choice([name for name, possible in able.items() if possible])
        if step == "ask":
            begun.append(study.ask())
        elif step == "sample":
            trial = begun.pop(rng.randrange(len(begun)))
            assert trial.relative_params
            under_way.append(trial)
        else:
            trial = under_way.pop(rng.randrange(len(under_way)))
            study.tell(trial, float(sum(trial.suggest_int(name, 0, 3) for name in "abc")))
    assert len({space.key(trial.params) for trial in study.trials}) == 24


def test_trials_asked_for_out_of_order_get_what_they_would_have_got() -> None:
    studies = [
        optuna.create_study(sampler=SteerageSampler(seed=0, space=Space(PLANE), start=4, batch=4)) for _ in range(2)
    ]
    for study in studies:
        for _ in range(4):
            asked(study, PLANE, in_plane)
    told = []
    for study, order in zip(studies, [(0, 1, 2), (2, 0, 1)], strict=True):
        trials = [study.ask() for _ in range(3)]
        points = {at: dict(trials[at].relative_params) for at in order}
        told.append([points[at] for at in range(3)])
    assert len({point["x"] for point in told[0]}) == 3
    assert sorted(point["x"] for point in told[0]) == sorted(point["x"] for point in told[1])


def test_another_process_that_has_not_said_yet_what_it_tries_is_stepped_around(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    studies = [
        optuna.create_study(
            storage=url, study_name="shared", load_if_exists=True, sampler=SteerageSampler(seed=0, space=Space(PLANE))
        )
        for _ in range(2)
    ]
    for _ in range(3):
        trials = [study.ask() for study in studies]
        points = [(trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)) for trial in reversed(trials)]
        assert points[0] != points[1]
        for study, trial in zip(studies, trials, strict=True):
            study.tell(trial, 0.0)
    assert len({trial.params["x"] for trial in studies[0].trials}) == 6


def test_two_processes_share_one_study(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    code = (
        "import sys, optuna; from steerage.search.sampler import SteerageSampler;"
        "study = optuna.load_study(storage=sys.argv[1], study_name='shared', sampler=SteerageSampler(seed=0));"
        "study.optimize(lambda t: t.suggest_float('x', 0, 1) + t.suggest_int('n', 0, 99), n_trials=9)"
    )
    study = optuna.create_study(storage=url, study_name="shared", sampler=SteerageSampler(seed=0))
    with subprocess.Popen([sys.executable, "-c", code, url], stderr=subprocess.DEVNULL) as worker:
        while not study.trials and worker.poll() is None:
            time.sleep(0.05)
        study.optimize(simple, n_trials=9)
    assert worker.returncode == 0
    trials = study.trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 18
    assert len({(trial.params["x"], trial.params["n"]) for trial in trials}) == 18


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda sampler: pickle.loads(pickle.dumps(sampler))])
def test_a_copy_of_the_sampler_goes_on_where_the_original_was(duplicate: Callable[..., SteerageSampler]) -> None:
    study = optuna.create_study(sampler=SteerageSampler(seed=0, space=Space(PLANE), start=4))
    for _ in range(6):
        asked(study, PLANE, in_plane)
    sampler = duplicate(study.sampler)
    expected = study.sampler.upcoming(study, Space(PLANE))  # type: ignore[attr-defined]
    assert sampler.upcoming(study, Space(PLANE)) == expected


def test_reseeding_changes_nothing_since_seeds_belong_to_trials() -> None:
    points = []
    for reseed in (False, True):
        study = optuna.create_study(sampler=SteerageSampler(seed=3))
        for _ in range(12):
            if reseed:
                study.sampler.reseed_rng()
            study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=1)
        points.append([trial.params["x"] for trial in study.trials])
    assert points[0] == points[1]


def test_values_that_stand_for_choices_are_not_seen_by_the_cost_model() -> None:
    seen: list[Values] = []

    def violation(values: Values) -> float:
        seen.append(values)
        return 0.0 if values["choice"] is None else 1.0

    study = optuna.create_study(sampler=SteerageSampler(seed=0, violation=violation))
    study.optimize(
        lambda t: float(t.suggest_categorical("choice", [None, "a", "a"]) is None) + t.suggest_float("x", 0, 1),
        n_trials=8,
    )
    assert {values["choice"] for values in seen} == {None, "a"}
    assert all(trial.params["choice"] is None for trial in study.trials[1:])
