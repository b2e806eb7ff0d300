from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from steerage.cost.budget import Budget
from steerage.growprune import schemes
from steerage.synthesis import candidate
from steerage.synthesis.candidate import Bench, Trained, synthesize_candidate
from steerage.synthesis.clock import RunClock
from steerage.templates import Mlp
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
