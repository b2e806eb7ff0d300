from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest
import torch
from torch import nn

from steerage.cost.count import dense_cost
from steerage.data import TaskSpec
from steerage.nn import PiecewiseLinear, Reduce
from steerage.templates import Mlp
from steerage.templates.mlp import widths

TABLE = TaskSpec("classification", "table", (20,), 3, 1000)
SMALL = TaskSpec("regression", "table", (5,), 1, 100)


def test_widths_follow_the_taper_within_bounds() -> None:
    assert widths(3, 64, 0.5) == (64, 32, 16)
    assert widths(3, 16, 0.25) == (16, 4, 4)
    assert widths(3, 512, 1.0) == (512, 512, 512)


def test_few_features_are_not_reduced() -> None:
    assert "reduction" not in Mlp().space(SMALL).names
    assert "reduction" in Mlp().space(TABLE).names


@pytest.mark.parametrize(("kind", "shape", "offered"), [("table", (64,), 1), ("table", (65,), 0), ("image", (4,), 0)])
def test_only_tables_of_few_features_are_encoded(
    kind: Literal["table", "image"], shape: tuple[int, ...], offered: bool
) -> None:
    assert ("bins" in Mlp().space(TaskSpec("regression", kind, shape, 1, 100)).names) == offered


def test_an_encoding_widens_the_inputs() -> None:
    model = Mlp().build({**Mlp().baseline(SMALL), "bins": 8}, SMALL)
    (encoding,) = (module for module in model.modules() if isinstance(module, PiecewiseLinear))
    assert (encoding.features, encoding.bins) == (5, 8)
    assert model.get_submodule("net").readers()[0].in_features == 5 * 9  # type: ignore[operator]


def test_a_reduction_takes_the_place_of_an_encoding() -> None:
    values = {**Mlp().baseline(TABLE), "reduction": "pca", "bins": 8}
    assert Mlp().space(TABLE).normalize(values)["bins"] == 0
    assert not any(isinstance(module, PiecewiseLinear) for module in Mlp().build(values, TABLE).modules())


@pytest.mark.parametrize(("rows", "first"), [(120, 64), (1437, 128), (5000, 256)])
def test_few_rows_start_with_few_units(rows: int, first: int) -> None:
    assert Mlp().starts(TaskSpec("classification", "table", (20,), 3, rows))[0]["width"] == first


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_tables_of_many_inputs_have_a_narrow_start_that_small_budgets_can_hold(
    task: Literal["classification", "regression"],
) -> None:
    spec = TaskSpec(task, "table", (180,), 3, 2500)
    *wide, narrow = Mlp().starts(spec)
    assert len(wide) == len(Mlp().starts(replace(spec, input_shape=(20,)))) == 2
    costs = [dense_cost(Mlp(), values, spec).params for values in (*wide, narrow)]
    assert 2 * costs[-1] < min(costs[:-1])
    assert narrow == Mlp().space(spec).normalize(narrow)


def test_input_noise_is_for_tables() -> None:
    assert "input_noise" in Mlp().space(SMALL).names
    assert "input_noise" not in Mlp().space(TaskSpec("classification", "image", (1, 8, 8), 10, 1000)).names


def test_regression_has_no_label_smoothing() -> None:
    assert "label_smoothing" not in Mlp().space(SMALL).names


@pytest.mark.parametrize("method", ["select", "pca", "random"])
def test_a_reduction_keeps_its_share_of_the_inputs(method: str) -> None:
    model = Mlp().build({**Mlp().baseline(TABLE), "reduction": method, "ratio": 0.4}, TABLE)
    (reduce,) = (module for module in model.modules() if isinstance(module, Reduce))
    assert (reduce.features, reduce.k, reduce.method) == (20, 8, method)


@pytest.mark.parametrize("features", range(17, 48))
def test_the_canonical_ratio_keeps_as_many_inputs(features: int) -> None:
    spec = TaskSpec("classification", "table", (features,), 3, 1000)
    template = Mlp()
    for ratio in (0.1, 0.234, 0.5, 0.777, 0.9):
        values = {**template.baseline(spec), "reduction": "select", "ratio": ratio}
        canonical = template.space(spec).normalize(values)
        kept = [template.layers(point, spec)[0].weights for point in (values, canonical)]
        assert kept[0] == kept[1]


def test_genes_without_effect_make_no_other_point() -> None:
    template, base = Mlp(), {**Mlp().baseline(TABLE), "depth": 1}
    space = template.space(TABLE)
    assert space.key({**base, "taper": 0.25}) == space.key({**base, "taper": 1.0})
    assert space.key({**base, "ratio": 0.2}) == space.key({**base, "ratio": 0.7})
    assert space.key({**base, "skips": True}) != space.key({**base, "skips": False})


def test_images_are_flattened() -> None:
    spec = TaskSpec("classification", "image", (1, 8, 8), 10, 1000)
    model = Mlp().build(Mlp().baseline(spec), spec)
    assert isinstance(model, nn.Sequential)
    assert model(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
