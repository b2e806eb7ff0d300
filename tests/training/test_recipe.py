from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from steerage.errors import BadArgument
from steerage.training.recipe import Recipe, recipe_from


@pytest.mark.parametrize(
    "settings",
    [
        {"lr": 0.0},
        {"lr": float("nan")},
        {"weight_decay": -0.1},
        {"batch_size": 0},
        {"warmup": 1.0},
        {"warmup": -0.1},
        {"label_smoothing": 1.0},
        {"input_noise": -1.0},
        {"augment": -1.0},
        {"ema": 1.0},
    ],
)
def test_settings_outside_their_ranges_are_named(settings: dict[str, Any]) -> None:
    (name,) = settings
    with pytest.raises(BadArgument, match=rf"Recipe\.{name}="):
        Recipe(**settings)


@pytest.mark.parametrize("decay", ["cosine", "linear"])
def test_the_learning_rate_rises_to_its_peak_and_falls_to_zero(decay: Any) -> None:
    recipe = Recipe(lr=0.5, warmup=0.3, decay=decay)
    rates = [recipe.lr_at(step / 100) for step in range(101)]
    assert 0 < rates[0] < 0.05
    assert rates[30] == pytest.approx(0.5)
    assert max(rates) == pytest.approx(0.5)
    assert rates[:31] == sorted(rates[:31])
    assert rates[30:] == sorted(rates[30:], reverse=True)
    assert rates[100] == pytest.approx(0.0, abs=1e-12)


def test_the_learning_rate_is_half_way_down_in_the_middle_of_the_decay() -> None:
    assert Recipe(lr=1.0, warmup=0.2, decay="linear").lr_at(0.6) == pytest.approx(0.5)
    assert Recipe(lr=1.0, warmup=0.2, decay="cosine").lr_at(0.6) == pytest.approx(0.5)
    assert Recipe(lr=1.0, warmup=0.2, decay="cosine").lr_at(0.4) > 0.75


def test_without_warm_up_the_first_step_has_the_full_rate() -> None:
    assert Recipe(lr=0.1, warmup=0.0).lr_at(0.0) == pytest.approx(0.1)


def test_more_than_all_of_the_effort_keeps_the_rate_at_zero() -> None:
    assert Recipe(lr=0.1).lr_at(1.2) == pytest.approx(0.0)


def test_genes_go_before_a_templates_defaults_and_those_before_the_recipes_own() -> None:
    recipe = recipe_from({"lr": 0.01, "width": 64}, {"lr": 0.1, "batch_size": 32, "depth": 3})
    assert recipe == replace(Recipe(), lr=0.01, batch_size=32)


def test_a_recipe_survives_json() -> None:
    recipe = Recipe(optimizer="sgd", lr=0.1, ema=0.9)
    assert Recipe(**recipe.to_json()) == recipe
