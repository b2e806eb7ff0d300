"""Facts about bounds that only a trial shows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, Trial

from steerage.errors import BadArgument
from steerage.search.propose import Observation, table
from steerage.search.sampler import SteerageSampler
from steerage.search.trials import total_violation
from steerage.space import Space, Values

optuna.logging.set_verbosity(optuna.logging.ERROR)

SPACE = Space({"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1), "n": IntDistribution(1, 8)})


def cost(trial: Trial) -> float:
    """Best at (0.7, 0.5, 1), which breaks both bounds; inside of them 0.15 + 0.18 at the corner n = 3, x + y = 0.6."""
    x, y, n = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1), trial.suggest_int("n", 1, 8)
    trial.set_user_attr("bounds", [x + y - 0.6, 3.0 - n])
    return (x - 0.7) ** 2 + (y - 0.5) ** 2 + n / 20


def bounds(trial: FrozenTrial) -> Sequence[float]:
    return [*trial.user_attrs["bounds"]]


def best_inside(sampler: BaseSampler, n_trials: int) -> float:
    study = optuna.create_study(sampler=sampler)
    study.optimize(cost, n_trials=n_trials)
    return min(
        (float(one.value) for one in study.trials if one.value is not None and max(bounds(one)) <= 0), default=math.inf
    )


def test_the_best_inside_the_bounds_is_found_in_a_third_of_the_trials_that_chance_needs() -> None:
    ours = [best_inside(SteerageSampler(seed=seed, constraints_func=bounds), 40) for seed in range(3)]
    chance = [best_inside(RandomSampler(seed=seed), 120) for seed in range(3)]
    assert np.mean(ours) < np.mean(chance) - 0.04


@pytest.mark.skipif(not hasattr(Trial, "set_constraint"), reason="trials have constraints since Optuna 5")
def test_constraints_set_on_the_trial_do_the_same() -> None:
    def objective(trial: Trial) -> float:
        value = cost(trial)
        for name, bound in enumerate(trial.user_attrs["bounds"]):
            trial.set_constraint(str(name), bound)
        return value

    studies = [
        optuna.create_study(sampler=sampler)
        for sampler in (SteerageSampler(seed=1), SteerageSampler(seed=1, constraints_func=bounds))
    ]
    studies[0].optimize(objective, n_trials=14)
    studies[1].optimize(cost, n_trials=14)
    assert [trial.params for trial in studies[0].trials] == [trial.params for trial in studies[1].trials]


def test_the_function_is_asked_once_for_each_complete_trial() -> None:
    asked: list[int] = []

    def constraints(trial: FrozenTrial) -> Sequence[float]:
        asked.append(trial.number)
        return bounds(trial)

    def objective(trial: Trial) -> float:
        if trial.number == 3:
            raise RuntimeError
        return cost(trial)

    study = optuna.create_study(sampler=SteerageSampler(seed=0, constraints_func=constraints))
    study.optimize(objective, n_trials=14, catch=(RuntimeError,))
    assert asked == [number for number in range(14) if number != 3]


def test_pruned_trials_and_those_of_other_studies_may_have_nothing_to_tell() -> None:
    other = optuna.create_study(sampler=RandomSampler(seed=0))
    other.optimize(
        lambda t: t.suggest_float("x", 0, 1) + t.suggest_float("y", 0, 1) + t.suggest_int("n", 1, 8), n_trials=9
    )

    def objective(trial: Trial) -> float:
        if trial.number % 2:
            trial.report(trial.suggest_float("x", 0, 1), 0)
            raise optuna.TrialPruned
        return cost(trial)

    study = optuna.create_study(sampler=SteerageSampler(seed=0, space=SPACE, constraints_func=bounds))
    study.add_trials(other.trials)
    study.optimize(objective, n_trials=9)
    assert len(study.trials) == 18


def test_an_error_of_the_function_is_not_hidden() -> None:
    study = optuna.create_study(sampler=SteerageSampler(seed=0, constraints_func=lambda trial: [math.nan]))
    with pytest.raises(BadArgument, match=r"must return numbers, got .nan. for trial 0"):
        study.optimize(cost, n_trials=1)
    study = optuna.create_study(sampler=SteerageSampler(seed=0, constraints_func=lambda trial: trial.user_attrs["no"]))
    with pytest.raises(KeyError):
        study.optimize(cost, n_trials=1)


def test_total_violation_counts_what_is_broken() -> None:
    assert total_violation([-3.0, 0.0]) == total_violation([]) == 0.0
    assert total_violation([-3.0, 0.5, 0.25]) == 0.75
    assert total_violation([math.nan, -1.0]) == math.inf


def test_candidates_stand_by_error_then_by_violation_and_failed_ones_last() -> None:
    values: Values = {"x": 0.5, "y": 0.5, "n": 1}
    history = [
        Observation(values, 0.1, violation=0.2),
        Observation(values, 0.9),
        Observation(values, math.nan, state="failed"),
        Observation(values, 0.0, violation=math.inf),
        Observation(values, 0.3),
        Observation(values, 0.4, violation=0.2),
    ]
    _, _, quality = table(SPACE, history, lambda values: ())
    assert quality.tolist() == [2.0, 3.0, 0.0, 1.0, 4.0, 2.0]
