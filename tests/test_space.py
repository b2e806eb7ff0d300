"""Facts about search spaces and the moves in them."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Mapping

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from steerage.errors import BadSpace
from steerage.space import Space, Value, Values

MIXED = Space(
    {
        "width": IntDistribution(8, 512, log=True),
        "depth": IntDistribution(1, 4),
        "kernel": IntDistribution(3, 9, step=2),
        "lr": FloatDistribution(1e-4, 1e-1, log=True),
        "dropout": FloatDistribution(0.0, 0.4, step=0.1),
        "momentum": FloatDistribution(0.5, 0.99),
        "activation": CategoricalDistribution(["relu", "gelu", "silu"]),
        "norm": CategoricalDistribution([True, False]),
        "fixed": IntDistribution(3, 3),
    }
)


def _no_idle_genes(values: Values) -> Mapping[str, Value]:
    return values if values["reduction"] != "none" else {**values, "ratio": 0.5}


REDUCED = Space(
    {"reduction": CategoricalDistribution(["none", "pca"]), "ratio": FloatDistribution(0.1, 1.0)}, _no_idle_genes
)


def test_every_move_stays_in_the_space() -> None:
    rng = np.random.default_rng(0)
    points = [*MIXED.sample_sobol(64, seed=0), *(MIXED.random(rng) for _ in range(64))]
    points += [MIXED.mutate(point, rng, 0.3) for point in points]
    points += [MIXED.crossover(a, b, rng) for a, b in zip(points, reversed(points), strict=True)]
    for point in points:
        assert MIXED.validate(point) == point


def test_decoding_undoes_encoding() -> None:
    rng = np.random.default_rng(1)
    for _ in range(300):
        point = MIXED.random(rng)
        units = MIXED.encode(point)
        assert units.shape == (9,) and np.all((units >= 0) & (units <= 1))
        again = MIXED.decode(units)
        assert {k: v for k, v in again.items() if not isinstance(v, float)} == {
            k: v for k, v in point.items() if not isinstance(v, float)
        }
        assert [again[k] for k in ("lr", "momentum")] == pytest.approx([point[k] for k in ("lr", "momentum")])
        assert again["dropout"] == point["dropout"]


def test_the_ends_of_the_unit_interval_are_the_ends_of_the_range() -> None:
    low, high = MIXED.decode(np.zeros(9)), MIXED.decode(np.ones(9))
    assert (low["width"], low["kernel"], low["dropout"], low["activation"]) == (8, 3, 0.0, "relu")
    assert (high["width"], high["kernel"], high["dropout"], high["activation"]) == (512, 9, 0.4, "silu")
    assert low["lr"] == pytest.approx(1e-4) and high["lr"] == pytest.approx(1e-1)


def test_equal_bins_for_every_step_and_choice() -> None:
    units = [MIXED.encode(MIXED.decode(np.full(9, unit))) for unit in (0.01, 0.26, 0.51, 0.76)]
    assert [unit[1] for unit in units] == [0.125, 0.375, 0.625, 0.875]


def test_a_mutation_changes_at_least_one_gene() -> None:
    rng = np.random.default_rng(2)
    for _ in range(200):
        point = MIXED.random(rng)
        assert MIXED.key(MIXED.mutate(point, rng, 0.0)) != MIXED.key(point)


def test_a_space_of_one_point_mutates_to_itself() -> None:
    single = Space({"a": IntDistribution(2, 2)})
    assert single.mutate({"a": 2}, np.random.default_rng(0), 1.0) == {"a": 2}


def test_crossover_takes_each_gene_from_a_parent() -> None:
    rng = np.random.default_rng(3)
    a, b = MIXED.random(rng), MIXED.random(rng)
    child = MIXED.crossover(a, b, rng)
    assert all(child[name] in (a[name], b[name]) for name in MIXED.names)


def test_sobol_points_continue_where_they_were_left() -> None:
    assert MIXED.sample_sobol(20, seed=5)[7:] == MIXED.sample_sobol(13, seed=5, skip=7)
    assert MIXED.sample_sobol(8, seed=5) != MIXED.sample_sobol(8, seed=6)
    assert MIXED.sample_sobol(0, seed=5) == []


def test_another_process_draws_the_same_sobol_points() -> None:
    code = (
        "from steerage.space import Space; from optuna.distributions import FloatDistribution as F;"
        "print(Space({'x': F(0, 1), 'y': F(0, 1)}).sample_sobol(3, seed=11))"
    )
    here = Space({"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)}).sample_sobol(3, seed=11)
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert there.strip() == str(here)


def test_distance_is_symmetric_and_zero_for_the_same_point() -> None:
    rng = np.random.default_rng(4)
    a, b = MIXED.random(rng), MIXED.random(rng)
    assert MIXED.distance(a, a) == 0.0
    assert 0.0 < MIXED.distance(a, b) == MIXED.distance(b, a) <= 1.0


def test_genes_that_do_nothing_do_not_tell_points_apart() -> None:
    a: Values = {"reduction": "none", "ratio": 0.2}
    b: Values = {"reduction": "none", "ratio": 0.9}
    assert REDUCED.key(a) == REDUCED.key(b) and REDUCED.distance(a, b) == 0.0
    assert REDUCED.key({**a, "reduction": "pca"}) != REDUCED.key({**b, "reduction": "pca"})
    assert REDUCED.random(np.random.default_rng(0)).keys() == {"reduction", "ratio"}


def test_true_and_one_are_different_values() -> None:
    space = Space({"norm": CategoricalDistribution([True, False])})
    with pytest.raises(BadSpace, match="norm"):
        space.validate({"norm": 1})


def test_a_space_survives_pickling() -> None:
    assert pickle.loads(pickle.dumps(REDUCED)) == REDUCED
    assert hash(REDUCED) == hash(pickle.loads(pickle.dumps(REDUCED)))


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"reduction": "none"}, "ratio"),
        ({"reduction": "none", "ratio": 0.5, "other": 1}, "other"),
        ({"reduction": "svd", "ratio": 0.5}, "svd"),
        ({"reduction": "none", "ratio": 1.5}, "1.5"),
        ({"reduction": "none", "ratio": float("nan")}, "nan"),
        ({"reduction": "none", "ratio": "0.5"}, "'0.5'"),
    ],
)
def test_a_point_outside_the_space_is_refused_by_name(values: Values, named: str) -> None:
    with pytest.raises(BadSpace, match=named):
        REDUCED.validate(values)


def test_values_between_the_steps_are_refused() -> None:
    space = Space({"kernel": IntDistribution(3, 9, step=2), "dropout": FloatDistribution(0.0, 0.4, step=0.1)})
    assert space.validate({"kernel": 5, "dropout": 0.3})
    with pytest.raises(BadSpace, match="kernel"):
        space.validate({"kernel": 4, "dropout": 0.3})
    with pytest.raises(BadSpace, match="dropout"):
        space.validate({"kernel": 5, "dropout": 0.25})


def _leaves(values: Values) -> Values:
    return {**values, "x": 7}


def _wanders(values: Values) -> Values:
    return {**values, "x": (float(values["x"]) + 0.3) % 1.0}


@pytest.mark.parametrize("canonical", [_leaves, _wanders])
def test_a_canonical_form_that_is_none_is_refused(canonical: object) -> None:
    with pytest.raises(BadSpace):
        Space({"x": FloatDistribution(0, 1)}, canonical)  # type: ignore[arg-type]


def test_spaces_without_genes_or_with_odd_ones_are_refused() -> None:
    with pytest.raises(BadSpace, match="at least one gene"):
        Space({})
    with pytest.raises(BadSpace, match="x must be an Int"):
        Space({"x": (0, 1)})  # type: ignore[dict-item]
    with pytest.raises(BadSpace, match="None"):
        Space({"x": CategoricalDistribution([None, "a"])})
    with pytest.raises(BadSpace, match="differ"):
        Space({"x": CategoricalDistribution(["a", "a"])})
