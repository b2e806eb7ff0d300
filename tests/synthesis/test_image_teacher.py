"""When a larger network teaches the winner for images, and what comes of it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from finalists import finalist
from steerage import events
from steerage.cost.budget import Budget
from steerage.data import Dataset
from steerage.errors import TrainingFailed
from steerage.space import Values
from steerage.synthesis import Result, feasible, image_teacher, main, synthesize
from steerage.synthesis.candidate import Bench
from steerage.synthesis.clock import RunClock
from steerage.synthesis.feasible import starting_points
from steerage.synthesis.image_teacher import BETTER, FEWEST_EPOCHS, LARGER, MANY_EPOCHS, teacher_for
from steerage.synthesis.main import Interrupted
from steerage.synthesis.plan import Effort, Plan
from steerage.synthesis.run_directory import RunDirectory
from steerage.synthesis.stage import Finalist, Run
from steerage.templates import TEMPLATES
from steerage.training.split import validation_split
from tasks import pictures

DATA = pictures(240)
EFFORT: dict[str, Any] = {"trials": 2, "epochs": 24, "budget": Budget(max_params=300), "template": "mlp"}


def logged(result: Result, kind: str) -> list[dict[str, Any]]:
    lines = map(json.loads, (result.folder / "events.jsonl").read_text().splitlines())
    return [line for line in lines if line["event"] == kind]


def phases_of(result: Result) -> list[str]:
    return [line["phase"] for line in logged(result, "PhaseStarted")]


def allow(patch: pytest.MonkeyPatch) -> None:
    """An image for two parameters is enough, and any teacher is good enough."""
    patch.setattr(image_teacher, "FEWEST_IMAGES", 0.5)
    patch.setattr(image_teacher, "MANY_EPOCHS", 1.0)
    patch.setattr(image_teacher, "BETTER", 1e9)


@pytest.fixture(autouse=True)
def starved(monkeypatch: pytest.MonkeyPatch) -> None:
    allow(monkeypatch)


def a_run(folder: Path, data: Dataset = DATA, plan: Plan | None = None) -> Run:
    bench = Bench(data, TEMPLATES["cnn"], Budget(max_params=300), *validation_split(data, 0), RunClock())
    plan = plan or Plan(Effort(trials=2, epochs=24), augmented=True, distill=True)
    return Run(bench, plan, RunDirectory(folder), 0, lambda event: None)


def small(run: Run) -> Values:
    return {**starting_points(run.bench)[0], "stages": 2, "channels": 4, "growth": 1.0, "blocks": 1}


@dataclass(frozen=True)
class Straight:
    """A run from its beginning to its end, and how many rows its teacher learnt from."""

    result: Result
    learnt: dict[str, int]


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Straight:
    learnt: dict[str, int] = {}
    training = image_teacher.trained_in

    def noted(run: Run, name: str, *given: Any, **options: Any) -> Finalist:
        assert "rows" not in options  # those of the run's own to learn from
        learnt[name] = len(run.bench.train_rows)
        return training(run, name, *given, **options)

    with pytest.MonkeyPatch.context() as patch:
        allow(patch)
        patch.setattr(image_teacher, "trained_in", noted)
        return Straight(synthesize(DATA, **EFFORT, out=tmp_path_factory.mktemp("straight") / "run"), learnt)


def test_the_last_training_is_taught_what_a_larger_network_sees(straight: Straight) -> None:
    result = straight.result
    assert phases_of(result) == ["baseline", "search", "promotion", "teacher", "refit"]
    by = result.summary["taught_by"]
    assert by["networks"] == 1 and by["rounds"] == 0 and by["params"] > 3 * 300
    assert result.network.cost.params <= 300
    said = f"A network of {by['params']:,} parameters told it what it sees in each changed image, too."
    assert said in (result.folder / "report.html").read_text()
    assert [line["better"] for line in logged(result, "TeacherTrained")] == [True]
    assert not [*(result.folder / "candidates").iterdir()]  # the teacher is nobody's to keep


def test_validation_rows_are_kept_from_the_teacher(straight: Straight) -> None:
    assert straight.learnt == {"teacher": round(0.8 * len(DATA.y))}


@pytest.mark.parametrize(("times", "is_better"), [(BETTER - 0.01, True), (BETTER + 0.01, False)])
def test_a_teacher_has_to_be_better_by_far(
    times: float, is_better: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_teacher, "BETTER", BETTER)
    heard: list[object] = []
    run = replace(a_run(tmp_path), emit=heard.append)
    monkeypatch.setattr(image_teacher, "trained_in", lambda *_, **__: finalist("teacher", {}, 0.0, loss=times * 0.3))
    found = teacher_for(run, finalist("promoted-0", small(run), 0.1, loss=0.3))
    assert (found is not None) is is_better
    assert heard == [events.TeacherTrained(1, is_better)]


@pytest.mark.parametrize(
    "change",
    [
        {"plan": Plan(Effort(trials=2, epochs=24), augmented=True)},  # --no-distill
        {"plan": Plan(Effort(trials=2, epochs=24), augmented=True, distill=True, like=True)},
        {"plan": Plan(Effort(trials=2, epochs=24), augmented=True, distill=True, way_down=True)},
        {"plan": Plan(Effort(trials=2, epochs=24), augmented=True, distill=True, search_only=True)},
        {"plan": Plan(Effort(trials=2, epochs=24), distill=True)},  # the images stay as they are
        {"plan": Plan(Effort(trials=2, epochs=4 * FEWEST_EPOCHS - 3), augmented=True, distill=True)},
        {"data": replace(DATA, spec=replace(DATA.spec, task="regression", outputs=1))},
        {"data": replace(DATA, spec=replace(DATA.spec, kind="signal"))},
        {"data": replace(DATA, spec=replace(DATA.spec, rows=100))},  # not starved
    ],
    ids=["not wanted", "like", "way down", "search", "plain", "too short", "numbers", "signals", "room enough"],
)
def test_there_is_none_where_it_would_not_help_or_is_not_wanted(
    change: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_teacher, "trained_in", lambda *_, **__: finalist("teacher", {}, 0.0))
    run = a_run(tmp_path)
    assert teacher_for(run, finalist("promoted-0", small(run), 0.1)) is not None
    changed = a_run(tmp_path, **change)
    assert teacher_for(changed, finalist("promoted-0", small(run), 0.1)) is None


@pytest.mark.parametrize(
    ("epochs", "rows", "is_taught"),
    [
        (MANY_EPOCHS, 10 * 300, True),
        (MANY_EPOCHS - 2, 10 * 300, False),
        (MANY_EPOCHS, 10 * 300 - 1, False),
        (MANY_EPOCHS, 20 * 300 - 1, True),
        (MANY_EPOCHS, 20 * 300, False),
    ],
)
def test_it_is_for_trainings_and_parameters_that_it_was_seen_to_help(
    epochs: float, rows: int, is_taught: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # what the other tests are allowed
    monkeypatch.setattr(image_teacher, "trained_in", lambda *_, **__: finalist("teacher", {}, 0.0, loss=0.1))
    run = a_run(tmp_path, replace(DATA, spec=replace(DATA.spec, rows=rows)))
    winner = finalist("promoted-0", small(run), 0.1)
    times = run.plan.epochs("refit") / run.plan.epochs("promotion")
    winner = replace(winner, trained=replace(winner.trained, epochs=(epochs + 0.1) / times))
    assert (teacher_for(run, winner) is not None) is is_taught


def test_a_teacher_is_larger_than_its_pupil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, spec = a_run(tmp_path), DATA.spec
    points = starting_points(replace(run.bench, budget=Budget()))[::-1]
    sizes = [feasible.dense_cost(run.bench.template, values, spec).params for values in points]
    assert sizes[0] < max(sizes)
    monkeypatch.setattr(image_teacher, "starting_points", lambda bench: points)
    monkeypatch.setattr(image_teacher, "trained_in", lambda run, name, values, **_: finalist(name, values, 0.0))
    for least, expected in ((0, points[0]), (sizes[0] + 1, points[sizes.index(max(sizes))]), (max(sizes) + 1, None)):
        winner = finalist("promoted-0", small(run), 0.1)
        cost = replace(winner.trained.cost, params=math.ceil(least / LARGER))
        found = teacher_for(run, replace(winner, trained=replace(winner.trained, cost=cost)))
        assert (None if found is None else found.values) == expected


def test_it_can_be_left_out(tmp_path: Path) -> None:
    plain = synthesize(DATA, **EFFORT, out=tmp_path / "plain", distill=False)
    assert "teacher" not in phases_of(plain) and "taught_by" not in plain.summary


def test_one_that_fails_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> Finalist:
        raise TrainingFailed("the loss is nan")

    monkeypatch.setattr(image_teacher, "trained_in", fails)
    result = synthesize(DATA, **EFFORT, out=tmp_path / "run")
    assert phases_of(result)[-1] == "refit" and "taught_by" not in result.summary


def test_a_last_training_that_is_left_was_taught_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refit = main.local_search.refit

    def worse(*given: Any) -> Any:
        trained = refit(*given)
        return replace(trained, scores=replace(trained.scores, error=1.0, loss=1e9, refined=1e9))

    monkeypatch.setattr(main.local_search, "refit", worse)
    assert "taught_by" not in synthesize(DATA, **EFFORT, out=tmp_path / "run").summary


@pytest.mark.parametrize("minutes", [0.5, 2.0, 20.0])
def test_the_teacher_is_the_best_bet_that_there_is_time_for(
    minutes: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[Values] = []

    def noted(run: Run, name: str, values: Values, **_: Any) -> Finalist:
        assert run.bench.budget == Budget()
        chosen.append(values)
        return finalist(name, values, 0.0)

    monkeypatch.setattr(image_teacher, "trained_in", noted)
    run = a_run(tmp_path, plan=Plan(Effort(minutes=minutes), augmented=True, distill=True))
    winner = finalist("promoted-0", small(run), 0.1)
    winner = replace(winner, trained=replace(winner.trained, seconds=1.0, epochs=20.0))
    found = teacher_for(run, winner)
    seconds = run.plan.ends("teacher") - run.plan.ends("promotion")
    spec, template = DATA.spec, run.bench.template

    def macs(values: Values) -> int:
        return feasible.dense_cost(template, values, spec).macs

    able = [  # best bet first
        values
        for values in starting_points(replace(run.bench, budget=Budget()))
        if seconds * 20.0 * macs(small(run)) / macs(values) >= FEWEST_EPOCHS
    ]
    assert bool(able) is (minutes > 1) and (found is not None) is bool(able)
    assert chosen == able[:1]


@pytest.mark.parametrize("name", ["teacher", "refit"])
def test_a_run_that_was_stopped_in_it_or_after_comes_to_the_same(name: str, tmp_path: Path, straight: Straight) -> None:
    def stop(event: object) -> None:
        if isinstance(event, events.Training) and event.name == name and event.progress > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        synthesize(DATA, **EFFORT, out=tmp_path / "run", listener=stop)
    resumed = synthesize(DATA, **EFFORT, out=tmp_path / "run")
    files = [run.folder / "network" / "weights.safetensors" for run in (straight.result, resumed)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert resumed.summary["taught_by"] == straight.result.summary["taught_by"]
