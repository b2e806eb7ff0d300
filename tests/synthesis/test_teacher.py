"""Who tells what is to be learnt."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from steerage.cost.budget import Budget
from steerage.synthesis import teacher as teachers
from steerage.synthesis.candidate import Bench, Trained, synthesize_candidate
from steerage.synthesis.clock import RunClock
from steerage.synthesis.plan import Effort, Plan
from steerage.synthesis.run_directory import RunDirectory
from steerage.synthesis.stage import Run, remember
from steerage.synthesis.teacher import PICKS, Part, Teacher, choose, is_chosen, taken, teacher_of, told_by
from steerage.templates import TEMPLATES
from steerage.training.split import validation_split
from steerage.training.trees import KINDS
from tasks import table

DATA = table(240)


def test_models_count_as_often_as_they_help() -> None:
    truth = torch.tensor([0.0, 0.0, 0.0])
    said = [torch.tensor(one) for one in ([3.0, 0.0, 0.0], [-1.5, 0.0, 0.0], [0.0, 9.0, 0.0])]

    def loss(mean: torch.Tensor) -> float:
        return float((mean - truth).square().sum())

    assert taken(said, loss) == [1, 0, 1]  # twice the second beside the first is the truth, and the third does not help
    assert taken(said[2:], loss) == [0]
    rising = [torch.tensor([float(count)]) for count in (1, 2)]
    assert len(taken(rising, lambda mean: float((mean - 2**0.5).abs()) + 1.0)) <= PICKS


def a_run(folder: Path) -> Run:
    rows, held = validation_split(DATA, 0)
    bench = Bench(DATA, TEMPLATES["mlp"], Budget(max_params=300), rows, held, RunClock())
    run = Run(bench, Plan(Effort(trials=3, epochs=4)), RunDirectory(folder), 0, lambda event: None)
    run.directory.candidates.mkdir(parents=True)
    return run


def test_it_is_made_of_what_saw_the_training_rows_alone_and_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teachers, "taken", lambda told, loss: [*range(len(told))])
    run = a_run(tmp_path)
    values = run.bench.template.starts(DATA.spec)[0]
    trained: Trained = synthesize_candidate(run.bench, values, name="one", seed=0, epochs=30, scheme=None)
    names = ["promoted-0", "promoted-shorter-0", "sized-0-0", "sized-1-0-2", "baseline"]
    others = ["sized-0-1", "sized-0-1-1", "confirmed-promoted-0", "taught-0", "best-trial"]  # saw others, or are taught
    for name in (*names, *others):
        remember(run.directory.candidates / f"{name}.done", values, trained)
    assert not is_chosen(run)
    teacher, trees = choose(run, until=None)
    assert is_chosen(run) and teacher_of(run) == teacher
    assert {*teacher.networks} == {*names} and {*trees} == {*KINDS}
    assert {stage.kind for stage in teacher.trees} == {*KINDS} and teacher.rounds <= 300 * len(KINDS)
    again, same = choose(run, until=0.0)
    assert again == teacher
    told = told_by(run, teacher, trees)(DATA.x_test)
    assert torch.allclose(told.sum(dim=1), torch.ones(len(told)), atol=1e-5)
    assert torch.allclose(told, told_by(run, again, same)(DATA.x_test))


def test_what_each_says_counts_by_its_part(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    values = run.bench.template.starts(DATA.spec)[0]
    for name, seed in (("promoted-0", 0), ("promoted-1", 1)):
        trained = synthesize_candidate(run.bench, values, name=name, seed=seed, epochs=2, scheme=None)
        remember(run.directory.candidates / f"{name}.done", values, trained)
    alone = [told_by(run, Teacher({name: Part(5)}, {}), {})(DATA.x_test) for name in ("promoted-0", "promoted-1")]
    both = told_by(run, Teacher({"promoted-0": Part(3), "promoted-1": Part(1)}, {}), {})(DATA.x_test)
    assert torch.allclose(both, 0.75 * alone[0] + 0.25 * alone[1], atol=1e-6)
    assert not torch.allclose(alone[0], alone[1], atol=1e-3)
    modest = told_by(run, Teacher({"promoted-0": Part(1, 0.5)}, {}), {})(DATA.x_test)
    assert torch.allclose(modest, (0.5 * alone[0].log()).softmax(dim=1), atol=1e-5)
