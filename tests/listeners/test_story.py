from __future__ import annotations

import io
from dataclasses import asdict

import pytest
from rich.console import Console

from steerage import events
from steerage.listeners.story import Story, minutes
from steerage.listeners.view import view
from steerage.metrics import METRICS


def story(kind: str = "synth", *, seconds: float | None = 120.0) -> Story:
    return Story(kind, "digits: 1,437 training rows", clock=lambda: 48.0, seconds=seconds)


def finished(number: int, error: float) -> events.TrialFinished:
    return events.TrialFinished(number, {}, error + 0.5, 0.5, 1.0, {"error": error, "params": 100})


def trained(error: float, *, name: str = "baseline", params: int = 8970) -> events.NetworkTrained:
    return events.NetworkTrained(name, error, 0.1, params, params, 8000)


def told(one: Story, *heard: object) -> list[str]:
    return [line for event in heard for line in one.hear(event)]


def test_every_finished_phase_is_a_line_and_every_tenth_trial() -> None:
    one = story()
    lines = told(
        one,
        events.PhaseStarted("baseline", 6.0),
        events.Training("baseline", 0.5, 1.0),
        trained(0.0278),
        events.PhaseStarted("search", 45.0),
        *(finished(number, 0.05 - number / 1000) for number in range(12)),
        events.RoundFinished(0, 10, 0.5, 0.6, 0.7, 0.04, 0.75, 0.0012, 11),
        events.PhaseStarted("promotion", 67.0),
    )
    assert lines == [
        "plain baseline: validation error 2.78 %, 8,970 parameters",
        "10 trials, best validation error 4.10 % (trial 9)",
        "round 0: 3.90 % (trial 11), τ 0.50, coverage 75 %, gain 0.12 %",
        "global search: 12 trials, best validation error 3.90 % (trial 11)",
    ]
    assert one.tau == 0.5


def test_failed_trials_are_named_with_their_reason() -> None:
    one = story()
    lines = told(one, events.PhaseStarted("search", None), events.TrialFailed(0, "the loss is nan"))
    assert lines == ["trial 0 failed: the loss is nan"]
    assert told(one, events.TrialLost(1, "it was killed")) == ["trial 1 begins again: it was killed"]
    assert one.end_of_phase() == ["global search: 1 trial (1 failed), no network yet"]


def test_the_baseline_and_the_last_training_are_not_the_best_so_far() -> None:
    one = story()
    told(one, events.PhaseStarted("baseline", None), trained(0.01))
    assert one.best is None
    told(one, events.PhaseStarted("promotion", None), trained(0.02, name="promoted-0"))
    told(one, events.PhaseStarted("refit", None), trained(0.0, name="refit"))
    assert one.best == 0.02


def test_regression_is_told_as_r2() -> None:
    one = story()
    one.metric = METRICS["r2"]
    told(one, events.PhaseStarted("search", None), finished(0, 0.25))
    assert one.best_so_far() == "best validation R² 0.7500 (trial 0)"


def test_a_resumed_run_knows_what_an_earlier_process_logged() -> None:
    one = story()
    heard = (events.PhaseStarted("search", None), finished(0, 0.3), finished(1, 0.2))
    one.recall([{"event": type(event).__name__, "at": 1.0, **asdict(event)} for event in heard])
    one.recall([{"event": "Unknown"}, {"event": "TrialFailed", "strange": 1}])
    assert (one.trials, one.best, one.phase) == (2, 0.2, None)
    assert told(one, events.PhaseStarted("search", None)) == []


@pytest.mark.parametrize(("seconds", "text"), [(7.9, "0:07"), (754, "12:34"), (3_723, "1:02:03")])
def test_durations_are_clock_like(seconds: float, text: str) -> None:
    assert minutes(seconds) == text


def rendered(one: Story, width: int) -> list[str]:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(view(one))
    return console.export_text().splitlines()


def test_the_live_view_fits_80_columns() -> None:
    one = story()
    one.title = "a very long name of a data set " * 5
    told(one, events.PhaseStarted("search", None), finished(3, 0.25))
    told(one, events.RoundFinished(0, 4, 0.5, 0.5, 0.5, 0.2, 0.8, 0.01))
    told(one, events.Training("trial 4 " * 20, 0.5, 0.123456))
    lines = rendered(one, 80)
    assert len(lines) == 7
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    for part in (
        "1:12 left of 2:00",
        "2 of 4: global search",
        "trials     4 done",
        "round      0; predictor τ 0.50; expected gain 1.00 %",
        "validation error 25.00 %",
    ):
        assert part in text


def test_the_live_view_of_a_refinement_has_no_trials() -> None:
    assert not any(line.startswith("trials") for line in rendered(story("refine", seconds=None), 80))


def test_the_best_of_a_search_that_trained_again_is_a_mean() -> None:
    one = story()
    again = events.TrialFinished(2, {}, 0.5, 0.5, 1.0, {"error": 0.4}, repeats=1, best_number=0)
    told(one, events.PhaseStarted("search", None), finished(0, 0.25), finished(1, 0.2), again)
    assert (one.trials, one.again) == (3, 1)
    assert one.end_of_phase() == [
        "global search: 3 trials (1 trained again), best validation error 25.00 % (trial 0)",
    ]
    other = events.TrialFinished(2, {}, 0.5, 0.5, 1.0, {"error": 0.24}, repeats=1, best_number=1)
    one = story()
    told(one, finished(0, 0.25), finished(1, 0.2), other)
    assert one.best_so_far() == "best validation error 22.00 % (trial 1)"


def test_a_round_is_told_in_80_columns_with_the_time_before_it() -> None:
    one = story()
    told(one, finished(158, 0.9999))
    (line,) = told(one, events.RoundFinished(42, 159, -0.55, 0.6, 0.7, 0.04, 1.0, 0.9999, 158))
    assert len(f"[1:02:03] {line}") <= 80


def test_rounds_of_an_older_version_and_of_regression_are_told() -> None:
    one = story()
    one.recall(
        [{"event": "RoundFinished", "round": 0, "trials": 4, "tau": 0.5, "spearman": 0.5, "rmse": 1.0, "best_error": 1}]
    )
    assert (one.tau, one.gain) == (0.5, None)
    one.metric = METRICS["r2"]
    told(one, finished(0, 0.25))
    (line,) = told(one, events.RoundFinished(0, 4, None, None, None, 0.2, None, 0.0123))
    assert line == "round 0: R² 0.7500 (trial 0), gain 0.0123"


def test_trials_that_rest_are_counted_once_and_told_at_the_end_of_the_search() -> None:
    one = story()
    told(one, events.PhaseStarted("search", 45.0), *(finished(number, 0.05) for number in range(8)))
    resting = [events.TrialStopped(number, {}, 0.3, 0.6, 1.0) for number in (8, 9)]
    assert told(one, *resting) == ["10 trials, best validation error 5.00 % (trial 0)"]
    assert told(one, finished(9, 0.04)) == []
    assert one.end_of_phase() == ["global search: 10 trials (1 stopped early), best validation error 4.00 % (trial 9)"]


def test_a_front_is_told_after_the_search() -> None:
    one = story("search")
    one.hear(events.PhaseStarted("search", None))
    lines = one.hear(events.FrontFound("macs", (3, 1)))
    assert lines[0].startswith("global search: ") and lines[1] == "front of error and MACs: 2 candidates"
    one.recall([{"event": "FrontFound", "at": 1.0, "cost": "params", "trials": [2]}])
    assert one.hear(events.FrontFound("params", (2,))) == ["front of error and parameters: 1 candidate"]


def test_trials_are_counted_towards_their_end_where_it_is_known() -> None:
    one = story(seconds=None)
    one.wanted = 60
    lines = told(one, events.PhaseStarted("search", None), *(finished(number, 0.05) for number in range(20)))
    assert [line.split(",")[0] for line in lines] == ["10 of 60 trials", "20 of 60 trials"]
    assert any(line.startswith("trials") and "20 of 60 done" in line for line in rendered(one, 80))


def test_a_phase_that_only_some_runs_have_is_counted_and_says_what_came_of_it() -> None:
    one = story()
    told(one, events.PhaseStarted("sizing", None), events.SizeChosen(500), events.PhaseStarted("distillation", None))
    assert one.where() == "5 of 6: training on what trees and networks tell"
    assert told(one, trained(0.02, name="taught"), events.Taught(4, 300, True)) == [
        "training on what trees and networks tell: validation error 2.00 %, 8,970 parameters",
        "taught by 4 networks and 300 rounds of trees: kept",
    ]
    assert told(one, events.Taught(1, 0, False)) == ["taught by 1 network: no better, left"]
    assert told(one, events.Taught(0, 1, False)) == ["taught by 1 round of trees: no better, left"]


@pytest.mark.parametrize(
    ("better", "found"), [(True, "tells the last training what it sees"), (False, "is not better by far, left")]
)
def test_a_teacher_is_no_network_to_deliver(better: bool, found: str) -> None:
    one = story()
    told(one, events.PhaseStarted("promotion", None), trained(0.02), events.PhaseStarted("teacher", None))
    assert one.where() == "4 of 5: training of a larger network to teach it"
    before = one.best_so_far()
    assert told(one, trained(0.005, name="teacher"), events.TeacherTrained(30_240, better)) == [
        "training of a larger network to teach it: validation error 0.50 %, 8,970 parameters",
        f"the teacher of 30,240 parameters {found}",
    ]
    assert one.best_so_far() == before
