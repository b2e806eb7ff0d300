from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from steerage.errors import BadArgument
from steerage.synthesis.plan import Effort, Plan, effort_from

PHASES = ["baseline", "search", "promotion", "refit"]
OWN_PHASES = ["local", "absorption"]
TIMED = Effort(minutes=10.0)


@pytest.mark.parametrize(
    ("given", "effort"),
    [
        ((None, None, None), Effort(minutes=10.0)),
        ((2.0, None, None), Effort(minutes=2.0)),
        ((2.0, 7, None), Effort(minutes=2.0, trials=7)),
        ((None, 7, None), Effort(trials=7, epochs=60)),
        ((None, None, 9), Effort(trials=20, epochs=9)),
        ((None, 7, 9), Effort(trials=7, epochs=9)),
    ],
)
def test_what_is_not_given_is_filled_in(given: tuple[Any, Any, Any], effort: Effort) -> None:
    assert effort_from(*given) == effort
    assert effort.timed is (effort.minutes is not None)


@pytest.mark.parametrize(
    "given", [(0.0, None, None), (-1.0, None, None), (float("inf"), None, None), (None, 0, None), (None, None, 0)]
)
def test_efforts_that_are_not_positive_are_refused(given: tuple[Any, Any, Any]) -> None:
    with pytest.raises(BadArgument, match="must be positive"):
        effort_from(*given)


def test_beside_epochs_minutes_bound_a_call_and_not_the_run() -> None:
    effort = effort_from(2.0, None, 10)
    assert (effort.timed, effort.seconds_per_call, effort.trials) == (False, 120.0, 20)
    assert effort.to_json() == effort_from(5.0, None, 10).to_json() == effort_from(None, None, 10).to_json()
    assert Plan(effort).total == float("inf")


def test_a_run_of_minutes_is_one_call() -> None:
    assert (effort_from(2.0, None, None).timed, effort_from(2.0, 30, None).seconds_per_call) == (True, None)


@pytest.mark.parametrize(
    ("plan", "phases"),
    [
        (Plan(TIMED), PHASES),
        (Plan(TIMED, scarce=True), PHASES),
        (Plan(TIMED, augmented=True), PHASES),
        (Plan(TIMED, search_only=True), PHASES[:3]),
        (Plan(TIMED, local_only=True), OWN_PHASES),
    ],
)
def test_phases_end_one_after_the_other_and_leave_time_to_save(plan: Plan, phases: list[str]) -> None:
    ends = [plan.ends(phase) for phase in phases]
    assert ends == sorted(ends)
    assert ends[-1] < plan.total == 600.0


def test_counted_efforts_have_no_end() -> None:
    assert Plan(Effort(trials=3, epochs=4)).ends("search") == float("inf")


def test_trials_share_what_the_search_has_left() -> None:
    plan = Plan(TIMED)
    assert plan.trial_seconds(0.0) > plan.trial_seconds(100.0) > 0
    assert plan.trial_seconds(plan.ends("search") + 50) > 0


def test_the_longest_trainings_get_all_epochs_and_every_phase_one_at_least() -> None:
    plan = Plan(Effort(trials=3, epochs=40))
    assert plan.epochs("promotion") * max(plan.longer) == pytest.approx(plan.epochs("local"), abs=4)
    assert plan.epochs("refit") == plan.epochs("local") == 40
    assert all(1 <= plan.epochs(phase) < 40 for phase in [*PHASES[:3], "absorption"])
    assert [Plan(Effort(trials=3, epochs=1)).epochs(phase) for phase in [*PHASES, *OWN_PHASES]] == [1] * 6


def test_what_a_search_alone_delivers_gets_all_epochs() -> None:
    for options in ({"search_only": True}, {"search_only": True, "pareto": "params"}):
        plan = Plan(Effort(trials=3, epochs=40), **options)
        assert not plan.longer and plan.epochs("promotion") == 40


def test_few_epochs_make_minutes_scarce() -> None:
    plan = Plan(TIMED)
    assert plan.measured(1499.0 / plan.total).scarce
    assert not plan.measured(1501.0 / plan.total).scarce
    assert plan.measured(149.0 / plan.total).hurried
    assert not plan.measured(151.0 / plan.total).hurried
    assert not Plan(Effort(trials=3, epochs=4)).measured(1e-6).scarce


def test_scarce_minutes_go_to_the_network_that_is_delivered() -> None:
    plan, scarce = Plan(TIMED), Plan(TIMED, scarce=True)
    assert scarce.ends("search") < plan.ends("search")
    assert scarce.promoted < plan.promoted
    hurried = Plan(TIMED, scarce=True, hurried=True)
    assert hurried.ends("promotion") < scarce.ends("promotion") and hurried.trials < scarce.trials
    assert Plan(TIMED, scarce=True, hurried=True, search_only=True).trials == scarce.trials


def test_scarce_minutes_can_still_be_too_many_where_rows_are_few() -> None:
    scarce = Plan(TIMED, scarce=True)
    assert scarce.longer and scarce.shorter and len(scarce.longer) < len(Plan(TIMED).longer)
    unchecked = replace(scarce, augmented=True)
    assert not unchecked.longer and unchecked.ends("promotion") < scarce.ends("promotion")
    assert not replace(scarce, hurried=True).longer


def test_what_is_left_after_a_late_start_is_split_as_all_of_it() -> None:
    plan = Plan(Effort(minutes=60))
    late = plan.split_anew(1800.0)
    assert all(late.ends(phase) == pytest.approx(1800.0 + plan.ends(phase) / 2) for phase in PHASES)
    assert late.measured(2999.0 / plan.total).scarce and not late.measured(3001.0 / plan.total).scarce
    late = plan.split_anew(3000.0, after="search")  # half an hour too late
    share = (plan.ends("promotion") - plan.ends("search")) / (plan.total - plan.ends("search"))
    assert late.ends("promotion") == pytest.approx(3000.0 + share * 600.0)
    assert late.ends("search") == 3000.0 and late.ends("refit") < plan.total
    in_time = plan.split_anew(plan.ends("search"), after="search")
    assert all(in_time.ends(phase) == pytest.approx(plan.ends(phase)) for phase in PHASES)
    counted = Plan(Effort(trials=3, epochs=4)).split_anew(7.0, after="search")
    assert counted.ends("promotion") == float("inf")


@pytest.mark.parametrize(
    ("minutes", "began", "left"),
    [
        (1.0, 0.1, 1.2),  # 2 %
        (1.0, 4.0, 4.0),  # as long as what came before the first training
        (1.0, 30.0, 6.0),  # a tenth of the minute at most
        (5.0, 30.0, 8.0),
        (60.0, 30.0, 71.4),  # what there is anyway
    ],
)
def test_a_slow_machine_has_time_for_what_comes_after_the_last_training(
    minutes: float, began: float, left: float
) -> None:
    plan = Plan(Effort(minutes=minutes)).split_anew(began)
    assert plan.total - plan.ends("refit") == pytest.approx(left, abs=0.2)
    late = plan.split_anew(plan.ends("promotion"), after="search")
    assert late.total - late.ends("refit") >= 0.9 * plan.closing
    assert all(late.ends(one) < late.ends(next) for one, next in (("search", "promotion"), ("promotion", "refit")))


def test_few_minutes_mean_fewer_trials_and_not_shorter_ones() -> None:
    wanted = {minutes: Plan(Effort(minutes=minutes)).trials for minutes in (0.1, 2.0, 10.0, 60.0)}
    assert wanted[0.1] < wanted[2.0] < wanted[10.0] == wanted[60.0]
    assert Plan(Effort(minutes=2.0)).trial_seconds(6.0) >= 3.0
    assert Plan(Effort(minutes=2.0, trials=40)).trials == 40


def test_augmented_rows_leave_the_rest_of_the_time_to_the_last_training() -> None:
    plan, augmented = Plan(TIMED), Plan(TIMED, augmented=True)
    assert augmented.ends("promotion") < plan.ends("promotion")
    assert plan.longer and not augmented.longer


def test_with_several_jobs_trials_are_longer_and_none_is_without_one() -> None:
    one = Plan(Effort(minutes=10.0))
    for jobs in (2, 3, 8):
        several = replace(one, jobs=jobs)
        assert several.trials % jobs == 0 and several.trials >= max(one.trials, 4 * jobs)
        rows = several.trials // jobs
        assert rows * several.trial_seconds(20.0) == pytest.approx(one.trials * one.trial_seconds(20.0))
        assert replace(several, hurried=True).trials % jobs == 0
    assert replace(one, jobs=2, effort=Effort(minutes=10.0, trials=5)).trials == 5
