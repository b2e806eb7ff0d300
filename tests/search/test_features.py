"""Facts about what the predictor sees."""

from __future__ import annotations

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from steerage.search.features import columns, features
from steerage.space import Space

OPTIONS = ["skip", "conv"]
SPACE = Space(
    {
        "lr": FloatDistribution(1e-4, 1e-2, log=True),
        "depth": IntDistribution(1, 3),
        "first": CategoricalDistribution(OPTIONS),
        "second": CategoricalDistribution(OPTIONS),
    }
)


def test_there_is_a_name_for_every_column() -> None:
    points = SPACE.sample_sobol(5, seed=0)
    costs = np.ones((5, 2))
    layout = columns(SPACE, costs=2)
    assert features(SPACE, points, costs).shape == (5, len(layout.names))
    assert features(SPACE, points).shape == (5, len(columns(SPACE).names))
    assert len(set(layout.names)) == len(layout.names)


def test_genes_counts_and_costs_are_where_their_names_say() -> None:
    point = {"lr": 1e-3, "depth": 3, "first": "conv", "second": "conv"}
    row = dict(zip(columns(SPACE, costs=1).names, features(SPACE, [point], [[7.5]])[0].tolist(), strict=True))
    assert abs(row["lr"] - 0.5) < 1e-9
    assert row["lr^2"] < 1e-9
    assert (row["depth=1"], row["depth=3"]) == (0.0, 1.0)
    assert (row["count(first+second=skip)"], row["count(first+second=conv)"]) == (0.0, 1.0)
    assert row["cost0"] == 7.5


def test_genes_are_at_most_at_distance_one() -> None:
    x = features(SPACE, SPACE.sample_sobol(32, seed=1))
    for group in columns(SPACE).groups:
        squares = ((x[:, None, list(group)] - x[None, :, list(group)]) ** 2).sum(axis=2)
        assert squares.max() <= 1.0 + 1e-9


def test_spreads_are_the_mean_distances_of_random_points() -> None:
    rng = np.random.default_rng(0)
    x = features(SPACE, [SPACE.random(rng) for _ in range(600)])
    layout = columns(SPACE)
    for group, spread in zip(layout.groups, layout.spreads, strict=True):
        squares = ((x[:300, None, list(group)] - x[None, 300:, list(group)]) ** 2).sum(axis=2)
        assert abs(squares.mean() - spread) < 0.03


def test_long_choices_still_have_their_columns() -> None:
    space = Space({"many": CategoricalDistribution([f"c{i}" for i in range(12)])})
    x = features(space, [{"many": "c3"}, {"many": "c11"}])
    assert x.shape == (2, 12) and (x[0] > 0).tolist().index(True) == 3


def test_no_points_make_no_rows() -> None:
    assert features(SPACE, []).shape == (0, len(columns(SPACE).names))
