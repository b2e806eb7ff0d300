"""Facts about studies whose trials are in memory as well as in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from steerage.search.mirror import at_once, mirror_of
from steerage.search.run import open_study, study_file

DISTRIBUTIONS = {
    "lr": FloatDistribution(1e-4, 1e-1, log=True),
    "kind": CategoricalDistribution(["a", "b"]),
    "n": IntDistribution(1, 8),
}


def what(trial: FrozenTrial) -> dict[str, Any]:
    fields = ("number", "state", "values", "params", "distributions", "user_attrs", "system_attrs")
    return {name: getattr(trial, name) for name in (*fields, "intermediate_values")}


def worked_on(study: optuna.Study) -> None:
    """Every kind of write."""
    study.enqueue_trial({"lr": 0.01, "kind": "b", "n": 3}, user_attrs={"tuple": (1, 2), "repeats": 4})
    for number in range(4):
        trial = study.ask(DISTRIBUTIONS)
        trial.set_user_attr("first", {"at": number})
        trial.set_user_attr("first", {"at": number + 1})
        trial.report(0.5, step=3)
        if number == 3:
            return
        study.tell(trial, [0.25, None, 0.5][number], state=[None, TrialState.FAIL, None][number])
    study.set_user_attr("rounds", {"4": (0.5, None)})


def test_what_is_in_memory_is_what_the_file_has(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    with study_file(path) as study:
        worked_on(study)
        study.set_user_attr("rounds", {"4": (0.5, None)})
        in_memory = [what(one) for one in study.trials], study.user_attrs
        read = open_study(f"sqlite:///{path}")
        assert ([what(one) for one in read.trials], read.user_attrs) == in_memory
    with study_file(path) as study:
        assert ([what(one) for one in study.trials], study.user_attrs) == in_memory
        assert [one.state for one in study.trials][-1] == TrialState.RUNNING


def test_others_read_a_trial_once_all_of_it_is_there(tmp_path: Path) -> None:
    with study_file(tmp_path / "study.db") as study:
        read = open_study(f"sqlite:///{tmp_path}/study.db")

        def begin() -> None:
            trial = study.ask(DISTRIBUTIONS)
            assert len(study.trials) == 1 and read.trials == []
            trial.set_user_attr("number", 0)

        at_once(study, begin)
        assert [set(one.params) for one in read.trials] == [set(DISTRIBUTIONS)]
        assert read.trials[0].user_attrs == {"number": 0}


def test_what_is_cut_off_leaves_nothing_in_the_file_or_in_memory(tmp_path: Path) -> None:
    with study_file(tmp_path / "study.db") as study:
        study.tell(study.ask(DISTRIBUTIONS), 1.0)

        def cut_off() -> None:
            study.ask(DISTRIBUTIONS)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            at_once(study, cut_off)
        assert len(study.trials) == len(open_study(f"sqlite:///{tmp_path}/study.db").trials) == 1
        study.tell(study.ask(DISTRIBUTIONS), 2.0)
        assert [one.number for one in study.trials] == [0, 1]


def test_a_finished_trial_cannot_be_changed(tmp_path: Path) -> None:
    with study_file(tmp_path / "study.db") as study:
        trial = study.ask(DISTRIBUTIONS)
        study.tell(trial, 1.0)
        with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
            trial.set_user_attr("late", 1)
        assert "late" not in study.trials[0].user_attrs


def test_a_list_of_trials_stays_as_it_was_read(tmp_path: Path) -> None:
    with study_file(tmp_path / "study.db") as study:
        trial = study.ask(DISTRIBUTIONS)
        before = study.get_trials(deepcopy=False)
        trial.set_user_attr("later", 1)
        study.tell(trial, 1.0)
        assert (before[0].state, before[0].user_attrs) == (TrialState.RUNNING, {})
        assert mirror_of(study) is not None and mirror_of(open_study()) is None
