"""What networks cost where a budget is kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from steerage.cost import Budget, Price, count, memory
from steerage.data.build import dataset_from_arrays
from steerage.data.dataset import Dataset
from steerage.errors import BadArgument, TrainingFailed, UnsupportedLayer
from steerage.micro.build import Units
from steerage.templates import TEMPLATES


def images() -> Dataset:
    rng = np.random.default_rng(0)
    return dataset_from_arrays(rng.integers(0, 256, (40, 8, 8), dtype=np.uint8), np.arange(40) % 3, name="noise")


def test_without_a_core_only_parameters_and_macs_are_counted() -> None:
    data, model = images(), nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    assert Price(data)(model) == count(model, data.spec.input_shape)


def test_with_a_core_flash_and_ram_are_those_of_the_code() -> None:
    data, model = images(), nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    masks = {"1.weight": torch.arange(192).reshape(3, 64) % 5 == 0}
    for core in ("cortex-m4", "cortex-m0"):
        cost, code = Price(data, core)(model, masks), memory(model, data.preprocess, masks=masks, core=core)
        assert (cost.flash, cost.ram) == (code.flash, code.ram)
        assert cost.params == count(model, data.spec.input_shape, masks=masks).params


def test_integers_take_fewer_bytes_than_floats() -> None:
    data, model = images(), nn.Sequential(nn.Flatten(), nn.Linear(64, 30), nn.ReLU(), nn.Linear(30, 3)).eval()
    floats, integers = Price(data, "cortex-m0")(model), Price(data, "cortex-m0", int8=True)(model)
    code = memory(model, data.preprocess, core="cortex-m0", int8=True)
    assert (integers.flash, integers.ram) == (code.flash, code.ram)
    assert floats.flash is not None and integers.flash is not None and integers.flash < 0.6 * floats.flash
    assert integers.params == floats.params


def test_a_regression_is_priced_in_the_units_of_its_target() -> None:
    rng = np.random.default_rng(0)
    data = dataset_from_arrays(rng.normal(size=(60, 4)), rng.normal(50.0, 9.0, 60), name="line", task="regression")
    model = nn.Sequential(nn.Linear(4, 1), nn.ReLU())
    units = Units(data.target_mean, data.target_std)
    assert Price(data, "cortex-m4")(model).flash == memory(model, data.preprocess, units=units).flash
    assert Price(data, "cortex-m4")(model).flash != memory(model, data.preprocess).flash  # one more operation


def test_the_least_cost_of_a_candidate_has_its_ram_and_less_flash() -> None:
    data = images()
    for name in ("cnn", "mlp"):
        template, price = TEMPLATES[name], Price(data, "cortex-m4")
        values = template.baseline(data.spec)
        dense, least = price(template.build(values, data.spec).eval()), price.least(template, values)
        assert least.ram == dense.ram
        assert dense.flash is not None and least.flash is not None and least.flash < dense.flash / 3
        assert price.least(template, {**values, "lr": 0.001}) is least  # how it is trained costs nothing


def test_what_has_no_c_form_has_no_bytes() -> None:
    data, model = images(), nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.LayerNorm(3))
    assert Price(data).if_any(model).flash is None
    assert Price(data).if_any(model[:2]).flash == memory(model[:2], data.preprocess).flash
    with pytest.raises(UnsupportedLayer):
        Price(data, "cortex-m4")(model)


def test_a_candidate_that_cannot_become_code_fails_as_a_candidate() -> None:
    class Normed(type(TEMPLATES["mlp"])):  # type: ignore[misc]
        def build(self, values: object, spec: object) -> nn.Module:
            return nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.LayerNorm(3))

    data = images()
    template = Normed()
    with pytest.raises(TrainingFailed, match="cannot become code"):
        Price(data, "cortex-m4").least(template, template.baseline(data.spec))


def test_layers_that_crowd_the_ram_are_named() -> None:
    data = images()
    wide = nn.Conv2d(1, 24, 3, padding=1)
    model = nn.Sequential(wide, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 3)).eval()
    assert "0" in Price(data, "cortex-m4").crowding(model)
    assert "4" not in Price(data, "cortex-m4").crowding(model)


def test_bounds_on_code_need_a_cost_that_knows_it() -> None:
    cost = count(nn.Linear(3, 2), (3,))
    assert Budget(max_params=8).violation(cost) == 0
    with pytest.raises(BadArgument, match="max_flash"):
        Budget(max_flash=1000).violation(cost)
