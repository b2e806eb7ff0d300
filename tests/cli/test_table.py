from __future__ import annotations

from pathlib import Path
from typing import Any

from steerage.cli import table
from steerage.metrics import METRICS
from steerage.search.ranking import RankedTrial


def entry(error: float, params: int) -> dict[str, Any]:
    cost = {"params": params, "dense_params": params + 1, "macs": 2 * params, "flash_bytes": None, "ram_bytes": None}
    return {"error": {"validation": error, "test": error + 0.01}, **cost}


SUMMARY = {
    "task": "classification",
    **entry(0.02, 1498),
    "baseline": entry(0.03, 4810),
    "after_search": entry(0.025, 1500),
    "budget": {"max_params": 1500, "max_macs": None},
}


def test_the_three_networks_stand_side_by_side() -> None:
    assert table.networks(SUMMARY) == [
        "                  plain baseline  after search  delivered",
        "test error                4.00 %        3.50 %     3.00 %",
        "validation error          3.00 %        2.50 %     2.00 %",
        "parameters                 4,810         1,500      1,498",
        "dense parameters           4,811         1,501      1,499",
        "MACs                       9,620         3,000      2,996",
    ]


def test_a_stage_without_figures_has_no_column() -> None:
    lines = table.networks({**SUMMARY, "baseline": None, "after_search": None})
    assert lines[0].split() == ["delivered"]


def test_flash_and_ram_appear_when_they_are_known() -> None:
    assert any(line.startswith("flash bytes") for line in table.networks({**SUMMARY, "flash_bytes": 9000}))


def test_regression_has_r2_and_rmse() -> None:
    summary = {"r2": {"test": 0.5, "validation": 0.6}, "rmse": {"test": 12.5, "validation": None}, "params": 10}
    assert table.networks(summary) == [
        "               delivered",
        "test R²              0.5",
        "validation R²        0.6",
        "test RMSE           12.5",
        "parameters            10",
    ]


def test_the_budget_is_compared_with_what_is_delivered() -> None:
    assert table.budget(SUMMARY) == ["budget: at most 1,500 parameters, kept"]
    assert table.budget({**SUMMARY, "params": 1600}) == ["budget: at most 1,500 parameters, NOT KEPT, by 100"]


def test_a_latency_is_shown_and_compared_in_milliseconds() -> None:
    summary = {**SUMMARY, "latency_ms": 0.0213, "budget": {"max_latency_ms": 0.02}}
    assert any(line.split()[:4] == ["ms", "for", "a", "row"] and "0.0213" in line for line in table.networks(summary))
    assert table.budget(summary) == ["budget: at most 0.02 ms for a row, NOT KEPT, by 0.0013"]


def test_the_ranking_shows_ten_trials_and_what_shapes_them_in_80_columns() -> None:
    values: dict[str, Any] = {"depth": 2, "lr": 0.01, **{f"gene_{at}": at for at in range(20)}}
    trials = [RankedTrial(at, values, 9.0, {"error": at / 100, "params": 1000.0 + at}, 1.0) for at in range(15)]
    lines = table.ranking(trials, METRICS["error"])
    assert len(lines) == 11
    assert max(map(len, lines)) <= 80
    assert lines[1].split()[:5] == ["trial", "0", "0.00", "%", "1,000"]
    assert "depth = 2" in lines[1]
    assert "lr" not in lines[1]


def test_no_finished_trial_is_an_empty_ranking() -> None:
    assert len(table.ranking([], METRICS["r2"])) == 1


def test_the_commands_to_go_on_with_can_be_pasted() -> None:
    lines = table.whereabouts(Path("runs/my run"), "data.npz", factory="my_model.py:Net")
    assert "steerage eval 'runs/my run/network' data.npz --factory my_model.py:Net" in lines
    lines = table.whereabouts(Path("runs/x"), "iris", template="own.py:Tiny")
    assert "steerage export runs/x/network --to onnx --template own.py:Tiny" in lines
    assert lines[-1] == "python: steerage.load('runs/x/network', template=Tiny()).predict(X)"


def test_a_front_shows_all_its_trials_and_networks_in_80_columns() -> None:
    values: dict[str, Any] = {"depth": 2, "lr": 0.01, **{f"gene_{at}": at for at in range(20)}}
    trials = [RankedTrial(at, values, 9.0, {"error": at / 100, "params": 1.0, "macs": 5e6}, 1.0) for at in range(15)]
    lines = table.front(trials, "macs", METRICS["error"])
    assert len(lines) == 17 and max(map(len, lines)) <= 80
    assert "validation error" in lines[1] and "MACs" in lines[1] and " parameters" not in lines[1]
    assert lines[2].split()[:5] == ["trial", "0", "0.00", "%", "5,000,000"]
    members = [{**entry(0.02, 1_498_000), "path": "front/01"}, {**entry(0.01, 2_000_000), "path": "front/02"}]
    assert table.front_networks({"task": "classification", "front": members}, "networks")[1:] == [
        "          validation error  test error  parameters       MACs",
        "front/01            2.00 %      3.00 %   1,498,000  2,996,000",
        "front/02            1.00 %      2.00 %   2,000,000  4,000,000",
    ]
