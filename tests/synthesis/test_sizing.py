"""Facts about runs that nobody gave a budget."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from steerage import events
from steerage.cost import Budget
from steerage.cost.count import Cost
from steerage.data.dataset import TaskSpec
from steerage.synthesis import sizing, synthesize
from steerage.synthesis.candidate import Bench, Trained
from steerage.synthesis.clock import RunClock
from steerage.synthesis.plan import Effort, Plan
from steerage.synthesis.run_directory import RunDirectory
from steerage.synthesis.sizing import PARTS, with_size
from steerage.synthesis.stage import Finalist, Run
from steerage.synthesis.usual import PER_INPUT, PER_OUTPUT, PER_ROW, usual_budget
from steerage.templates import TEMPLATES
from steerage.training.evaluate import Scores
from steerage.training.split import validation_split
from tasks import perceptron, table

DATA = table()
SPEC = TaskSpec("classification", "table", (20,), 2, 2000)
EFFORT: dict[str, Any] = {"trials": 1, "epochs": 10, "template": "mlp"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, PER_OUTPUT),
        ({"outputs": 7}, 7 * PER_OUTPUT),
        ({"task": "regression", "outputs": 1}, PER_OUTPUT),
        ({"task": "regression", "outputs": 2}, 2 * PER_OUTPUT),
        ({"task": "multilabel", "outputs": 2}, 2 * PER_OUTPUT),
        ({"input_shape": (1000,)}, 1000 * PER_INPUT),
        ({"outputs": 30}, 30 * PER_OUTPUT),
        ({"outputs": 30, "rows": 500}, 500 * PER_ROW),
        ({"outputs": 30, "rows": 5}, 20 * PER_INPUT),
    ],
)
def test_the_usual_bound_grows_with_outputs_and_inputs_and_with_few_rows(change: dict[str, Any], expected: int) -> None:
    assert usual_budget(replace(SPEC, **change), TEMPLATES["mlp"]) == Budget(max_params=expected)


def test_images_and_other_templates_have_no_usual_bound() -> None:
    assert usual_budget(SPEC, TEMPLATES["resnet"]) == Budget()
    assert usual_budget(replace(SPEC, kind="image", input_shape=(1, 8, 8)), TEMPLATES["mlp"]) == Budget()


def told(heard: list[object], kind: type) -> list[Any]:
    return [event for event in heard if isinstance(event, kind)]


def test_a_run_without_a_budget_chooses_one_and_keeps_it(tmp_path: Path) -> None:
    heard: list[object] = []
    result = synthesize(DATA, **EFFORT, out=tmp_path / "run", listener=heard.append)
    (chosen,) = told(heard, events.SizeChosen)
    bound = usual_budget(DATA.spec, TEMPLATES["mlp"]).max_params
    assert bound is not None and chosen.max_params in {bound // part for part in PARTS}
    assert result.summary["budget"]["max_params"] == chosen.max_params
    assert result.network.cost.params <= chosen.max_params
    trained = [event.error for event in told(heard, events.NetworkTrained) if event.name.startswith("sized-")]
    assert len(trained) >= 2


LEARNT = {  # losses by size and length, of the bound and of a third and a ninth of it
    "the bound learns by heart": ([[0.9, 0.5, 0.3, 0.4], [0.6, 0.4, 0.5], [0.5, 0.6]], 1, 27.0),
    "nothing does": ([[0.3, 0.4], [0.35, 0.4], [0.5, 0.6]], 1, math.inf),
    "the smallest is best when it stops early": ([[0.9, 1.0], [0.8, 0.9], [0.7, 0.6, 0.65]], 9, 81.0),
}


@pytest.mark.parametrize(("losses", "part", "epochs"), LEARNT.values(), ids=LEARNT)
def test_each_size_is_told_by_its_best_length_and_what_follows_is_no_longer(
    losses: list[list[float]], part: int, epochs: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []

    def trained(run: Run, name: str, values: object, *, epochs: int, **options: object) -> Finalist:
        place, repeat, *step = (int(number) for number in name.split("-")[1:])
        assert step != [0]
        seen.append((place, epochs))
        scores = Scores(0.5, losses[place][step[0] if step else 0] + 0.01 * (repeat - 1), 90)
        return Finalist(name, {}, Trained(perceptron(), {}, scores, Cost(1, 1, 1, 1), (), epochs, 1.0))

    monkeypatch.setattr(sizing, "trained_in", trained)
    bench = Bench(
        DATA, TEMPLATES["mlp"], usual_budget(DATA.spec, TEMPLATES["mlp"]), *validation_split(DATA, 0), RunClock()
    )
    bound = bench.budget.max_params
    assert bound is not None
    run = Run(bench, Plan(Effort(trials=3, epochs=900), sized=True), RunDirectory(tmp_path), 0, lambda event: None)
    found = with_size(run)
    assert found.bench.budget == Budget(max_params=bound // part)
    assert (found.plan.most_epochs, found.plan.most_seconds) == (epochs, math.inf if math.isinf(epochs) else 1.0)
    if math.isinf(epochs):
        assert replace(found.plan, most_params=None) == run.plan
    else:
        assert found.plan.epochs("promotion") == epochs and found.plan.epochs("search") == min(135, epochs)
        assert found.plan.epochs("refit") == run.plan.epochs("refit") == 900
    lengths = (270, 81, 27, 8)
    assert seen == [
        (place, lengths[step]) for place, of_size in enumerate(losses) for step in range(len(of_size)) for _ in range(3)
    ]


def test_a_run_that_was_stopped_while_it_sized_goes_on(tmp_path: Path) -> None:
    straight = synthesize(DATA, **EFFORT, out=tmp_path / "straight")

    def stop(event: object) -> None:
        if isinstance(event, events.NetworkTrained) and event.name == "sized-0-1":
            raise KeyboardInterrupt

    with pytest.raises(Exception, match="stopped"):
        synthesize(DATA, **EFFORT, out=tmp_path / "run", listener=stop)
    resumed = synthesize(DATA, **EFFORT, out=tmp_path / "run")
    files = [run / "network" / "weights.safetensors" for run in (straight.folder, resumed.folder)]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("options", [{"budget": Budget()}, {"local": False}, {"device": "onnxruntime"}])
def test_nothing_is_chosen_where_something_is_said(tmp_path: Path, options: dict[str, Any]) -> None:
    heard: list[object] = []
    result = synthesize(DATA, **EFFORT, **options, out=tmp_path / "run", listener=heard.append)
    assert not told(heard, events.SizeChosen)
    assert result.summary["budget"]["max_params"] is None
