from __future__ import annotations

import json
from pathlib import Path

import pytest

from steerage.errors import RunConflict
from steerage.events import PhaseStarted, TrialStarted
from steerage.synthesis.clock import RunClock
from steerage.synthesis.run_directory import RunDirectory

ASKED = {"kind": "synth", "seed": 0, "budget": {"max_params": 100, "max_macs": None}, "epochs": 4}


def test_a_new_folder_notes_what_was_asked(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "deep" / "run")
    with directory.opened(ASKED, command="steerage synth iris"):
        noted = json.loads(directory.request.read_text())
    assert ASKED.items() <= noted.items()
    assert noted["command"] == "steerage synth iris"
    assert {"versions", "hardware", "version"} <= noted.keys()
    assert not directory.finished()


def test_the_same_run_may_come_back_with_another_command_line(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    with directory.opened(ASKED, command="one"):
        pass
    with directory.opened(ASKED, command="other"):
        assert json.loads(directory.request.read_text())["command"] == "one"


def test_other_settings_are_refused_with_the_differences(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    with directory.opened(ASKED):
        pass
    with pytest.raises(RunConflict, match=r"seed was 0 and is 1, epochs was 4 and is 5"):
        directory.opened({**ASKED, "seed": 1, "epochs": 5}).__enter__()
    with directory.opened(ASKED):
        pass


def test_two_processes_do_not_share_a_run(tmp_path: Path) -> None:
    with (
        RunDirectory(tmp_path).opened(ASKED),
        pytest.raises(RunConflict, match="in use"),
        RunDirectory(tmp_path).opened(ASKED),
    ):
        pass


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(RunConflict, match=r"thesis\.tex"):
        RunDirectory(tmp_path).opened(ASKED).__enter__()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    with pytest.raises(RunConflict, match="is a file"):
        RunDirectory(tmp_path / "run").opened(ASKED).__enter__()


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    with RunDirectory(tmp_path).opened(ASKED):
        assert (tmp_path / "run.json").is_file()


def test_the_clock_goes_on_from_the_last_heartbeat(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.heartbeat(RunClock(before=50.0, training_before=30.0))
    clock = directory.clock(None)
    assert clock() >= 50.0
    assert clock.training == 30.0


@pytest.mark.parametrize("content", ["", "{", "[]", '{"active": null}'])
def test_a_damaged_heartbeat_is_no_obstacle(content: str, tmp_path: Path) -> None:
    (tmp_path / "clock.json").write_text(content)
    assert RunDirectory(tmp_path).clock(None).training == 0.0


def test_events_are_logged_in_order_and_a_line_cut_off_is_left_out(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    assert directory.logged() == []
    directory.log(PhaseStarted("search", None), 1.23456)
    with directory.events.open("a") as file:
        file.write('{"event": "TrialFin')
    directory.log(TrialStarted(3, {"width": 8}), 2.0)
    assert directory.logged() == [
        {"event": "PhaseStarted", "at": 1.235, "phase": "search", "ends": None},
        {"event": "TrialStarted", "at": 2.0, "number": 3, "values": {"width": 8}, "repeats": None},
    ]
