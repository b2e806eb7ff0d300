"""When the phases of a run begin, and what that does to those that come."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from finalists import a_run
from steerage import events
from steerage.synthesis import phases
from steerage.synthesis.clock import RunClock
from steerage.synthesis.plan import Effort, Plan
from steerage.synthesis.stage import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = a_run(tmp_path)
    run.directory.path.mkdir(exist_ok=True)
    return replace(run, plan=Plan(Effort(minutes=10)))


def at(run: Run, second: float) -> Run:
    return replace(run, bench=replace(run.bench, clock=RunClock(before=second)))


def test_time_is_split_from_when_there_is_something_to_train(run: Run) -> None:
    late = phases.begun(at(run, 300.0))
    assert late.plan.ends("baseline") == pytest.approx(300.0 + 0.05 * 300.0, abs=1.0)
    run.directory.log(events.PhaseStarted("baseline", 315.0), 300.0)
    again = phases.begun(at(run, 400.0))  # the process was stopped, and another one goes on
    assert again.plan.ends("refit") == pytest.approx(late.plan.ends("refit"), abs=1.0)


def test_a_search_that_ended_late_leaves_each_training_after_it_its_share(run: Run) -> None:
    ends = run.plan.ends("search")
    assert phases.searched(at(run, ends - 5.0)).plan == run.plan
    late = phases.searched(at(run, ends + 100.0)).plan
    left = {phase: late.ends(phase) - (ends + 100.0) for phase in ("promotion", "refit")}
    planned = {phase: run.plan.ends(phase) - ends for phase in left}
    assert left["promotion"] / left["refit"] == pytest.approx(planned["promotion"] / planned["refit"], rel=0.01)
    run.directory.log(events.PhaseStarted("baseline", 30.0), 0.0)
    run.directory.log(events.PhaseStarted("promotion", 408.0), ends + 100.0)
    again = phases.searched(at(run, ends + 250.0)).plan
    assert again.ends("promotion") == pytest.approx(late.ends("promotion"), abs=1.0)
