from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from steerage.cost.budget import Budget
from steerage.cost.count import Cost, dense_cost
from steerage.data.build import dataset_from_arrays
from steerage.errors import InfeasibleBudget
from steerage.space import Values
from steerage.synthesis import feasible, promotion
from steerage.synthesis.candidate import Bench, Trained
from steerage.synthesis.clock import RunClock
from steerage.synthesis.feasible import starting_points
from steerage.synthesis.plan import Effort, Plan
from steerage.synthesis.preference import preferred, with_experience
from steerage.synthesis.promotion import promote
from steerage.synthesis.run_directory import RunDirectory
from steerage.synthesis.stage import Finalist, Run
from steerage.templates import TEMPLATES, Mlp
from steerage.training.evaluate import Scores
from tasks import numbers, perceptron, table

ROWS = 400


def a_run(tmp_path: Path, *, regression: bool = False) -> Run:
    dataset = numbers() if regression else table()
    bench = Bench(dataset, Mlp(), Budget(), torch.arange(90), torch.arange(90, 120), RunClock())
    return Run(bench, Plan(Effort(trials=3, epochs=4)), RunDirectory(tmp_path), 0, lambda event: None)


def finalist(name: str, values: Values, error: float, loss: float = 0.5) -> Finalist:
    scores = Scores(error, loss, ROWS)
    return Finalist(name, values, Trained(perceptron(), {}, scores, Cost(1, 1, 1, 1), (), 1.0, 1.0))


@pytest.mark.parametrize("regression", [False, True])
def test_a_candidate_has_to_beat_the_starting_points_by_more_than_noise(tmp_path: Path, regression: bool) -> None:
    run = a_run(tmp_path, regression=regression)
    spec = run.bench.dataset.spec
    start = run.bench.template.starts(spec)[0]
    other = run.bench.template.space(spec).normalize({**start, "depth": 3, "width": 40})
    noise = Scores(0.1, 0.5, ROWS).standard_error(regression=regression)
    expected = finalist("start", start, 0.1)
    little, much = finalist("little", other, 0.1 - 0.9 * noise, 0.49), finalist("much", other, 0.1 - 1.1 * noise, 0.49)
    assert preferred(run, [expected, little]) is expected
    assert preferred(run, [expected, much]) is much
    assert preferred(run, [finalist("worse", other, 0.2), expected]) is expected
    assert preferred(run, [expected, finalist("lucky", other, 0.1 - 1.1 * noise, 0.6)]) is expected


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


def test_what_may_not_be_trained_begins_narrower() -> None:
    images = dataset_from_arrays(np.zeros((40, 28, 28), dtype=np.uint8), np.arange(40) % 4, name="dark")
    rows = torch.arange(len(images.y))
    for size in (5300, 8000, 12_000):
        bench = Bench(images, TEMPLATES["cnn"], Budget(size), rows, rows[:10], RunClock(), max_expansion=3.0)
        own = bench.template.starts(images.spec)
        allowed = feasible.violation_of(bench)
        assert any(allowed(values) > 0 for values in own)
        assert all(allowed(values) == 0 for values in starting_points(bench)[: len(own)])


def test_without_a_starting_point_the_best_is_chosen(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    start = run.bench.template.starts(run.bench.dataset.spec)[0]
    space = run.bench.template.space(run.bench.dataset.spec)
    others = [space.normalize({**start, "depth": 3, "width": width}) for width in (40, 80)]
    first, second = finalist("first", others[0], 0.1), finalist("second", others[1], 0.099)
    assert preferred(run, [first, second]) is second


@pytest.mark.parametrize(
    ("losses", "chosen", "expected"),
    [
        ([0.5, 0.6, 0.6], "promoted-0", [100, 40, 250]),
        ([0.5, 0.6, 0.4, 0.45], "promoted-longer-0", [100, 40, 250, 600]),
        ([0.5, 0.5, 0.4, 0.3], "promoted-longer-1", [100, 40, 250, 600]),
        ([0.5, 0.4, 0.45], "promoted-shorter-0", [100, 40, 15]),
        ([0.5, 0.4, 0.3], "promoted-shorter-1", [100, 40, 15]),  # six epochs teach nobody by heart
    ],
)
def test_the_winner_is_trained_for_shorter_or_for_longer_while_that_helps(
    losses: list[float], chosen: str, expected: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, lengths = a_run(tmp_path), list[int]()

    def trained(run: Run, name: str, values: Values, *, epochs: int, **options: object) -> Finalist:
        lengths.append(epochs)
        found = finalist(name, values, 0.1)
        return replace(found, trained=replace(found.trained, scores=Scores(0.1, losses[len(lengths) - 1], ROWS)))

    monkeypatch.setattr(promotion, "trained_in", trained)
    run = replace(run, plan=Plan(Effort(trials=3, epochs=600)))
    assert promote(run, [run.bench.template.starts(run.bench.dataset.spec)[0]]).name == chosen
    assert lengths == expected


@pytest.mark.parametrize(("other_errors", "chosen"), [((0.2, 0.3), "lucky"), ((0.3, 0.2), "start")])
def test_what_beats_the_starting_points_has_to_do_so_on_other_rows_too(
    other_errors: tuple[float, float], chosen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    run, seen, left = replace(a_run(tmp_path), emit=told.append), [], list(other_errors)
    start = run.bench.template.starts(run.bench.dataset.spec)[0]
    space = run.bench.template.space(run.bench.dataset.spec)
    other = space.normalize({**start, "depth": 3, "width": 40})

    def trained(run: Run, name: str, values: Values, *, epochs: int, **options: object) -> Finalist:
        seen.append((name, epochs, run.bench.train_rows, run.bench.validation_rows))
        run.emit(name)
        return finalist(name, values, left.pop(0))

    monkeypatch.setattr(promotion, "trained_in", trained)
    lucky, expected = finalist("lucky", other, 0.1), finalist("start", start, 0.3)
    assert promotion.confirmed(run, lucky, [lucky, expected]).name == chosen
    assert [name for name, *_ in seen] == ["confirmed-lucky", "confirmed-start"]
    assert not told  # errors on other rows are not those of the others
    for _, epochs, rows, held in seen:
        assert epochs == 1  # as long as before
        assert sorted([*rows.tolist(), *held.tolist()]) == list(range(len(run.bench.dataset.y)))
        assert not torch.equal(held, run.bench.validation_rows)
    assert promotion.confirmed(run, expected, [lucky, expected]) is expected
    assert promotion.confirmed(run, lucky, [lucky]) is lucky
    hurried = replace(run, plan=replace(run.plan, scarce=True))
    assert promotion.confirmed(hurried, lucky, [lucky, expected]) is lucky
    assert len(seen) == 2


def test_a_starting_point_is_always_among_the_promoted(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    space, starts = run.bench.template.space(run.bench.dataset.spec), run.bench.template.starts(run.bench.dataset.spec)
    others = [space.normalize({**starts[0], "depth": 3, "width": width}) for width in (40, 80, 160)]
    ranked = [*others, starts[1], starts[0]]
    assert with_experience(run, others, ranked) == [*others[:2], starts[1]]
    assert with_experience(run, [others[0], starts[0]], ranked) == [others[0], starts[0]]
    assert with_experience(run, others[:1], ranked) == others[:1]
    assert with_experience(run, others, others) == others
    hurried = replace(run, plan=replace(run.plan, hurried=True))
    assert with_experience(hurried, others, ranked) == [starts[0]]
    assert with_experience(hurried, others, others) == others
