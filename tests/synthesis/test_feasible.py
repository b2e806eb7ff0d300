"""Which candidates a budget of flash leaves, most of which code may take."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from steerage.cost.budget import Budget
from steerage.cost.device import device
from steerage.data.build import dataset_from_arrays
from steerage.synthesis.candidate import Bench
from steerage.synthesis.clock import RunClock
from steerage.synthesis.feasible import EXPANSION, MAX_EXPANSION, starting_points, violation_of
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


def test_it_begins_with_as_many_connections_as_can_be_pruned_to_what_code_leaves() -> None:
    given = bench()
    starts = starting_points(given)
    off = [abs(math.log2(crowding(given, values) / EXPANSION)) for values in starts]
    assert off[0] < min(off) + 1.0
    assert starts != given.template.starts(given.dataset.spec)


def test_a_candidate_of_which_next_to_nothing_would_be_left_is_outside() -> None:
    given = bench()
    drawn = given.template.space(given.dataset.spec).sample_sobol(48, seed=0)
    outside = replace(given, budget=Budget())
    inside = [values for values in drawn if violation_of(given)(values) == 0]
    assert 0 < len(inside) < sum(violation_of(outside)(values) == 0 for values in drawn)
    assert all(crowding(given, values) <= MAX_EXPANSION * 1.01 for values in inside)
