"""Facts about runs that share their trials in a database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from steerage.cost import Budget
from steerage.errors import BadArgument, RunConflict
from steerage.events import TrialStarted
from steerage.search.ranking import ranking
from steerage.search.run import study_file
from steerage.synthesis import Result, synthesize
from tasks import table

DATA = table()


def run(folder: Path, name: str, trials: int, heard: list[object], **options: Any) -> Result:
    settings: dict[str, Any] = {"budget": Budget(max_params=120), "epochs": 6, "local": False, "study": "clouds-120"}
    storage = f"sqlite:///{folder}/shared.db"
    return synthesize(
        DATA, **{**settings, **options}, trials=trials, storage=storage, out=folder / name, listener=heard.append
    )


def numbers(heard: list[object]) -> list[int]:
    return [one.number for one in heard if isinstance(one, TrialStarted)]


def test_a_run_goes_on_with_what_another_has_trained_and_keeps_a_copy(tmp_path: Path) -> None:
    heard: tuple[list[object], list[object]] = ([], [])
    first = run(tmp_path, "first", 3, heard[0])
    second = run(tmp_path, "second", 4, heard[1])
    assert [numbers(one) for one in heard] == [[0, 1, 2], [3]]
    assert [first.summary["trials"], second.summary["trials"]] == [3, 4]
    asked = json.loads((second.folder / "run.json").read_text())
    assert (asked["storage"], asked["study"]) == (f"sqlite:///{tmp_path}/shared.db", "clouds-120")
    with study_file(second.folder / "study.db") as study:
        assert sorted(one.number for one in ranking(study)) == [0, 1, 2, 3]
    assert len((second.folder / "ranking.csv").read_text().splitlines()) == 5
    with pytest.raises(RunConflict, match=r"study clouds-120 belongs to another .* .budget was .*120.* and is .*90"):
        run(tmp_path, "third", 4, [], budget=Budget(max_params=90))
    assert not (tmp_path / "third").exists()


def test_a_study_without_a_storage_is_refused() -> None:
    with pytest.raises(BadArgument, match="give storage with study='mine'"):
        synthesize(DATA, study="mine")
