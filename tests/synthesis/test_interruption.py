from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial

from steerage import events
from steerage.bundle import load_network
from steerage.cost import Budget
from steerage.search import fidelity, retrain
from steerage.search import run as search_run
from steerage.search.curves import is_stopped
from steerage.synthesis import Result, candidate, main, plan, synthesize
from steerage.synthesis import trial as trials
from steerage.synthesis.main import Interrupted, refine
from steerage.synthesis.own_network import OwnNetwork
from steerage.training import fit
from tasks import clouds, perceptron, table

DATA, BUDGET = table(), Budget(max_params=120)
TRIALS, EPOCHS = 4, 6

ENDS = ("TrialFinished", "TrialStopped")

Moment = Callable[[Any], bool]


def run(out: Path, listener: Callable[[object], None] | None = None) -> Result:
    return synthesize(DATA, budget=BUDGET, trials=TRIALS, epochs=EPOCHS, out=out, listener=listener)


def weights(folder: Path) -> bytes:
    return (folder / "network" / "weights.safetensors").read_bytes()


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return run(tmp_path_factory.mktemp("straight") / "run")


def save_at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings save themselves every ten seconds, which are not to be waited for here."""
    monkeypatch.setattr(candidate, "SAVE_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(fit, "TICK_SECONDS", -1.0)


def stopping_at(moment: Moment) -> Callable[[object], None]:
    def listener(event: object) -> None:
        if moment(event):
            raise KeyboardInterrupt

    return listener


def training(name: str) -> Moment:
    return lambda event: isinstance(event, events.Training) and event.name == name and event.progress > 0.6


def trial(kind: type[Any], number: int) -> Moment:
    return lambda event: isinstance(event, kind) and event.number == number


def phase(name: str) -> Moment:
    return lambda event: isinstance(event, events.PhaseStarted) and event.phase == name


MOMENTS = [
    pytest.param(phase("baseline"), False, id="before anything"),
    pytest.param(training("baseline"), True, id="in the baseline"),
    pytest.param(trial(events.TrialStarted, 0), False, id="at the first trial"),
    pytest.param(training("trial 2"), False, id="in a trial"),
    pytest.param(trial(events.TrialFinished, 1), False, id="after a trial"),
    pytest.param(training("promoted-1"), True, id="in the promotion"),
    pytest.param(phase("refit"), False, id="after the promotion"),
    pytest.param(training("refit"), True, id="in the last training"),
]


@pytest.mark.parametrize(("moment", "saved"), MOMENTS)
def test_a_run_that_was_stopped_goes_on_to_the_same_network(
    moment: Moment, saved: bool, straight: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if saved:
        save_at_every_step(monkeypatch)
    with pytest.raises(Interrupted, match="give the same command again") as stop:
        run(tmp_path / "run", stopping_at(moment))
    assert stop.value.folder == tmp_path / "run"
    assert not (tmp_path / "run" / "summary.json").exists()
    trials = (tmp_path / "run" / "events.jsonl").read_text().count("TrialFinished")
    if trials == 0:
        assert "no candidate is trained yet" in stop.value.best
        assert not (tmp_path / "run" / "network").exists()
    else:
        assert "the best so far" in stop.value.best
        network = load_network(tmp_path / "run" / "network")
        assert BUDGET.violation(network.cost) == 0
        assert network.predict(clouds()[0]).shape == (150,)
    resumed = run(tmp_path / "run")
    assert weights(resumed.folder) == weights(straight.folder)
    assert {**resumed.summary, "seconds": None} == {**straight.summary, "seconds": None}


def test_stops_at_every_turn_change_nothing(straight: Result, tmp_path: Path) -> None:
    moments = [training("baseline"), trial(events.TrialFinished, 0), training("trial 1"), training("promoted-0")]
    for moment in [*moments, training("promoted-1"), training("refit")]:
        with pytest.raises(Interrupted):
            run(tmp_path / "run", stopping_at(moment))
    resumed = run(tmp_path / "run")
    assert weights(resumed.folder) == weights(straight.folder)
    assert resumed.summary["trials"] == TRIALS


def test_a_stop_while_starting_points_are_queued_loses_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"trials": 3, "epochs": 4, "local": False}
    straight = synthesize(DATA, **options, out=tmp_path / "straight")
    queue, calls = optuna.Study.enqueue_trial, 0

    def stopped_at_the_second(study: optuna.Study, *args: Any, **options: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        queue(study, *args, **options)

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(optuna.Study, "enqueue_trial", stopped_at_the_second)
        synthesize(DATA, **options, out=tmp_path / "run")
    resumed = synthesize(DATA, **options, out=tmp_path / "run")
    assert weights(resumed.folder) == weights(straight.folder)
    assert (resumed.folder / "ranking.csv").read_text() == (straight.folder / "ranking.csv").read_text()


def test_a_checkpoint_saves_the_work_that_was_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_at_every_step(monkeypatch)
    own = OwnNetwork("mine", perceptron)
    options: dict[str, Any] = {"budget": Budget(max_params=300), "epochs": 4, "out": tmp_path / "run"}
    with pytest.raises(Interrupted):
        refine(own, DATA, **options, listener=stopping_at(training("local")))
    seen: list[float] = []

    def listener(event: object) -> None:
        if isinstance(event, events.Training) and event.name == "local":
            seen.append(event.progress)

    refine(own, DATA, **options, listener=listener)
    assert 0.6 < min(seen) < 1.0


def test_many_short_calls_come_to_the_same_network(
    straight: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "TICK_SECONDS", -1.0)  # a call of no time at all ends at its first tick
    calls = 0
    while True:
        calls += 1
        try:
            resumed = synthesize(
                DATA, budget=BUDGET, trials=TRIALS, epochs=EPOCHS, minutes=1e-9, out=tmp_path / "run", seed=0
            )
            break
        except Interrupted as stop:
            assert stop.rests and "minutes of this call" in str(stop)
    assert calls > 20  # within trainings of all kinds, trials among them
    assert weights(resumed.folder) == weights(straight.folder)
    assert {**resumed.summary, "seconds": None} == {**straight.summary, "seconds": None}
    assert not list((tmp_path / "run" / "candidates").glob("open-*"))


def test_a_call_may_be_as_long_as_one_likes(straight: Result, tmp_path: Path) -> None:
    for minutes in (None, 7.0, 0.5):
        result = synthesize(DATA, budget=BUDGET, trials=TRIALS, epochs=EPOCHS, minutes=minutes, out=straight.folder)
        assert result.summary == straight.summary


def test_a_trial_goes_on_within_its_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "TICK_SECONDS", -1.0)
    seen: list[float] = []

    def listener(event: object) -> None:
        if isinstance(event, events.Training) and event.name == "trial 2":
            seen.append(event.progress)
            if len(seen) == 2:
                raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        run(tmp_path / "run", listener)
    run(tmp_path / "run", listener)
    assert len(seen) > 2 and seen == sorted(seen)


def test_a_trial_whose_end_was_not_logged_is_not_lost(straight: Result, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        run(tmp_path / "run", stopping_at(trial(events.TrialFinished, 1)))
    log = tmp_path / "run" / "events.jsonl"
    lines = log.read_text().splitlines()
    assert '"TrialFinished"' in lines[-1]
    log.write_text("\n".join(lines[:-1]) + "\n")
    assert run(tmp_path / "run").summary["trials"] == TRIALS
    assert sorted(finished(log)) == list(range(TRIALS))


def logged(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def finished(log: Path) -> list[int]:
    return [event["number"] for event in logged(log) if event["event"] == "TrialFinished"]


def test_what_the_search_has_seen_early_in_trials_survives_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else hopeless trials would be given up, or not, depending on when a run was stopped."""
    known = early_errors_noted(monkeypatch)
    options: dict[str, Any] = {"budget": BUDGET, "trials": 3, "epochs": 20}
    with pytest.raises(Interrupted):
        synthesize(DATA, **options, out=tmp_path / "run", listener=stopping_at(trial(events.TrialStarted, 2)))
    with pytest.raises(Interrupted):
        synthesize(DATA, **options, out=tmp_path / "run", listener=stopping_at(phase("promotion")))
    assert known == [0, 1, 2]


def early_errors_noted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many errors of earlier trials each training of a trial was given."""
    known: list[int] = []

    class Noted(trials.Hopeless):
        def __init__(self, seen: Sequence[float] = ()) -> None:
            known.append(len(seen))
            super().__init__(seen)

    monkeypatch.setattr(trials, "Hopeless", Noted)
    return known


def test_a_stop_while_the_report_is_written_leaves_the_finished_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(folder: Path) -> None:
        raise KeyboardInterrupt

    own, budget = OwnNetwork("mine", perceptron), Budget(max_params=300)
    with monkeypatch.context() as patch:
        patch.setattr(main, "write_report", stopped)
        with pytest.raises(Interrupted, match="finished network"):
            refine(own, DATA, budget=budget, epochs=2, out=tmp_path / "run")
    before = weights(tmp_path / "run")
    refine(own, DATA, budget=budget, epochs=2, out=tmp_path / "run")
    assert weights(tmp_path / "run") == before
    assert (tmp_path / "run" / "report.html").is_file()


def test_refining_ones_own_network_goes_on_after_a_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_at_every_step(monkeypatch)
    own = OwnNetwork("mine", perceptron)
    options: dict[str, Any] = {"budget": Budget(max_params=300), "epochs": 4}
    refine(own, DATA, **options, out=tmp_path / "straight")
    for name in ("local", "absorbed"):
        with pytest.raises(Interrupted):
            refine(own, DATA, **options, out=tmp_path / "run", listener=stopping_at(training(name)))
    refine(own, DATA, **options, out=tmp_path / "run")
    assert weights(tmp_path / "run") == weights(tmp_path / "straight")


def test_a_new_training_of_the_best_survives_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrain, "FROM", 5)
    options: dict[str, Any] = {"budget": BUDGET, "trials": 5, "epochs": 20, "local": False}
    straight = synthesize(DATA, **options, out=tmp_path / "straight")
    again = [event for event in logged(straight.folder / "events.jsonl") if event.get("repeats") is not None]
    assert [(event["event"], event["number"]) for event in again] == [("TrialStarted", 4), ("TrialFinished", 4)]
    for kind in (events.TrialStarted, events.TrialFinished):
        with pytest.raises(Interrupted):
            synthesize(DATA, **options, out=tmp_path / "run", listener=stopping_at(trial(kind, 4)))
    resumed = synthesize(DATA, **options, out=tmp_path / "run")
    assert weights(resumed.folder) == weights(straight.folder)
    assert finished(tmp_path / "run" / "events.jsonl") == [0, 1, 2, 3, 4]
    assert {**resumed.summary, "seconds": None} == {**straight.summary, "seconds": None}
    assert (resumed.folder / "ranking.csv").read_text() == (straight.folder / "ranking.csv").read_text()
    assert (straight.folder / "ranking.csv").read_text().count("\n") == 5


def first_of_two(trials: Sequence[FrozenTrial], *_: object, **__: object) -> FrozenTrial | None:
    """Where two rest the first goes on, in place of who is expected to end best."""
    resting = [one for one in trials if is_stopped(one)]
    return resting[0] if len(resting) > 1 else None


def test_trials_that_rest_and_go_on_survive_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "RUNGS_FROM", 0)
    monkeypatch.setattr(fidelity, "LEAST", 4)
    monkeypatch.setattr(fidelity, "TRUST", -2.0)  # in the first rung, whatever it tells
    monkeypatch.setattr(search_run, "leader", first_of_two)
    options: dict[str, Any] = {"budget": BUDGET, "trials": 16, "epochs": 20, "local": False, "seed": 1}
    straight = synthesize(DATA, **options, out=tmp_path / "straight")
    log = logged(straight.folder / "events.jsonl")
    resting = [event["number"] for event in log if event["event"] == "TrialStopped"]
    started = [event["number"] for event in log if event["event"] == "TrialStarted"]
    gone_on = [number for number in resting if started.count(number) == 2]
    assert resting and gone_on and set(started) == set(range(16)), "there is something to test"
    assert straight.summary["trials"] == 16
    first, later = resting[0], gone_on[0]
    moments = [trial(events.TrialStarted, first), trial(events.TrialStopped, first)]

    def going_on(event: object) -> bool:
        rested = {line["number"] for line in logged(tmp_path / "run" / "events.jsonl") if line["event"] in ENDS}
        return later in rested and trial(events.TrialStarted, later)(event)

    for moment in [*moments, going_on, training(f"trial {later}"), trial(events.TrialFinished, later)]:
        with pytest.raises(Interrupted):
            synthesize(DATA, **options, out=tmp_path / "run", listener=stopping_at(moment))
    resumed = synthesize(DATA, **options, out=tmp_path / "run")
    assert weights(resumed.folder) == weights(straight.folder)
    assert {**resumed.summary, "seconds": None} == {**straight.summary, "seconds": None}
    assert (resumed.folder / "ranking.csv").read_text() == (straight.folder / "ranking.csv").read_text()
    both = [logged(result.folder / "events.jsonl") for result in (straight, resumed)]
    told = [[(event["event"], event["number"]) for event in one if event["event"] in ENDS] for one in both]
    assert told[0] == told[1]
    left = {path.name for path in (resumed.folder / "candidates").glob("*.state*")}
    assert left == {f"trial-{number}.state" for number in set(resting) - set(gone_on)}


def test_a_trial_cut_off_before_it_was_told_does_not_count_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its measurements are in the study by then; who is given up early is judged by those of whole trials."""
    tell, cut, seen = optuna.Study.tell, [2], early_errors_noted(monkeypatch)

    def cut_off(study: optuna.Study, *args: Any, **options: Any) -> FrozenTrial:
        if len(study.trials) == 3 and cut:
            cut.pop()
            raise KeyboardInterrupt
        return tell(study, *args, **options)

    monkeypatch.setattr(optuna.Study, "tell", cut_off)

    def again() -> Result:
        return synthesize(DATA, trials=TRIALS, epochs=20, local=False, out=tmp_path / "run")

    with pytest.raises(Interrupted):
        again()
    again()
    assert not cut and seen == [0, 1, 2, 2, 3]
