"""A search alone can be given more trials or minutes later; nothing else about it can be changed."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from steerage import events
from steerage.bundle import load_network
from steerage.cost import Budget
from steerage.errors import RunConflict
from steerage.search.ranking import RankedTrial, ranking
from steerage.search.run import open_study
from steerage.synthesis import Result, synthesize
from steerage.synthesis.main import Interrupted
from steerage.synthesis.rankingfile import write_ranking
from tasks import table

DATA, BUDGET = table(), Budget(max_params=120)


def searched(out: Path, trials: int | None, **options: Any) -> Result:
    return synthesize(DATA, **{"budget": BUDGET, "trials": trials, "epochs": 20, "out": out, "local": False, **options})


def trials_of(folder: Path) -> list[tuple[int, float]]:
    return [(one.number, one.error) for one in ranking(open_study(f"sqlite:///{folder / 'study.db'}"))]


def weights(folder: Path) -> bytes:
    return (folder / "network" / "weights.safetensors").read_bytes()


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A search of seven trials at once."""
    return searched(tmp_path_factory.mktemp("straight") / "run", 7)


def started(heard: list[object]) -> list[int]:
    return [event.number for event in heard if isinstance(event, events.TrialStarted)]


def test_a_finished_search_goes_on_to_what_it_would_have_been(straight: Result, tmp_path: Path) -> None:
    first = searched(tmp_path / "run", 4)
    assert first.summary["trials"] == 4
    heard: list[object] = []
    more = searched(tmp_path / "run", 7, listener=heard.append)
    assert started(heard) == [4, 5, 6]
    assert trials_of(more.folder) == trials_of(straight.folder)
    assert weights(more.folder) == weights(straight.folder)
    assert {**more.summary, "seconds": None} == {**straight.summary, "seconds": None}
    heard.clear()
    assert searched(tmp_path / "run", 7, listener=heard.append).summary == more.summary
    assert heard == []


def test_a_continued_search_that_is_stopped_goes_on(straight: Result, tmp_path: Path) -> None:
    before = searched(tmp_path / "run", 4)
    kept = before.network.error

    def stop(event: object) -> None:
        if isinstance(event, events.TrialStarted) and event.number == 5:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="the best so far") as stopped:
        searched(tmp_path / "run", 7, listener=stop)
    now = load_network(tmp_path / "run" / "network")
    assert now.cost.params <= 120
    assert now.error["error"]["validation"] <= kept["error"]["validation"], stopped.value.best
    heard: list[object] = []
    more = searched(tmp_path / "run", 7, listener=heard.append)
    assert started(heard) == [5, 6]
    assert weights(more.folder) == weights(straight.folder)
    assert trials_of(more.folder) == trials_of(straight.folder)


def test_a_search_that_was_stopped_early_goes_on_with_more(straight: Result, tmp_path: Path) -> None:
    def stop(event: object) -> None:
        if isinstance(event, events.PhaseStarted) and event.phase == "promotion":
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        searched(tmp_path / "run", 4, listener=stop)
    assert weights(searched(tmp_path / "run", 7).folder) == weights(straight.folder)


def test_minutes_may_grow_and_trials_keep_their_length(tmp_path: Path) -> None:
    searched(tmp_path / "run", 30, minutes=0.03, epochs=None, fidelity="full")
    study = open_study(f"sqlite:///{tmp_path / 'run' / 'study.db'}")
    before = len(trials_of(tmp_path / "run"))
    length = study.user_attrs["trial_seconds"]
    more = searched(tmp_path / "run", 30, minutes=0.2, epochs=None, fidelity="full")
    assert len(trials_of(tmp_path / "run")) >= before
    assert open_study(f"sqlite:///{tmp_path / 'run' / 'study.db'}").user_attrs["trial_seconds"] == length
    assert more.summary["trials"] == len(trials_of(tmp_path / "run"))


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        ({"trials": 6}, "trials was 7 and is 6"),
        ({"trials": 9, "seed": 1}, "seed was 0 and is 1"),
        ({"trials": 9, "epochs": 21}, "epochs was 20 and is 21"),
        ({"trials": 9, "patience": 2}, "patience was None and is 2"),
        ({"trials": 9, "local": True}, "kind was search and is synth"),
        ({"trials": None, "epochs": None, "minutes": 99.0}, "minutes was None and is 99.0"),
    ],
)
def test_nothing_else_about_it_may_be_different(options: dict[str, Any], difference: str, straight: Result) -> None:
    with pytest.raises(RunConflict, match=difference):
        searched(straight.folder, **{"trials": 7, **options})
    assert searched(straight.folder, 7).summary == straight.summary


def test_the_ranking_is_a_table_of_all_candidates(straight: Result) -> None:
    with open(straight.folder / "ranking.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    trials = ranking(open_study(f"sqlite:///{straight.folder / 'study.db'}"))
    assert [int(row["rank"]) for row in rows] == [1, 2, 3, 4, 5, 6, 7]
    assert [int(row["trial"]) for row in rows] == [one.number for one in trials]
    assert [float(row["error"]) for row in rows] == [one.metrics["error"] for one in trials]
    assert [int(row["params"]) for row in rows] == [one.metrics["params"] for one in trials]
    assert {row["trainings"] for row in rows} == {"1"}
    for row, one in zip(rows, trials, strict=True):
        assert {name: row[name] for name in one.values} == {name: str(value) for name, value in one.values.items()}


def test_text_with_commas_and_quotes_comes_back_from_the_ranking(tmp_path: Path) -> None:
    values = {"error": 'a "wide", one', "plain": "line\nbreak"}
    write_ranking(tmp_path / "ranking.csv", [RankedTrial(3, dict(values), 0.25, {}, 1.0, 2, 0.1)], ["error", "plain"])
    with open(tmp_path / "ranking.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["gene error"], row["plain"]) == (values["error"], values["plain"])
    assert (row["error"], row["params"], row["trainings"]) == ("0.25", "", "2")
