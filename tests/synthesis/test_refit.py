"""How the last training goes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from finalists import a_run, finalist
from steerage.cost.budget import Budget
from steerage.data.dataset import Kind
from steerage.synthesis import local_search
from steerage.synthesis.local_search import length_of_refit, recipe_of_refit
from steerage.synthesis.plan import Effort, Plan


@pytest.mark.parametrize(
    ("effort", "seconds", "steps", "slower"),
    [
        (Effort(minutes=10), 75.0, 2000.0, 0.5),  # 300 seconds, from 48 to 98 % of ten minutes
        (Effort(minutes=10), 400.0, 2000.0, 1.0),  # never a higher one
        (Effort(epochs=60), 75.0, 2000.0, (1 / 6) ** 0.5),  # of ten
        (Effort(minutes=10), 75.0, 500.0, 0.5**0.5),  # twice what a high rate suits
        (Effort(minutes=10), 75.0, 100.0, 1.0),  # short itself
    ],
)
def test_a_longer_training_on_images_has_a_lower_learning_rate(
    effort: Effort, seconds: float, steps: float, slower: float, tmp_path: Path
) -> None:
    run = a_run(tmp_path)
    values = run.bench.template.starts(run.bench.dataset.spec)[0]
    chosen = finalist("promoted-0", values, 0.1)
    epochs = steps / run.bench.recipe(values).batches(len(run.bench.train_rows))
    chosen = replace(chosen, trained=replace(chosen.trained, seconds=seconds, epochs=epochs))
    found = run.bench.recipe(values)
    on_images = replace(run, plan=Plan(effort, augmented=True))
    slow = recipe_of_refit(on_images, chosen)
    assert slow.lr == pytest.approx(slower * found.lr)
    assert replace(slow, lr=found.lr) == found
    assert recipe_of_refit(replace(run, plan=Plan(effort)), chosen) == found


@pytest.mark.parametrize(
    ("kind", "seconds", "epochs", "strength", "options", "found"),
    [
        ("image", 75.0, 10.0, 1.0, {}, 1.5),  # four times as long, 40 epochs
        ("image", 75.0, 10.0, 0.5, {}, 1.0),
        ("image", 75.0, 10.0, 0.0, {}, 0.0),  # what suits them is no change at all
        ("image", 76.0, 11.0, 1.0, {}, 1.0),
        ("image", 75.0, 9.0, 1.0, {}, 1.0),
        ("signal", 75.0, 10.0, 1.0, {}, 1.0),
        ("image", 10.0, 10.0, 1.0, {"like": True}, 1.0),
    ],
)
def test_images_that_are_seen_many_times_as_often_are_changed_more(
    kind: Kind,
    seconds: float,
    epochs: float,
    strength: float,
    options: dict[str, bool],
    found: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local_search, "QUICK_STEPS", 1)
    run = a_run(tmp_path)
    dataset = replace(run.bench.dataset, spec=replace(run.bench.dataset.spec, kind=kind))
    run = replace(
        run, bench=replace(run.bench, dataset=dataset), plan=Plan(Effort(minutes=10), augmented=True, **options)
    )
    values = {**run.bench.template.starts(a_run(tmp_path).bench.dataset.spec)[0], "augment": strength}
    chosen = finalist("promoted-0", values, 0.1)
    chosen = replace(chosen, trained=replace(chosen.trained, seconds=seconds, epochs=epochs))
    assert recipe_of_refit(run, chosen).augment == found


@pytest.mark.parametrize(("allowed", "lower"), [(3000, False), (3001, True)])
def test_a_network_starved_of_parameters_keeps_its_learning_rate(allowed: int, lower: bool, tmp_path: Path) -> None:
    run = a_run(tmp_path)
    dataset = run.bench.dataset
    images = replace(dataset, spec=replace(dataset.spec, kind="image", rows=60_000))
    run = replace(
        run,
        bench=replace(run.bench, dataset=images, budget=Budget(allowed)),
        plan=Plan(Effort(minutes=10), augmented=True),
    )
    values = run.bench.template.starts(dataset.spec)[0]
    chosen = finalist("promoted-0", values, 0.1)
    chosen = replace(chosen, trained=replace(chosen.trained, seconds=75.0, epochs=10_000.0))
    assert (recipe_of_refit(run, chosen).lr < run.bench.recipe(values).lr) is lower


@pytest.mark.parametrize(
    ("name", "options", "times"),
    [
        ("promoted-0", {}, 1.0),  # a longer training was worse
        ("promoted-longer-0", {}, 1.0),
        ("promoted-longer-1", {}, 2.5),  # nobody knows
        ("promoted-0", {"scarce": True}, 1.0),
        ("promoted-longer-0", {"scarce": True}, 2.5),  # the longest that there is time for
        ("promoted-0", {"scarce": True, "hurried": True}, None),  # all that is left
        ("promoted-0", {"augmented": True}, None),
    ],
)
def test_a_refit_is_about_as_long_as_what_was_seen_to_help(
    name: str, options: dict[str, bool], times: float | None, tmp_path: Path
) -> None:
    run = a_run(tmp_path)
    run = replace(run, plan=Plan(Effort(minutes=10), **options))
    chosen = finalist(name, run.bench.template.starts(run.bench.dataset.spec)[0], 0.1)
    chosen = replace(chosen, trained=replace(chosen.trained, seconds=4.0))
    more_rows = len(run.bench.dataset.y) / len(run.bench.train_rows)
    seconds = run.plan.ends("refit") if times is None else times * 4.0 * more_rows
    assert length_of_refit(run, chosen)[0] == pytest.approx(seconds, rel=0.01)


def test_a_refit_begins_when_its_teacher_is_trained(tmp_path: Path) -> None:
    run = replace(a_run(tmp_path), plan=Plan(Effort(minutes=10), augmented=True))
    values = run.bench.template.starts(run.bench.dataset.spec)[0]
    chosen = finalist("promoted-0", values, 0.1)
    chosen = replace(chosen, trained=replace(chosen.trained, seconds=60.0, epochs=1e4))
    found = run.bench.recipe(values).lr
    alone, is_taught = (recipe_of_refit(run, chosen, is_taught=one).lr for one in (False, True))
    assert alone == pytest.approx(found * (60 / 300) ** 0.5)
    assert is_taught == pytest.approx(found * (60 / 240) ** 0.5)  # a fifth of the time goes to the teacher
