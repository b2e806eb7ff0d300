"""Facts about one trial of the search, wherever it is trained."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from steerage.cost import Budget
from steerage.errors import TrainingFailed
from steerage.search.curves import Judge
from steerage.synthesis import trial
from steerage.synthesis.candidate import Bench
from steerage.synthesis.clock import RunClock
from steerage.synthesis.parcel import Parcel
from steerage.synthesis.trial import TrialTask
from steerage.templates import Mlp
from tasks import table


def bench() -> Bench:
    return Bench(table(), Mlp(), Budget(max_params=200), torch.arange(90), torch.arange(90, 120), RunClock(before=50.0))


def task(folder: Path) -> TrialTask:
    return TrialTask(bench(), folder, 0, None, 2, None)


def without_memory(monkeypatch: pytest.MonkeyPatch, *errors: Exception) -> list[int]:
    """The first trainings fail with ``errors``; the batch sizes of all of them."""
    original, sizes, left = trial.synthesize_candidate, list[int](), list(errors)

    def trained(*args: Any, recipe: Any, **options: Any) -> Any:
        sizes.append(recipe.batch_size)
        if left:
            raise left.pop(0)
        return original(*args, recipe=recipe, **options)

    monkeypatch.setattr(trial, "synthesize_candidate", trained)
    return sizes


def test_a_lack_of_memory_on_a_gpu_halves_the_batch_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lack = torch.OutOfMemoryError("CUDA out of memory")
    values = Mlp().baseline(bench().dataset.spec)
    sizes = without_memory(monkeypatch, lack)
    task(tmp_path)(0, values)
    assert sizes[1] * 2 == sizes[0]
    without_memory(monkeypatch, lack, lack)
    with pytest.raises(TrainingFailed, match=f"even for batches of {sizes[1]}"):
        task(tmp_path)(0, values)


def test_a_lack_of_memory_on_the_cpu_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = Mlp().baseline(bench().dataset.spec)
    without_memory(monkeypatch, RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"))
    with pytest.raises(MemoryError):
        task(tmp_path)(0, values)
    without_memory(monkeypatch, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes"):
        task(tmp_path)(0, values)


def test_only_the_network_of_a_trial_that_is_better_than_all_before_is_kept(tmp_path: Path) -> None:
    values, ours = Mlp().baseline(bench().dataset.spec), task(tmp_path)
    ours.best = -1.0
    error = ours(0, values).error
    assert list(tmp_path.iterdir()) == []
    ours.best = error + 0.001
    assert ours(0, values).error == error
    assert [path.name for path in tmp_path.iterdir()] == ["ended-0.done"]


def test_a_task_that_travelled_trains_the_same_and_is_unpacked_once(tmp_path: Path) -> None:
    here = task(tmp_path / "here")
    values = Mlp().baseline(bench().dataset.spec)
    sent = pickle.dumps(TrialTask(Parcel.of(bench(), tmp_path), tmp_path / "there", 0, None, 2, None))
    assert len(sent) < 10_000, "data do not travel with a trial"
    there, again = pickle.loads(sent), pickle.loads(sent)
    assert there(3, values, Judge()) == here(3, values, Judge())
    assert there.bench.bench is again.bench.bench
    ours, theirs = bench(), there.bench.bench
    assert torch.equal(theirs.dataset.x, ours.dataset.x) and torch.equal(theirs.dataset.y_test, ours.dataset.y_test)
    assert torch.equal(theirs.validation_rows, ours.validation_rows) and theirs.dataset.weights is None
    assert 50.0 <= theirs.clock() < 50.0 + 600.0
