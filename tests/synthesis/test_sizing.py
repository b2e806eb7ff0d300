"""Facts about runs that nobody gave a budget."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from steerage import events
from steerage.cost import Budget
from steerage.data.dataset import TaskSpec
from steerage.synthesis import synthesize
from steerage.synthesis.sizing import PARTS
from steerage.synthesis.usual import PER_INPUT, PER_OUTPUT, usual_budget
from steerage.templates import TEMPLATES
from tasks import table

DATA = table()
SPEC = TaskSpec("classification", "table", (20,), 2, 1000)
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
    ],
)
def test_the_usual_bound_grows_with_what_is_told_and_with_the_inputs(change: dict[str, Any], expected: int) -> None:
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
