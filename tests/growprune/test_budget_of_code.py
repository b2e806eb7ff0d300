"""Grow-and-prune down to bytes of flash and RAM."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from steerage.cost import Budget, Price
from steerage.cost.count import count
from steerage.data.build import dataset_from_arrays
from steerage.data.dataset import Dataset
from steerage.errors import BadArgument, InfeasibleBudget
from steerage.growprune import masks as masking
from steerage.growprune import schemes
from steerage.growprune.choose import scheme_for
from steerage.growprune.run import GrowPrune
from steerage.growprune.target import Target, compact_cost

STEPS = 40


def images() -> Dataset:
    rng = np.random.default_rng(0)
    return dataset_from_arrays(rng.integers(0, 256, (60, 8, 8), dtype=np.uint8), np.arange(60) % 3, name="noise")


def small() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 12, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(192, 3),
    )


def trained(
    budget: Budget, scheme: schemes.Scheme, data: Dataset, *, int8: bool = False, price: Price | None = None
) -> tuple[nn.Module, GrowPrune]:
    model, price = small(), price or Price(data, "cortex-m4", int8)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    editor = GrowPrune(model, budget, data.spec.input_shape, scheme, price=price)
    x, y = data.prepare(data.x), data.y
    for step in range(STEPS):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        editor.step(optimizer, step / STEPS)
    editor.finish(optimizer)
    return model, editor


@pytest.mark.parametrize("bound", [4000, 7000])
def test_flash_is_kept_and_used(bound: int) -> None:
    data = images()
    budget = Budget(max_flash=bound)
    model, editor = trained(budget, schemes.gradual(steps=6), data)
    cost = compact_cost(model, data.spec.input_shape, editor.masks, Price(data, "cortex-m4"))
    assert cost.flash is not None
    assert 0.95 * bound < cost.flash <= bound
    assert budget.violation(cost) == 0


@pytest.mark.parametrize("int8", [False, True])
def test_instructions_are_kept_and_used(int8: bool) -> None:
    data, price = images(), Price(images(), "cortex-m4", int8, "speed")
    dense = price(small()).instructions
    assert dense is not None
    budget = Budget(max_instructions=dense // 3)
    model, editor = trained(budget, schemes.gradual(steps=6), data, price=price)
    cost = compact_cost(model, data.spec.input_shape, editor.masks, price)
    assert cost.instructions is not None
    assert 0.9 * dense / 3 < cost.instructions <= dense / 3


def test_too_few_instructions_are_refused_with_what_is_needed() -> None:
    with pytest.raises(InfeasibleBudget, match="max_instructions=100 cannot be met") as refused:
        trained(Budget(max_instructions=100), schemes.gradual(steps=6), images())
    assert refused.value.smallest > 100


def test_flash_of_integers_is_kept_and_used() -> None:
    data, budget = images(), Budget(max_flash=2800)
    model, editor = trained(budget, schemes.gradual(steps=6), data, int8=True)
    cost = compact_cost(model, data.spec.input_shape, editor.masks, Price(data, "cortex-m4", int8=True))
    floats = compact_cost(model, data.spec.input_shape, editor.masks, Price(data, "cortex-m4"))
    assert cost.flash is not None and 2600 < cost.flash <= 2800
    assert floats.flash is not None and floats.flash > 2800


@pytest.mark.parametrize("budget", [Budget(max_flash=4000), Budget(max_macs=5000)], ids=["flash", "MACs"])
def test_connections_leave_step_by_step_while_others_are_exchanged(budget: Budget) -> None:
    _, editor = trained(budget, schemes.gradual(steps=6, exchange=0.1), images())
    start, *left = [editor.edits[0].before, *(edit.after for edit in editor.edits)]
    assert all(later < earlier for earlier, later in pairwise(left))
    assert left[0] < 0.8 * start
    assert left[2] < 3 * left[-1]
    assert sum(edit.grown for edit in editor.edits) > 0


@pytest.mark.parametrize("done", [0.01, 0.3, 0.7])
def test_integers_that_are_stored_densely_up_to_half_of_them_are_not_cut_to_nothing(done: float) -> None:
    data = images()
    model, price = small().eval(), Price(data, "cortex-m0", int8=True)
    masks = masking.full(model)
    target = Target(model, Budget(max_flash=2800), data.spec.input_shape, masks, price=price)
    scores = {name: weight.detach().abs() for name, weight in masking.weights(model).items()}
    left = target.within_code(masks, scores, done)
    full, flash = price(model).flash, price(model, left).flash
    assert full is not None and flash is not None
    assert flash <= full - (full - 2800) * done
    assert masking.active(left) > 0.15 * masking.active(masks)


def test_connections_come_back_where_flash_has_room_for_them() -> None:
    steps = (schemes.Connections(0.1, 1.0), schemes.Connections(0.3, 0.5), schemes.Connections(0.6, 1.0))
    _, editor = trained(Budget(max_flash=4000), steps, images())
    least, grown, last = (edit.after for edit in editor.edits)
    assert least < 0.9 * grown
    assert last < 0.9 * grown


def test_the_tighter_of_parameters_and_flash_decides() -> None:
    data, price = images(), Price(images(), "cortex-m4")
    model, editor = trained(Budget(max_params=300, max_flash=7000), schemes.gradual(steps=6), data)
    assert compact_cost(model, data.spec.input_shape, editor.masks, price).params in range(295, 301)
    model, editor = trained(Budget(max_params=3000, max_flash=4000), schemes.gradual(steps=6), data)
    flash = compact_cost(model, data.spec.input_shape, editor.masks, price).flash
    assert flash is not None and 3800 < flash <= 4000


def test_channels_leave_until_the_code_fits_the_ram() -> None:
    data, price = images(), Price(images(), "cortex-m4")
    before = price(small().eval())
    assert before.ram is not None
    budget = Budget(max_ram=round(0.7 * before.ram))
    scheme = scheme_for("auto", small(), budget, data.spec.input_shape, price=price)
    assert schemes.FitRam() in scheme
    model, editor = trained(budget, scheme, data)
    after = price(model.eval(), editor.masks)
    assert after.ram is not None and 0.5 * before.ram < after.ram <= 0.7 * before.ram
    assert model[0].out_channels < 8 or model[2].out_channels < 12  # type: ignore[index]


def test_a_ram_that_holds_nothing_is_refused() -> None:
    data = images()
    with pytest.raises(InfeasibleBudget, match="max_ram"):
        trained(Budget(max_ram=100), (schemes.FitRam(), *schemes.gradual(steps=2)), data)
    with pytest.raises(InfeasibleBudget, match="max_ram"):  # at once, where no unit is to leave
        GrowPrune(
            small(), Budget(max_ram=100), data.spec.input_shape, schemes.gradual(), price=Price(data, "cortex-m4")
        )
    with pytest.raises(InfeasibleBudget, match="max_flash"):
        trained(Budget(max_flash=200), schemes.gradual(steps=2), data)


def test_filling_up_what_is_far_outside_asks_for_no_fewer_than_no_connections() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    price = lambda model, masks: replace(count(model, (4,), masks=masks), flash=5000, ram=100)  # noqa: E731
    masks = masking.full(model)
    target = Target(model, Budget(max_flash=1000), (4,), masks, price=price)
    chosen = target.filled(
        masks, {name: weight.detach().abs() for name, weight in masking.weights(model).items()}, masks
    )
    assert all(torch.equal(chosen[name], masks[name]) for name in masks)  # nothing fits: it is left to the last check


def test_bounds_on_code_ask_for_a_price() -> None:
    with pytest.raises(BadArgument, match="price"):
        GrowPrune(small(), Budget(max_flash=4000), (1, 8, 8), schemes.gradual())


def test_dense_networks_inside_the_budget_stay_as_they_are() -> None:
    data = images()
    roomy = Budget(max_flash=100_000, max_ram=100_000)
    model, editor = trained(roomy, schemes.gradual(steps=3), data)
    assert not editor.needed
    assert all(bool(mask.all()) for mask in editor.masks.values())
    assert replace(roomy, max_flash=None, max_ram=None) == roomy.counted
    assert sum(one.numel() for one in model.parameters()) == sum(one.numel() for one in small().parameters())
