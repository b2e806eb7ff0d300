"""Which candidates a budget leaves, flash among them, most of which code may take; which come first."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from finalists import a_run
from steerage.cost.budget import Budget
from steerage.cost.count import Cost, dense_cost
from steerage.cost.device import device
from steerage.data.build import dataset_from_arrays
from steerage.errors import InfeasibleBudget
from steerage.space import Values
from steerage.synthesis import feasible
from steerage.synthesis.candidate import MAX_EXPANSION, Bench
from steerage.synthesis.clock import RunClock
from steerage.synthesis.feasible import ABOUT_DENSE, EXPANSION, starting_points, violation_of
from steerage.templates import TEMPLATES
from steerage.templates.like import published_like

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


def test_many_narrow_layers_are_kept_out_by_what_they_return_where_a_network_is_the_measure() -> None:
    rng = np.random.default_rng(0)
    photos = dataset_from_arrays(
        rng.integers(0, 256, (60, 32, 32, 3), dtype=np.uint8), np.arange(60) % 10, name="noise"
    )
    like, rows = published_like("resnet20", photos.spec), torch.arange(60)
    own = like.baseline(photos.spec)
    narrow: Values = {
        **own,
        "blocks0": 3,
        "blocks1": 6,
        "blocks2": 12,
        "width": 34,
        "growth": 1.0,
        "block": "bottleneck",
    }
    given = Bench(photos, like, Budget(272_474, 41_000_000), rows, rows[:10], RunClock(), max_expansion=3)
    dense = dense_cost(like, narrow, photos.spec)
    assert dense.params < 3 * 272_474 and dense.macs < 3 * 41_000_000
    assert violation_of(given)(narrow) > 0
    assert violation_of(given)(own) == 0
    unlike = replace(given, template=like.base)
    assert violation_of(unlike)({**like.base.baseline(photos.spec), **narrow}) == 0


def test_bounds_that_fit_one_by_one_and_not_together_are_refused_with_the_closest_candidate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Few parameters cost many MACs here, and the other way round.
    run = a_run(tmp_path)
    spec, template = run.bench.dataset.spec, run.bench.template
    space = template.space(spec)

    def cost(_: object, values: Values, __: object) -> Cost:
        share = float(space.encode(values)[space.names.index("width")])
        params, macs = round(100 + 900 * share), round(1000 - 900 * share)
        return Cost(params, params, macs, macs)

    monkeypatch.setattr(feasible, "least_cost", cost)
    monkeypatch.setattr(feasible, "dense_cost", cost)
    feasible.check_feasible(replace(run.bench, budget=Budget(max_params=200)), 0)
    feasible.check_feasible(replace(run.bench, budget=Budget(max_macs=200)), 0)
    with pytest.raises(InfeasibleBudget, match="cannot be met at once") as refusal:
        feasible.check_feasible(replace(run.bench, budget=Budget(max_params=200, max_macs=200)), 0)
    wanted = cost(template, refusal.value.values, spec)
    assert refusal.value.smallest == max(wanted.params, wanted.macs) > refusal.value.limit == 200
    feasible.check_feasible(replace(run.bench, budget=Budget(max_params=wanted.params, max_macs=wanted.macs)), 0)


def test_starting_points_come_in_the_order_of_what_the_budget_asks_for(tmp_path: Path) -> None:
    bench = a_run(tmp_path).bench
    spec = bench.dataset.spec
    starts = list(bench.template.starts(spec))
    costs = [dense_cost(bench.template, values, spec).params for values in starts]
    assert starting_points(bench) == starts
    for values, cost in zip(starts, costs, strict=True):
        assert starting_points(replace(bench, budget=Budget(round(cost / feasible.EXPANSION))))[0] == values


def test_what_is_far_denser_than_the_budget_begins_narrower() -> None:
    images = dataset_from_arrays(np.zeros((40, 28, 28), dtype=np.uint8), np.arange(40) % 4, name="dark")
    rows = torch.arange(len(images.y))
    bench = Bench(images, TEMPLATES["cnn"], Budget(1200), rows, rows[:10], RunClock())
    spec = images.spec

    def expansion(values: Values) -> float:
        return dense_cost(bench.template, values, spec).params / 1200

    starts, own = starting_points(bench), list(bench.template.starts(spec))
    assert all(expansion(values) > 20 for values in own)
    narrow = starts[: len(own)]
    assert all(feasible.EXPANSION / 2 < expansion(values) < 2 * feasible.EXPANSION for values in narrow)

    def kind(values: Values) -> tuple[object, ...]:
        return values["blocks"], values["kernel"], values["head"]

    assert sorted(map(kind, narrow)) == sorted(map(kind, own))  # type: ignore[type-var]
    assert all(values in starts for values in own)


@pytest.mark.parametrize(
    ("budget", "rows", "strength"),
    [
        (Budget(), 60_000, 1.0),
        (Budget(max_macs=10**6), 60_000, 1.0),
        (Budget(3000), 60_000, 0.5),
        (Budget(3001), 60_000, 1.0),
        (Budget(3000), 59_999, 1.0),
        (Budget(max_flash=3000 * 5), 60_000, 0.5),
        (Budget(10_000, max_flash=3000 * 5), 60_000, 0.5),
        (Budget(max_flash=3001 * 5), 60_000, 1.0),
    ],
)
def test_few_parameters_for_many_images_begin_with_gentler_changes(budget: Budget, rows: int, strength: float) -> None:
    images = dataset_from_arrays(np.zeros((40, 28, 28), dtype=np.uint8), np.arange(40) % 4, name="dark")
    images = replace(images, spec=replace(images.spec, rows=rows))
    place = torch.arange(len(images.y))
    starts = starting_points(Bench(images, TEMPLATES["cnn"], budget, place, place[:10], RunClock()))
    assert {values["augment"] for values in starts} == {strength}


def test_what_may_not_be_trained_begins_narrower() -> None:
    images = dataset_from_arrays(np.zeros((40, 28, 28), dtype=np.uint8), np.arange(40) % 4, name="dark")
    rows = torch.arange(len(images.y))
    for size in (5300, 8000, 12_000):
        bench = Bench(images, TEMPLATES["cnn"], Budget(size), rows, rows[:10], RunClock(), max_expansion=3.0)
        own = bench.template.starts(images.spec)
        allowed = feasible.violation_of(bench)
        assert any(allowed(values) > 0 for values in own)
        assert all(allowed(values) == 0 for values in starting_points(bench)[: len(own)])
