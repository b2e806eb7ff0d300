from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from steerage.cost.budget import Budget
from steerage.data.weights import weighted
from steerage.growprune import schemes
from steerage.synthesis import candidate
from steerage.synthesis.candidate import Bench, Rests, Trained, synthesize_candidate
from steerage.synthesis.clock import RunClock
from steerage.templates import Mlp
from steerage.training.evaluate import Scores
from steerage.training.fit import Tick
from steerage.training.split import validation_split
from tasks import table

SECONDS = 400.0


class Counting(RunClock):
    """A second passes each time that the clock is read."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def trained(bench: Bench, seconds: float, checkpoint: Path) -> Trained:
    values = Mlp().starts(bench.dataset.spec)[0]
    scheme = schemes.gradual(steps=8)
    return synthesize_candidate(
        bench, values, name="one", seed=0, seconds=seconds, scheme=scheme, checkpoint=checkpoint
    )


def test_a_timed_training_that_was_stopped_gets_the_rest_of_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidate, "SAVE_EVERY_SECONDS", 0.0)
    dataset = table()
    rows, validation = validation_split(dataset, 0)
    bench = Bench(dataset, Mlp(), Budget(max_params=120), rows, validation, Counting())
    straight = trained(bench, SECONDS, tmp_path / "straight")

    def stop(name: str, tick: Tick) -> None:
        if tick.progress > 0.6:
            raise KeyboardInterrupt

    clock = Counting()
    with pytest.raises(KeyboardInterrupt):
        trained(replace(bench, clock=clock, on_tick=stop), SECONDS, tmp_path / "stopped")
    left = SECONDS - clock.now
    resumed = trained(replace(bench, clock=clock), left, tmp_path / "stopped")
    assert resumed.epochs == pytest.approx(straight.epochs, rel=0.1)


class Asked:
    """A judge that lets a training rest at one of its rungs. ``heard``: what it was told."""

    def __init__(self, rest_at: float | None) -> None:
        self.rest_at, self.heard = rest_at, dict[float, float]()

    def __call__(self, rung: float, scores: Scores) -> bool:
        self.heard[rung] = scores.objective
        return rung == self.rest_at


@pytest.mark.parametrize("rung", [0.3, 0.6])
@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_training_that_rested_gives_the_network_of_one_that_never_did(
    rung: float, ema: float, tmp_path: Path
) -> None:
    dataset = table()
    rows, validation = validation_split(dataset, 0)
    bench = Bench(dataset, Mlp(), Budget(max_params=120), rows, validation, RunClock())
    values = {**Mlp().starts(dataset.spec)[0], "dropout": 0.2}
    recipe = replace(bench.recipe(values), ema=ema)

    def training(rests: Rests | None) -> Trained:
        scheme = schemes.gradual(start=0.25, end=0.75, steps=8)
        return synthesize_candidate(
            bench, values, name="one", seed=0, epochs=10, scheme=scheme, recipe=recipe, rests=rests, exact=False
        )

    file = tmp_path / "trial-0.state"
    straight, before, after, whole = training(None), Asked(rung), Asked(None), Asked(None)
    rested = training(Rests((0.3, 0.6), before, file))
    kept = file.read_bytes()
    resumed = training(Rests((0.3, 0.6), after, file, going_on=True))
    training(Rests((0.3, 0.6), whole, tmp_path / "other.state"))
    assert rested.stopped_at == rung and rested.epochs == pytest.approx(10 * rung)
    assert resumed.stopped_at is None and resumed.epochs == straight.epochs == 10.0
    assert {**before.heard, **after.heard} == whole.heard and set(whole.heard) == {0.3, 0.6}
    assert set(before.heard).isdisjoint(after.heard)
    ours, theirs = resumed.model.state_dict(), straight.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert (resumed.scores, resumed.cost) == (straight.scores, straight.cost)
    assert [edit.after for edit in resumed.edits] == [edit.after for edit in straight.edits]
    assert file.read_bytes() == kept, "a stop after this goes on from the same place"
    file.unlink()
    anew = training(Rests((0.3, 0.6), Asked(None), file, going_on=True))
    assert all(torch.equal(anew.model.state_dict()[name], theirs[name]) for name in theirs)


def test_the_time_that_a_training_rested_is_not_its_own(tmp_path: Path) -> None:
    dataset = table()
    rows, validation = validation_split(dataset, 0)
    clock = Counting()
    bench = Bench(dataset, Mlp(), Budget(max_params=120), rows, validation, clock)
    values = Mlp().starts(dataset.spec)[0]

    def training(rests: Rests) -> Trained:
        return synthesize_candidate(bench, values, name="one", seed=0, seconds=SECONDS, scheme=None, rests=rests)

    rested = training(Rests((0.3,), Asked(0.3), tmp_path / "one"))
    clock.now += 10 * SECONDS
    resumed = training(Rests((0.3,), Asked(None), tmp_path / "one", going_on=True))
    assert rested.epochs == pytest.approx(0.3 * resumed.epochs, rel=0.15)
    assert resumed.seconds == pytest.approx(SECONDS, rel=0.1)


def test_a_training_too_short_to_rest_is_not_asked(tmp_path: Path) -> None:
    dataset = table()
    rows, validation = validation_split(dataset, 0)
    bench = Bench(dataset, Mlp(), Budget(), rows, validation, RunClock())
    asked = Asked(0.3)
    rests = Rests((0.3, 0.6), asked, tmp_path / "one")
    values = {**Mlp().starts(dataset.spec)[0], "batch_size": 4}
    done = synthesize_candidate(bench, values, name="one", seed=0, epochs=1, scheme=None, rests=rests)
    assert asked.heard == {} and done.stopped_at is None


def test_weights_of_rows_count_in_validation_and_test_errors() -> None:
    plain = table()
    dataset = weighted(plain, np.where(plain.y == 0, 9.0, 1.0), np.where(plain.y_test == 1, 9.0, 1.0))
    rows, validation = validation_split(dataset, 0)
    bench = Bench(dataset, Mlp(), Budget(), rows, validation, RunClock())
    always = nn.Linear(6, 3)
    with torch.no_grad():
        always.weight.zero_()
        always.bias.copy_(torch.tensor([0.0, 1.0, 0.0]))
    assert bench.scores(always).error == pytest.approx(10 / 11, abs=0.03)  # a third each; of classes 0, 1 and 2
    assert bench.test_scores(always).error == pytest.approx(2 / 11)


def test_grow_and_prune_is_shown_the_weighted_loss() -> None:
    plain = table()
    dataset = weighted(plain, np.where(plain.y == 0, 9.0, 1.0))
    rows, validation = validation_split(dataset, 0)
    benches = [Bench(data, Mlp(), Budget(), rows, validation, RunClock()) for data in (plain, dataset)]
    model = nn.Linear(6, 3)
    unweighted, heavy = (candidate._probe(bench, rows, 0)(model) for bench in benches)
    picked = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))]
    losses = F.cross_entropy(model(plain.x[picked]), plain.y[picked], reduction="none")
    assert torch.allclose(unweighted, losses.mean())
    assert torch.allclose(heavy, (losses * dataset.weights[picked]).mean())  # type: ignore[index]
