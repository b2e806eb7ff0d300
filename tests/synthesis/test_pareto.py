"""Facts about a front of networks: what is delivered, that it is one, and that a stop changes nothing."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from steerage import events
from steerage.bundle import load_network
from steerage.cost import Budget
from steerage.cost.count import Cost, dense_cost
from steerage.errors import BadArgument, RunConflict, TrainingFailed
from steerage.report import write_report
from steerage.synthesis import Result, synthesize
from steerage.synthesis.candidate import Bench, Trained
from steerage.synthesis.clock import RunClock
from steerage.synthesis.main import Interrupted
from steerage.synthesis.pareto import cost_after_pruning, survivors, trained_front
from steerage.synthesis.plan import Effort, Plan
from steerage.templates import Mlp
from steerage.training.evaluate import Scores
from tasks import clouds, numbers, perceptron, table

DATA = table()


def searched(out: Path, trials: int = 12, **options: Any) -> Result:
    options = {"trials": trials, "epochs": 8, "out": out, "local": False, "pareto": "params", **options}
    return synthesize(options.pop("data", DATA), **options)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return searched(tmp_path_factory.mktemp("front") / "run")


def bundles(folder: Path) -> dict[str, bytes]:
    weights = [*(folder / "front").glob("*/weights.safetensors"), folder / "network" / "weights.safetensors"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in weights}


def test_the_networks_are_a_front_of_at_most_six(found: Result) -> None:
    members = found.summary["front"]
    assert 2 <= len(members) <= 6
    assert [one["path"] for one in members] == [f"front/{at:02}" for at in range(1, len(members) + 1)]
    assert all(small["params"] < large["params"] for small, large in pairwise(members))
    assert members[0]["error"]["validation"] >= members[-1]["error"]["validation"]
    assert sorted(path.name for path in (found.folder / "front").iterdir()) == [one["path"][-2:] for one in members]


def test_each_network_loads_and_is_what_the_summary_says(found: Result) -> None:
    for member in found.summary["front"]:
        network = load_network(found.folder / member["path"])
        assert {
            name: member[name] for name in ("params", "dense_params", "macs")
        }.items() <= network.cost.to_json().items()
        assert network.error["error"] == member["error"]
        assert network.predict(clouds()[0]).shape == (150,)
        assert member["values"].keys() == found.summary["values"].keys()
        assert member["epochs"] == 8  # as long as a final training


def test_the_network_of_the_run_is_the_most_accurate_of_them(found: Result) -> None:
    last = found.summary["front"][-1]
    assert {name: found.summary[name] for name in ("params", "error", "values")}.items() <= last.items()
    kept = bundles(found.folder)
    assert kept["network/weights.safetensors"] == kept[f"{last['path']}/weights.safetensors"]
    assert found.network.cost.params == last["params"]


def test_the_front_of_the_trials_is_a_table_by_rising_cost(found: Result) -> None:
    with (found.folder / "front.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    costs = [int(row["params"]) for row in rows]
    assert len(costs) >= 2 and costs == sorted(set(costs))
    with (found.folder / "ranking.csv").open(newline="") as file:
        ranking = {row["trial"]: row for row in csv.DictReader(file)}
    assert all(row.items() <= ranking[row["trial"]].items() for row in rows)


def test_the_report_draws_the_front_as_a_line(found: Result) -> None:
    assert write_report(found.folder).read_text().count('class="front"') == len(found.summary["front"])
    assert 'polyline class="path"' in found.folder.joinpath("report.html").read_text()


def test_the_same_seed_gives_the_same_networks_bit_for_bit(found: Result, tmp_path: Path) -> None:
    again = searched(tmp_path / "run")
    assert bundles(again.folder) == bundles(found.folder)
    assert {**again.summary, "seconds": None} == {**found.summary, "seconds": None}


def in_training(name: str) -> Callable[[object], bool]:
    return lambda event: isinstance(event, events.Training) and event.name == name and event.progress > 0.5


@pytest.mark.parametrize(
    "moment",
    [
        lambda event: isinstance(event, events.TrialStarted) and event.number == 5,
        lambda event: isinstance(event, events.FrontFound),
        in_training("promoted-1"),
    ],
    ids=["in the search", "when the front is named", "in a longer training"],
)
def test_a_run_that_was_stopped_goes_on_to_the_same_networks(
    moment: Callable[[object], bool], found: Result, tmp_path: Path
) -> None:
    def listener(event: object) -> None:
        if moment(event):
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        searched(tmp_path / "run", listener=listener)
    assert not (tmp_path / "run" / "summary.json").exists()
    resumed = searched(tmp_path / "run")
    assert bundles(resumed.folder) == bundles(found.folder)
    assert {**resumed.summary, "seconds": None} == {**found.summary, "seconds": None}


def test_a_front_goes_on_with_more_trials_and_keeps_no_network_of_the_earlier_one(tmp_path: Path) -> None:
    before = searched(tmp_path / "run")
    (before.folder / "front" / "99").mkdir()  # of a front with more members
    more, straight = searched(tmp_path / "run", 13), searched(tmp_path / "straight", 13)
    assert bundles(more.folder) == bundles(straight.folder)
    assert not (more.folder / "front" / "99").exists()
    assert (more.folder / "front.csv").read_bytes() == (straight.folder / "front.csv").read_bytes()


def test_inside_a_budget_every_network_keeps_it(tmp_path: Path) -> None:
    result = searched(tmp_path / "run", budget=Budget(max_params=150), pareto="macs", data=numbers())
    members = result.summary["front"]
    assert all(one["params"] <= 150 for one in members)
    assert all(small["macs"] < large["macs"] for small, large in pairwise(members))
    assert members[-1]["r2"]["validation"] == max(one["r2"]["validation"] for one in members)
    logged = [json.loads(line) for line in (result.folder / "events.jsonl").read_text().splitlines()]
    assert [event["cost"] for event in logged if event["event"] == "FrontFound"] == ["macs"]


def test_what_makes_no_sense_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="pareto must be params or macs, got 'flops'"):
        searched(tmp_path / "run", pareto="flops")
    with pytest.raises(BadArgument, match="local=False"):
        searched(tmp_path / "run", local=True)
    assert list(tmp_path.iterdir()) == []


def test_another_cost_on_the_same_folder_is_refused(found: Result) -> None:
    with pytest.raises(RunConflict, match="pareto was params and is macs"):
        searched(found.folder, pareto="macs")
    with pytest.raises(RunConflict, match="pareto was params and is None"):
        searched(found.folder, pareto=None)


def a_bench(budget: Budget) -> Bench:
    return Bench(DATA, Mlp(), budget, torch.arange(90), torch.arange(90, 120), RunClock())


def test_the_cost_is_what_pruning_to_the_budget_leaves() -> None:
    spec, values = DATA.spec, Mlp().starts(DATA.spec)[0]
    dense = dense_cost(Mlp(), values, spec)
    assert cost_after_pruning(a_bench(Budget()), "params")(values) == dense.params
    assert cost_after_pruning(a_bench(Budget(10**9, 10**9)), "macs")(values) == dense.macs
    assert cost_after_pruning(a_bench(Budget(max_params=77)), "params")(values) == 77
    half = Budget(max_params=dense.params // 2)
    assert cost_after_pruning(a_bench(half), "macs")(values) == pytest.approx(dense.macs / 2, rel=0.01)
    tighter = Budget(max_params=dense.params // 2, max_macs=dense.macs // 4)
    assert cost_after_pruning(a_bench(tighter), "params")(values) == pytest.approx(dense.params / 4, rel=0.01)


def trained(error: float, params: int, loss: float = 0.5) -> Trained:
    return Trained(perceptron(), {}, Scores(error, loss, 30), Cost(params, params, 1, 1), (), 1.0, 1.0)


def test_networks_that_another_beats_in_both_are_left_out() -> None:
    networks = [trained(0.1, 50), trained(0.3, 10), trained(0.2, 60), trained(0.1, 70, loss=0.4), trained(0.1, 50)]
    assert survivors(networks, "params") == [1, 0, 3]
    assert survivors(networks, "macs") == [3]


def test_one_member_may_fail_and_not_all() -> None:
    members = [{"depth": 1}, {"depth": 2}]

    def train(index: int, values: Any) -> Trained:
        if values == members[1]:
            raise TrainingFailed("it did")
        return trained(0.1, 787)

    front = trained_front(members, train, a_bench(Budget()), "params")
    assert [values for values, _ in front] == members[:1]
    with pytest.raises(TrainingFailed, match="it did"):
        trained_front(members[1:], train, a_bench(Budget()), "params")


def test_members_of_a_front_get_twice_the_time_of_a_trial() -> None:
    for scarce in (False, True):
        plan = Plan(Effort(minutes=10.0), search_only=True, pareto="params", scarce=scarce)
        trial = plan.trial_seconds(plan.ends("baseline"))
        assert (plan.ends("promotion") - plan.ends("search")) / plan.promoted >= 2.0 * trial
    counted = Plan(Effort(trials=20, epochs=60), search_only=True, pareto="params")
    assert (counted.epochs("search"), counted.epochs("promotion")) == (9, 60)
