"""What a winner learns from made-up rows, and when it is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from steerage import events
from steerage.cost import Budget, Cost
from steerage.data import Dataset, dataset_from_arrays
from steerage.data.objective import with_objective
from steerage.errors import TrainingFailed
from steerage.synthesis import Result, distillation, main, promotion, synthesize, teacher
from steerage.synthesis.candidate import Bench, Trained
from steerage.synthesis.clock import RunClock
from steerage.synthesis.distillation import FEWEST_ROWS, MADE_UP, STEPS
from steerage.synthesis.main import Interrupted
from steerage.synthesis.plan import Effort, Plan
from steerage.synthesis.run_directory import RunDirectory
from steerage.synthesis.stage import Finalist, Run
from steerage.templates import TEMPLATES
from steerage.training.evaluate import Scores
from steerage.training.split import validation_split
from steerage.training.trees import KINDS
from tasks import numbers, perceptron, pictures, table, waves

DATA = table(240)
EFFORT: dict[str, Any] = {"trials": 2, "epochs": 6, "budget": Budget(max_params=150)}
X, _ = waves(240)


def phases_of(result: Result) -> list[str]:
    lines = (result.folder / "events.jsonl").read_text().splitlines()
    return [line["phase"] for line in map(json.loads, lines) if line["event"] == "PhaseStarted"]


def helping(monkeypatch: pytest.MonkeyPatch, *, loss: float = 0.0, error: float = 0.0) -> list[Dataset]:
    """Let what is taught come to these figures; what is then learnt from, one after the other."""
    seen, learning, made = [], distillation._learning, distillation._lessons

    def better(*arguments: Any, **options: Any) -> Any:
        found = learning(*arguments, **options)
        scores = Scores(error, loss, found.trained.scores.rows)
        return replace(found, trained=replace(found.trained, scores=scores))

    def lessons(*arguments: Any) -> Dataset:
        seen.append(made(*arguments))
        return seen[-1]

    monkeypatch.setattr(distillation, "_learning", better)
    monkeypatch.setattr(distillation, "_lessons", lessons)
    return seen


@pytest.fixture
def overtrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest training is never the best."""
    monkeypatch.setattr(distillation, "is_longest", lambda finalist, plan: False)


def labels() -> Dataset:
    y = np.stack([X[:, 0] > 0, X[:, 1] > 0.5], axis=1).astype(int)
    data = dataset_from_arrays(X, y, name="labels")
    return replace(data, spec=replace(data.spec, task="multilabel"))


@pytest.mark.usefixtures("overtrained")
@pytest.mark.parametrize(
    "data",
    [
        DATA,
        numbers(240),
        dataset_from_arrays(X, np.stack([X[:, 0], X[:, 1] ** 2], axis=1), task="regression", name="pair"),
        labels(),
        with_objective(table(240), metric=None, balanced=True),
        replace(table(240), weights=torch.arange(192).remainder(3).float()),
    ],
    ids=["classes", "a number", "two numbers", "labels", "balanced", "weights"],
)
def test_it_learns_from_what_is_told_of_made_up_rows(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = helping(monkeypatch)
    result = synthesize(data, **EFFORT, template="mlp", out=tmp_path / "run")
    assert phases_of(result) == ["baseline", "search", "promotion", "distillation", "refit"]
    assert result.network.cost.params <= 150
    assert result.summary["taught_by"].keys() == {"networks", "rounds"} and any(result.summary["taught_by"].values())
    assert "It learnt from made-up rows too, as told by" in (tmp_path / "run" / "report.html").read_text()
    first, last = seen
    rows, train = len(data.y), round(0.8 * len(data.y))
    assert (len(first.y), len(last.y)) == ((1 + MADE_UP) * train, (1 + MADE_UP) * rows)
    assert torch.equal(last.x[:rows], data.x)
    if data.spec.task == "classification":
        assert torch.equal(last.y[:rows].argmax(dim=1), data.y) and (last.y[:rows].max(dim=1).values == 1).all()
        assert torch.allclose(last.y.sum(dim=1), torch.ones(len(last.y)), atol=1e-4)
    else:
        assert torch.equal(last.y[:rows], data.y) and last.y.shape[1:] == data.y.shape[1:]
    weights = data.loss_weights(torch.arange(rows))
    assert (last.weights is None) == (weights is None) and last.class_factors is None
    if weights is not None:
        assert last.weights is not None and torch.allclose(last.weights[:rows], weights)
    figure, best = ("r2", 1) if data.spec.task == "regression" else ("error", 0)
    assert result.summary[figure]["validation"] == best


@pytest.mark.usefixtures("overtrained")
def test_the_validation_rows_are_kept_from_it_until_it_is_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, fitted = helping(monkeypatch), []
    fit = teacher.fit_trees

    def noted(dataset: Dataset, rows: torch.Tensor, **options: Any) -> Any:
        fitted.append(len(rows))
        return fit(dataset, rows, **options)

    monkeypatch.setattr(teacher, "fit_trees", noted)
    monkeypatch.setattr(teacher, "taken", lambda told, loss: [len(told) - 1])  # the trees
    synthesize(DATA, **EFFORT, out=tmp_path / "run")
    own = {tuple(row) for row in seen[0].x[: round(0.8 * len(DATA.y))].tolist()}
    held = [row for row in DATA.x.tolist() if tuple(row) not in own]
    assert len(held) == len(DATA.y) - len(own)
    values = {value for row in own for value in row}
    assert all(value in values for row in seen[0].x.tolist() for value in row)
    assert fitted == [*[round(0.8 * len(DATA.y))] * len(KINDS), len(DATA.y)]


@pytest.mark.parametrize("best", ["promoted-0", "promoted-longer-0", "promoted-longer-1"])
def test_there_is_none_where_the_longest_training_was_the_best(
    best: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helping(monkeypatch)
    monkeypatch.setattr(
        main.promotion, "promote", lambda run, _, promote=main.promotion.promote: replace(promote(run, _), name=best)
    )
    result = synthesize(DATA, **EFFORT, out=tmp_path / "run")
    assert ("distillation" in phases_of(result)) == (best != "promoted-longer-1")


@pytest.mark.usefixtures("overtrained")
def test_what_is_no_better_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = synthesize(DATA, **EFFORT, out=tmp_path / "plain", distill=False)
    assert "distillation" not in phases_of(plain)
    assert json.loads((plain.folder / "run.json").read_text())["distill"] is False
    seen = helping(monkeypatch, loss=9.0)
    worse = synthesize(DATA, **EFFORT, out=tmp_path / "worse")
    assert "distillation" in phases_of(worse) and len(seen) == 1
    helping(monkeypatch, loss=0.0, error=0.9)
    wrong = synthesize(DATA, **EFFORT, out=tmp_path / "wrong")
    for run in (worse, wrong):
        assert "taught_by" not in run.summary
        assert run.summary["error"]["validation"] == run.summary["after_search"]["error"]["validation"]


SIZES = {  # losses by size and length, of sizes of 100, 300 and 900; what is chosen; the winner's loss is 1, on 100
    "the first": ([[0.8, 0.9], [0.76], [0.77]], 100, "taught-0-0"),
    "the next, by enough": ([[0.8], [0.75, 0.76], [0.71]], 300, "taught-1-0"),
    "the largest, for longer": ([[0.8], [0.7], [0.6, 0.5, 0.4]], 900, "taught-2-2"),
    "the next, where the first has too little room": ([[1.1], [0.9, 0.8, 0.9], [0.85]], 300, "taught-1-1"),
    "the largest, where the next does not show": ([[0.8], [0.78], [0.74, 0.75]], 900, "taught-2-0"),
    "none": ([[1.1], [1.2], [1.3]], 0, ""),
}


@pytest.mark.parametrize(("losses", "size", "name"), SIZES.values(), ids=SIZES)
def test_what_is_taught_may_be_larger_than_what_sizing_chose(
    losses: list[list[float]], size: int, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    heard: list[object] = []

    def learning(run: Run, name: str, lessons: object, winner: Finalist, *, steps: float) -> Finalist:
        place, at = (int(number) for number in name.split("-")[1:])
        assert run.bench.budget == Budget(max_params=(100, 300, 900)[place]) and steps == STEPS[at]
        seen.append((place, at))
        return a_finalist(name, losses[place][at])

    def a_finalist(name: str, loss: float) -> Finalist:
        scores = Scores(0.2, loss, 100)
        return Finalist(name, {}, Trained(perceptron(), {}, scores, Cost(1, 1, 1, 1), (), 1.0, 1.0))

    monkeypatch.setattr(distillation, "_learning", learning)
    monkeypatch.setattr(distillation, "_lessons", lambda *_: None)
    monkeypatch.setattr(
        distillation, "choose", lambda run, until: (teacher.Teacher({"promoted-0": teacher.Part(1)}, {}), None)
    )
    bench = Bench(DATA, TEMPLATES["mlp"], Budget(max_params=100), *validation_split(DATA, 0), RunClock())
    plan = Plan(Effort(trials=3, epochs=600), sized=True, distill=True, most_params=900)
    run = Run(bench, plan, RunDirectory(tmp_path), 0, heard.append)
    pupil = distillation.taught(run, a_finalist("promoted-0", 1.0))
    assert seen == sorted(seen[: len(losses)]) + seen[len(losses) :] and len(seen) == sum(map(len, losses))
    assert [event.kept for event in heard if isinstance(event, events.Taught)] == [bool(size)]
    told = [event.max_params for event in heard if isinstance(event, events.SizeChosen)]
    assert told == ([size] if size > 100 else [])
    if size:
        assert pupil is not None and (pupil.finalist.name, pupil.budget) == (name, Budget(max_params=size))
    else:
        assert pupil is None


@pytest.mark.usefixtures("overtrained")
def test_a_training_that_fails_leaves_the_winner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise TrainingFailed("the loss is nan")

    monkeypatch.setattr(distillation, "_learning", fails)
    result = synthesize(DATA, **EFFORT, out=tmp_path / "run")
    assert phases_of(result)[-1] == "refit"


@pytest.mark.parametrize("data", [pictures(240), table(FEWEST_ROWS + 20)], ids=["images", "few rows"])
def test_images_and_few_rows_have_none(data: Dataset, tmp_path: Path) -> None:
    assert "distillation" not in phases_of(synthesize(data, **EFFORT, template="mlp", out=tmp_path / "run"))


@pytest.mark.usefixtures("overtrained")
@pytest.mark.parametrize("name", ["taught-0-0", "taught-0-1", "refit"])
def test_a_run_that_was_stopped_before_or_after_comes_to_the_same(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helping(monkeypatch)
    monkeypatch.setattr(promotion, "helped", lambda *_: False)  # the winner has an epoch, so two lengths may follow
    straight = synthesize(DATA, **EFFORT, out=tmp_path / "straight")

    def stop(event: object) -> None:
        if isinstance(event, events.Training) and event.name == name:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        synthesize(DATA, **EFFORT, out=tmp_path / "run", listener=stop)
    monkeypatch.setattr(distillation, "left", lambda *_: 1e-3)  # there is no time to begin it, and it is begun
    resumed = synthesize(DATA, **EFFORT, out=tmp_path / "run")
    files = [run.folder / "network" / "weights.safetensors" for run in (straight, resumed)]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.usefixtures("overtrained")
def test_the_teacher_is_the_one_of_the_lowest_loss_on_the_validation_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[teacher.Teacher] = []
    choose = distillation.choose

    def noted(run: Run, **options: Any) -> Any:
        found = choose(run, **options)
        chosen.append(found[0])
        return found

    monkeypatch.setattr(distillation, "choose", noted)
    # Steps along two columns: trees tell them, and a network of few epochs does not.
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(600, 2))
    stairs = dataset_from_arrays(x, (np.floor(6 * x[:, 0]) + np.floor(6 * x[:, 1])) % 2 > 0, name="stairs")
    synthesize(stairs, **EFFORT, out=tmp_path / "stairs")
    assert counted(chosen[0].trees) > counted(chosen[0].networks)
    # A plane: networks know it, and trees do not.
    plain = dataset_from_arrays(*_plane(rng), task="regression", name="plane")
    synthesize(plain, **{**EFFORT, "epochs": 60, "budget": Budget()}, out=tmp_path / "plane")
    assert counted(chosen[1].networks) > counted(chosen[1].trees)


def counted(parts: Mapping[Any, teacher.Part]) -> int:
    return sum(part.times for part in parts.values())


def _plane(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    x = rng.normal(size=(300, 12))
    return x, x @ rng.normal(size=12)
