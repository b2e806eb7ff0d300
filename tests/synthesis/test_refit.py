"""How the last training goes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from finalists import a_run, finalist
from steerage.synthesis.local_search import recipe_of_refit
from steerage.synthesis.plan import Effort, Plan


@pytest.mark.parametrize(
    ("effort", "seconds", "slower"),
    [
        (Effort(minutes=10), 75.0, 0.5),  # 300 seconds, from 48 to 98 % of ten minutes
        (Effort(minutes=10), 400.0, 1.0),  # never a higher one
        (Effort(epochs=60), 75.0, (1 / 6) ** 0.5),  # of ten
    ],
)
def test_a_longer_training_on_images_has_a_lower_learning_rate(
    effort: Effort, seconds: float, slower: float, tmp_path: Path
) -> None:
    run = a_run(tmp_path)
    values = run.bench.template.starts(run.bench.dataset.spec)[0]
    chosen = finalist("promoted-0", values, 0.1)
    chosen = replace(chosen, trained=replace(chosen.trained, seconds=seconds))
    found = run.bench.recipe(values)
    on_images = replace(run, plan=Plan(effort, augmented=True))
    slow = recipe_of_refit(on_images, chosen)
    assert slow.lr == pytest.approx(slower * found.lr)
    assert replace(slow, lr=found.lr) == found
    assert recipe_of_refit(replace(run, plan=Plan(effort)), chosen) == found
