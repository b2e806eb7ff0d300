"""What mattered among hyperparameters."""

from __future__ import annotations

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from steerage.analysis import genes
from steerage.search.propose import Observation
from steerage.space import Space

SPACE = Space(
    {
        "width": IntDistribution(1, 40),
        "kind": CategoricalDistribution(["a", "b"]),
        "idle": FloatDistribution(0.0, 1.0),
    }
)


def history(n: int) -> list[Observation]:
    points = SPACE.sample_sobol(n, seed=0)
    return [
        Observation(one, 0.5 - 0.01 * float(one["width"]) + (0.05 if one["kind"] == "b" else 0.0)) for one in points
    ]


def test_what_makes_the_error_fall_comes_first_and_falls() -> None:
    found = genes(SPACE, history(40), seed=0)
    assert [one["name"] for one in found[:2]] == ["width", "kind"]
    assert sum(one["share"] for one in found) == pytest.approx(1.0)
    first = found[0]
    assert len(first["values"]) == len(first["errors"]) <= 7
    assert first["values"] == sorted(first["values"])
    assert np.all(np.diff(first["errors"]) < 0.02) and first["errors"][0] - first["errors"][-1] > 0.2
    kind = found[1]
    assert kind["errors"][kind["values"].index("b")] > kind["errors"][kind["values"].index("a")]


def test_few_or_equal_candidates_say_nothing() -> None:
    assert genes(SPACE, history(7), seed=0) == []
    same = [Observation(one.values, 0.25) for one in history(20)]
    assert genes(SPACE, same, seed=0) == []


def test_failed_candidates_do_not_count() -> None:
    known = history(20)
    failed = [Observation(one.values, 9.0, state="failed") for one in SPACE_POINTS]
    assert genes(SPACE, [*known, *failed], seed=0) == genes(SPACE, known, seed=0)


SPACE_POINTS = [Observation(one, 0.0) for one in SPACE.sample_sobol(5, seed=3)]
