"""Which candidates a budget of flash leaves, most of which code may take."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from steerage.cost.budget import Budget
from steerage.cost.count import dense_cost
from steerage.cost.device import device
from steerage.data.build import dataset_from_arrays
from steerage.space import Values
from steerage.synthesis.candidate import MAX_EXPANSION, Bench
from steerage.synthesis.clock import RunClock
from steerage.synthesis.feasible import ABOUT_DENSE, EXPANSION, starting_points, violation_of
from steerage.templates import TEMPLATES

FLASH = 4096


def bench(flash: int = FLASH) -> Bench:
    rng = np.random.default_rng(0)
    images = dataset_from_arrays(rng.integers(0, 256, (60, 28, 28), dtype=np.uint8), np.arange(60) % 10, name="noise")
    rows = torch.arange(len(images.y))
    place = device("cortex-m0")
    return Bench(
        images, TEMPLATES["cnn"], Budget(max_flash=flash), rows, rows[:10], RunClock(), device=place, int8=True
    )


def crowding(given: Bench, values: dict[str, int | float | str | bool]) -> float:
    """Connections over those that fit beside code and units, of two bytes each."""
    dense, least = given.price.dense(given.template, values), given.price.least(given.template, values)
    assert least.flash is not None
    return 2 * dense.params / max(1, FLASH - least.flash)


def test_floats_begin_with_as_many_connections_as_can_be_pruned_to_what_code_leaves() -> None:
    given = replace(bench(), int8=False, budget=Budget(max_flash=2 * FLASH))
    starts = starting_points(given)

    def crowded(values: Values) -> float:
        dense, least = given.price.dense(given.template, values), given.price.least(given.template, values)
        assert least.flash is not None
        return 5 * dense.params / max(1, 2 * FLASH - least.flash)

    off = [abs(math.log2(crowded(values) / EXPANSION)) for values in starts]
    assert off[0] < min(off) + 1.0
    assert starts != given.template.starts(given.dataset.spec)


def test_integers_begin_with_networks_as_wide_as_fit_densely() -> None:
    given = bench()
    spec, space = given.dataset.spec, given.template.space(given.dataset.spec)
    own = [space.key(values) for values in given.template.starts(spec)]
    starts = starting_points(given)
    narrow = [values for values in starts if space.key(values) not in own]
    assert narrow and starts[: len(narrow)] == narrow
    assert sorted(map(space.key, starts[len(narrow) :])) == sorted(own)

    def flash(values: Values) -> int:
        found = given.price.dense(given.template, values).flash
        assert found is not None
        return found

    assert all(flash(values) <= ABOUT_DENSE * FLASH for values in narrow)
    for values in narrow:
        like = [one for one in given.template.starts(spec) if one["head"] == values["head"]]
        wider = [one for start in like for one in given.template.narrower(start, spec)]
        at_least = [one for one in wider if one["channels"] == 9 and one["growth"] == values["growth"]]
        assert at_least and all(flash(one) > ABOUT_DENSE * FLASH for one in at_least)


def test_integers_with_room_for_all_begin_as_floats_do() -> None:
    given = replace(bench(), budget=Budget(max_flash=1_000_000))
    assert starting_points(given)[0] == given.template.starts(given.dataset.spec)[0]


def test_a_candidate_of_which_next_to_nothing_would_be_left_is_outside() -> None:
    given = bench()
    drawn = given.template.space(given.dataset.spec).sample_sobol(48, seed=0)
    outside = replace(given, budget=Budget())
    inside = [values for values in drawn if violation_of(given)(values) == 0]
    assert 0 < len(inside) < sum(violation_of(outside)(values) == 0 for values in drawn)
    assert all(crowding(given, values) <= MAX_EXPANSION * 1.01 for values in inside)


def test_candidates_are_no_denser_than_is_allowed() -> None:
    given = replace(bench(), int8=False, budget=Budget(max_params=2000, max_macs=200_000), max_expansion=3.0)
    spec = given.dataset.spec
    drawn = given.template.space(spec).sample_sobol(200, seed=0)
    costs = [dense_cost(given.template, values, spec) for values in drawn]
    inside = [cost for values, cost in zip(drawn, costs, strict=True) if violation_of(given)(values) == 0]
    assert inside
    assert all(cost.params <= 6000 and cost.macs <= 600_000 for cost in inside)
    free = replace(given, max_expansion=MAX_EXPANSION)
    assert sum(violation_of(free)(values) == 0 for values in drawn) > len(inside)
