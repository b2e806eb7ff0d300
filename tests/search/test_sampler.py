"""Facts about the search as an Optuna sampler."""

from __future__ import annotations

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import Trial, TrialState

from steerage.errors import BadArgument
from steerage.search.sampler import SteerageSampler
from steerage.space import Space, Values

optuna.logging.set_verbosity(optuna.logging.WARNING)


def _error(trial: Trial) -> float:
    x = trial.suggest_float("x", -1, 1)
    n = trial.suggest_int("n", 1, 16, log=True)
    kind = trial.suggest_categorical("kind", ["a", "b"])
    return (x - 0.3) ** 2 + abs(n - 4) / 16 + (kind == "b")


def _quality(trial: Trial) -> float:
    return -_error(trial)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_an_ordinary_study_is_minimized(seed: int) -> None:
    study = optuna.create_study(sampler=SteerageSampler(seed=seed))
    study.optimize(_error, n_trials=28)
    assert study.best_value < 0.1


def test_maximizing_proposes_what_minimizing_the_negative_does() -> None:
    studies = [
        optuna.create_study(direction=direction, sampler=SteerageSampler(seed=1))
        for direction in ("minimize", "maximize")
    ]
    studies[0].optimize(_error, n_trials=16)
    studies[1].optimize(_quality, n_trials=16)
    assert [one.params for one in studies[0].trials] == [one.params for one in studies[1].trials]


def test_proposals_keep_to_the_budget() -> None:
    space = Space({"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)})
    sampler = SteerageSampler(
        seed=0, space=space, violation=lambda v: max(0.0, float(v["x"]) - 0.2), cost_features=lambda v: (float(v["x"]),)
    )
    study = optuna.create_study(sampler=sampler)
    for _ in range(16):
        trial = study.ask(fixed_distributions=dict(space.distributions))
        study.tell(trial, (trial.params["y"] - 0.5) ** 2 - trial.params["x"])
    assert all(one.params["x"] <= 0.2 for one in study.trials)
    assert study.best_params["x"] > 0.15


def test_parallel_trials_are_all_different() -> None:
    space = Space({"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)})
    study = optuna.create_study(sampler=SteerageSampler(seed=0, space=space))
    for _ in range(12):
        trial = study.ask(fixed_distributions=dict(space.distributions))
        study.tell(trial, trial.params["x"])
    running = [study.ask(fixed_distributions=dict(space.distributions)) for _ in range(7)]
    assert len({space.key(one.params) for one in [*study.get_trials(states=(TrialState.COMPLETE,)), *running]}) == 19


def test_several_objectives_are_refused() -> None:
    study = optuna.create_study(
        directions=["minimize", "minimize"], sampler=SteerageSampler(space=Space({"x": FloatDistribution(0, 1)}))
    )
    with pytest.raises(BadArgument, match="one objective, the study has 2"):
        study.ask(fixed_distributions={"x": FloatDistribution(0, 1)})


def test_a_start_or_batch_of_zero_is_refused() -> None:
    with pytest.raises(BadArgument, match="positive, got 0"):
        SteerageSampler(start=0)


PRICED = Space({"x": FloatDistribution(0, 1), "size": FloatDistribution(1, 100, log=True)})


def _told(sampler: SteerageSampler, trials: int) -> list[dict[str, float]]:
    study = optuna.create_study(sampler=sampler)
    for _ in range(trials):
        trial = study.ask(fixed_distributions=dict(PRICED.distributions))
        study.tell(trial, (trial.params["x"] - 0.5) ** 2 + 1.0 / trial.params["size"])
    return [one.params for one in study.trials]


def test_with_a_cost_small_and_large_ones_are_proposed_and_without_only_good_ones() -> None:
    asked: list[tuple[float, ...]] = []

    def size(values: Values) -> float:
        asked.append(tuple(float(value) for value in values.values()))
        return float(values["size"])

    along = _told(SteerageSampler(seed=3, space=PRICED, cost=size), 30)
    alone = _told(SteerageSampler(seed=3, space=PRICED), 30)
    assert sum(one["size"] < 10 for one in along[10:]) >= 5 > sum(one["size"] < 10 for one in alone[10:])
    assert len(asked) == len(set(asked))
    assert along == _told(SteerageSampler(seed=3, space=PRICED, cost=size), 30)


@pytest.mark.parametrize("cost", [0.0, -1.0, float("nan"), float("inf")])
def test_a_cost_that_has_no_logarithm_is_refused(cost: float) -> None:
    with pytest.raises(BadArgument, match="cost must be positive and finite"):
        _told(SteerageSampler(space=PRICED, cost=lambda values: cost), 1)
