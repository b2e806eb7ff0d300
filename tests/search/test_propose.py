"""Facts about proposals."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from steerage.errors import InfeasibleBudget
from steerage.search.propose import Observation, assess, find_feasible, propose
from steerage.space import Space, Values

SPACE = Space(
    {
        "width": IntDistribution(8, 512, log=True),
        "lr": FloatDistribution(1e-4, 1e-1, log=True),
        "activation": CategoricalDistribution(["relu", "gelu", "tanh"]),
    }
)


def error(values: Values) -> float:
    miss = math.log(float(values["lr"]) / 3e-3) ** 2 + math.log(float(values["width"]) / 60) ** 2
    return miss + (values["activation"] != "gelu")


def too_wide(values: Values) -> float:
    return max(0.0, float(values["width"]) / 100 - 1.0)


def log_width(values: Values) -> tuple[float, ...]:
    return (math.log(float(values["width"])),)


def observe(points: list[dict[str, int | float | str | bool]]) -> list[Observation]:
    return [Observation(point, error(point), log_width(point)) for point in points]


def test_the_first_proposals_are_the_feasible_sobol_points() -> None:
    first = propose(SPACE, [], n=6, seed=0, violation=too_wide)
    assert first == [point for point in SPACE.sample_sobol(64, seed=0) if too_wide(point) == 0.0][:6]
    assert propose(SPACE, observe(first[:4]), n=2, seed=0, violation=too_wide) == first[4:]


def test_proposals_are_feasible_new_and_different() -> None:
    history = observe(propose(SPACE, [], n=12, seed=1, start=12, violation=too_wide))
    pending = propose(SPACE, history, n=4, seed=1, violation=too_wide, cost_features=log_width)
    batch = propose(SPACE, history, n=4, seed=1, violation=too_wide, cost_features=log_width, pending=pending)
    keys = [SPACE.key(point) for point in [*(one.values for one in history), *pending, *batch]]
    assert len(set(keys)) == len(keys) == 20
    assert all(too_wide(point) == 0.0 for point in [*pending, *batch])


def test_the_search_beats_its_own_start() -> None:
    history = observe(propose(SPACE, [], n=10, seed=2))
    start = min(one.error for one in history)
    for _ in range(4):
        history += observe(propose(SPACE, history, n=5, seed=2, cost_features=log_width))
    assert min(one.error for one in history) < start / 2


def test_the_same_seed_and_history_give_the_same_proposals() -> None:
    history = observe(propose(SPACE, [], n=10, seed=3))
    assert propose(SPACE, history, n=3, seed=3) == propose(SPACE, history, n=3, seed=3)
    assert propose(SPACE, history, n=3, seed=3) != propose(SPACE, history, n=3, seed=4)


def test_another_process_proposes_the_same() -> None:
    code = (
        "from test_propose import SPACE, observe, propose;"
        "print(propose(SPACE, observe(propose(SPACE, [], n=10, seed=0)), n=3, seed=0))"
    )
    here = propose(SPACE, observe(propose(SPACE, [], n=10, seed=0)), n=3, seed=0)
    folder = Path(__file__).parent
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder).stdout
    assert there.strip() == str(here)


def test_points_of_a_batch_are_apart() -> None:
    space = Space({"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)})
    points = space.sample_sobol(14, seed=0)
    history = [Observation(point, (float(point["x"]) - 0.5) ** 2 + float(point["y"])) for point in points]
    batch = propose(space, history, n=4, seed=0, exploration=0.0)
    units = np.array([space.encode(point) for point in batch])
    gaps = np.linalg.norm(units[:, None] - units[None], axis=2)[np.triu_indices(4, 1)]
    assert gaps.min() > 0.02


def test_no_proposal_is_all_but_one_that_was_tried() -> None:
    space = Space({"x": FloatDistribution(0, 1)})
    history = [Observation({"x": x}, (x - 0.5) ** 2) for x in (0.0, 0.2, 0.4, 0.5, 0.8, 1.0)]
    for seed in range(3):
        (point,) = propose(space, history, n=1, seed=seed, start=4, exploration=0.0)
        assert min(abs(float(point["x"]) - float(one.values["x"])) for one in history) > 0.01


def test_failed_candidates_are_not_tried_again_and_count_as_worst() -> None:
    points = propose(SPACE, [], n=12, seed=5, start=12)
    history = [Observation(point, math.nan, state="failed") for point in points[:6]] + [
        Observation(point, error(point)) for point in points[6:]
    ]
    batch = propose(SPACE, history, n=4, seed=5)
    assert len(batch) == 4 and not {SPACE.key(p) for p in batch} & {SPACE.key(p) for p in points}


def test_when_everything_failed_the_sobol_sequence_goes_on() -> None:
    points = SPACE.sample_sobol(14, seed=6)
    history = [Observation(point, math.nan, state="failed") for point in points[:12]]
    assert propose(SPACE, history, n=2, seed=6) == points[12:]


def test_a_small_space_runs_out_of_proposals() -> None:
    space = Space({"a": IntDistribution(0, 2), "b": IntDistribution(0, 2)})
    points = propose(space, [], n=20, seed=0, start=20)
    assert len(points) == 9
    assert propose(space, [Observation(point, float(point["a"])) for point in points], n=3, seed=0) == []


def test_a_tiny_feasible_share_is_found_by_evolution() -> None:
    def violation(values: Values) -> float:
        excess = max(0.0, float(values["width"]) / 9 - 1.0) + max(0.0, float(values["lr"]) / 1.02e-4 - 1.0)
        return excess + (values["activation"] != "tanh")

    batch = propose(SPACE, [], n=3, seed=0, violation=violation)
    assert len(batch) == 3 and all(violation(point) == 0.0 for point in batch)
    assert find_feasible(SPACE, violation=violation, seed=0).violation == 0.0


def test_an_impossible_budget_is_told_after_a_bounded_number_of_looks() -> None:
    looks: list[Values] = []

    def violation(values: Values) -> float:
        looks.append(values)
        return float(values["width"]) / 4 - 1.0

    best = find_feasible(SPACE, violation=violation, seed=0, max_evaluations=500)
    assert best.values["width"] == 8 and best.violation == 1.0 and len(looks) <= 500
    looks.clear()
    with pytest.raises(InfeasibleBudget, match="exceeds it by 100%"):
        propose(SPACE, [], n=1, seed=0, violation=violation, max_evaluations=300)
    assert len(looks) <= 600


def test_the_given_start_is_looked_at_first() -> None:
    plain = {"width": 50, "lr": 1e-3, "activation": "relu"}
    assert find_feasible(SPACE, violation=too_wide, seed=0, start=[plain]).violation == 0.0


def test_the_predictor_is_assessed_on_the_history() -> None:
    quality = assess(SPACE, observe(SPACE.sample_sobol(24, seed=0)), seed=0, cost_features=log_width)
    assert quality.n == 24 and quality.tau is not None and quality.tau > 0.2
    assert assess(SPACE, [], seed=0).tau is None
