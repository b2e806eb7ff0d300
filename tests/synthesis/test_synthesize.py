from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from optuna.distributions import CategoricalDistribution
from sklearn.metrics import accuracy_score, r2_score, root_mean_squared_error
from sklearn.model_selection import train_test_split
from torch import nn

from steerage.bundle import load_network
from steerage.cost import Budget, Device, count, memory
from steerage.data import TaskSpec, dataset_from_arrays
from steerage.errors import BadArgument, InfeasibleBudget, RunConflict, TrainingFailed
from steerage.search import fidelity
from steerage.space import Space, Value, Values
from steerage.synthesis import Result, plan, stage, synthesize, trial
from steerage.synthesis.main import refine
from steerage.synthesis.own_network import OwnNetwork
from steerage.templates import Template
from steerage.templates.template import LayerShape
from tasks import Branched, clouds, numbers, perceptron, pictures, table, waves

DATA, BUDGET = table(), Budget(max_params=120)
NETWORK_KEYS = {"params", "dense_params", "macs", "dense_macs", "flash_bytes", "ram_bytes"}
PHASES = ["baseline", "search", "promotion", "refit"]


def small(out: Path, **options: Any) -> Result:
    return synthesize(**{"data": DATA, "budget": BUDGET, "trials": 3, "epochs": 4, "out": out, **options})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return small(tmp_path_factory.mktemp("finished") / "run")


def events(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (result.folder / "events.jsonl").read_text().splitlines()]


def test_the_bundle_is_inside_the_budget(finished: Result) -> None:
    network = load_network(finished.folder / "network")
    cost = count(network.model, network.spec.input_shape, masks=network.masks)
    assert BUDGET.violation(cost) == 0
    assert cost == network.cost
    assert finished.summary["params"] == cost.params


def test_the_summary_has_what_is_documented(finished: Result) -> None:
    summary = json.loads((finished.folder / "summary.json").read_text())
    assert summary == finished.summary
    assert {"version", "task", "error", *NETWORK_KEYS, "budget", "trials", "seed", "versions"} <= summary.keys()
    for entry in (summary, summary["baseline"], summary["after_search"]):
        assert entry.keys() >= NETWORK_KEYS
        assert all(0 <= entry["error"][part] <= 1 for part in ("validation", "test"))
    assert summary["seconds"].keys() >= {"search", "train", "local", "own"}
    assert all(seconds > 0 for seconds in summary["seconds"].values())
    assert sum(summary["seconds"][part] for part in ("search", "train", "local")) <= summary["seconds"]["total"]
    assert (summary["task"], summary["trials"], summary["seed"]) == ("classification", 3, 0)
    assert summary["budget"] == {**dict.fromkeys(Budget().to_json()), "max_params": 120}
    network = load_network(finished.folder / "network")
    code = memory(network.model, network.preprocess, masks=network.masks)
    assert (summary["flash_bytes"], summary["ram_bytes"]) == (code.flash, code.ram)
    assert summary["instructions"] == code.instructions
    assert "latency_ms" not in summary


def test_a_budget_in_bytes_is_kept(tmp_path: Path) -> None:
    data = dataset_from_arrays(*clouds(), name="clouds")
    told: list[object] = []
    result = synthesize(
        data,
        budget=Budget(max_flash=5000, max_ram=400),
        device="cortex-m0",
        trials=3,
        epochs=12,
        template="mlp",
        out=tmp_path / "run",
        listener=told.append,
    )
    network = result.network
    code = memory(network.model, network.preprocess, masks=network.masks, core="cortex-m0")
    assert code.flash <= 5000 and code.ram <= 400
    assert (result.summary["flash_bytes"], result.summary["ram_bytes"]) == (code.flash, code.ram)
    assert result.summary["baseline"]["flash_bytes"] > 5000  # there was something to do
    assert json.loads((tmp_path / "run" / "run.json").read_text())["device"] == "cortex-m0"


def test_a_time_on_a_board_is_kept_and_told_in_milliseconds(tmp_path: Path) -> None:
    data = dataset_from_arrays(*clouds(), name="clouds")
    board = Device("board", "cortex-m4", mhz=1.0, cycles_per_instruction=2.0)
    asked: dict[str, Any] = {"trials": 3, "epochs": 12, "template": "mlp", "device": board}
    result = synthesize(data, max_latency_ms=3.0, **asked, out=tmp_path / "run")
    network, summary = result.network, result.summary
    code = memory(network.model, network.preprocess, masks=network.masks, prefer="speed")
    assert summary["latency_ms"] == board.milliseconds(code.instructions)
    assert summary["latency_ms"] <= 3.0 < summary["baseline"]["latency_ms"]
    assert (summary["budget"]["max_latency_ms"], summary["budget"]["max_instructions"]) == (3.0, 1500)
    with pytest.raises(InfeasibleBudget, match=r"max_latency_ms=0.01 cannot be met") as refused:
        synthesize(data, max_latency_ms=0.01, **asked, out=tmp_path / "other")
    assert refused.value.smallest > 0.01
    assert not (tmp_path / "other").exists()


def test_a_ram_that_no_candidate_fits_is_refused_with_what_is_needed(tmp_path: Path) -> None:
    data = dataset_from_arrays(*clouds(), name="clouds")
    with pytest.raises(InfeasibleBudget, match="max_ram=60 cannot be met") as refused:
        synthesize(data, budget=Budget(max_ram=60), trials=1, epochs=1, template="mlp", out=tmp_path / "run")
    assert refused.value.smallest > 60
    assert not (tmp_path / "run").exists()


def test_what_came_out_of_the_search_is_inside_the_budget_too(finished: Result) -> None:
    assert finished.summary["after_search"]["params"] <= 120
    assert finished.summary["baseline"]["params"] > 120


def test_the_test_error_is_that_of_the_networks_own_predictions(finished: Result) -> None:
    x, y = clouds()
    _, x_test, _, y_test = train_test_split(x, y, test_size=0.2, stratify=y, random_state=0)
    predicted = load_network(finished.folder / "network").predict(x_test)
    assert finished.summary["error"]["test"] == pytest.approx(1 - accuracy_score(y_test, predicted))
    assert finished.summary["error"]["test"] < 0.5


def test_a_report_is_written(finished: Result) -> None:
    assert "<html" in (finished.folder / "report.html").read_text()


def test_events_tell_what_happened_in_order(finished: Result) -> None:
    logged = events(finished)
    assert [event["phase"] for event in logged if event["event"] == "PhaseStarted"] == PHASES
    assert [event["number"] for event in logged if event["event"] == "TrialStarted"] == [0, 1, 2]
    assert [event["number"] for event in logged if event["event"] == "TrialFinished"] == [0, 1, 2]
    trained = [event for event in logged if event["event"] == "NetworkTrained"]
    assert [event["name"] for event in trained if event["name"].startswith("promoted")]
    assert all(event["params"] <= 120 for event in trained if event["name"] != "baseline")
    assert any(event["event"] == "NetworkEdited" for event in logged)


def test_nothing_that_is_only_of_use_on_the_way_stays(finished: Result) -> None:
    assert list((finished.folder / "candidates").iterdir()) == []
    assert list((finished.folder / "local").iterdir()) == []


def test_the_same_command_gives_the_same_weights_bit_for_bit(finished: Result, tmp_path: Path) -> None:
    again = small(tmp_path / "elsewhere")
    weights = Path("network") / "weights.safetensors"
    assert (again.folder / weights).read_bytes() == (finished.folder / weights).read_bytes()
    assert {**again.summary, "seconds": None} == {**finished.summary, "seconds": None}


def test_another_seed_gives_another_network(finished: Result, tmp_path: Path) -> None:
    other = small(tmp_path / "run", seed=1)
    assert other.summary["seed"] == 1
    weights = Path("network") / "weights.safetensors"
    assert (other.folder / weights).read_bytes() != (finished.folder / weights).read_bytes()


def test_a_finished_run_is_returned_and_nothing_trained(finished: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    def trained(*arguments: object, **options: object) -> None:
        raise AssertionError("something was trained")

    for home in (trial, stage):
        monkeypatch.setattr(home, "synthesize_candidate", trained)
    before = {path: path.stat().st_mtime_ns for path in finished.folder.iterdir() if path.is_file()}
    heard: list[object] = []
    again = small(finished.folder, listener=heard.append)
    assert again.summary == finished.summary
    assert heard == []
    rows = DATA.x_test
    assert torch.equal(again.network.scores(rows), finished.network.scores(rows))
    assert {path: path.stat().st_mtime_ns for path in before if path.name != ".lock"} == {
        path: time for path, time in before.items() if path.name != ".lock"
    }


def test_a_report_that_a_stop_left_out_is_written_when_the_run_comes_back(finished: Result) -> None:
    report = finished.folder / "report.html"
    content = report.read_bytes()
    report.unlink()
    small(finished.folder)
    assert report.read_bytes() == content


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        ({"seed": 1}, "seed was 0 and is 1"),
        ({"epochs": 5}, "epochs was 4 and is 5"),
        ({"trials": 4}, "trials was 3 and is 4"),
        ({"minutes": 1.0, "epochs": None}, "minutes was None and is 1.0"),
        ({"budget": Budget(max_params=130)}, "max_params was 120 and is 130"),
        ({"data": table(160)}, "the rows of the data are others"),
        ({"local": False}, "kind was synth and is search"),
        ({"patience": 3}, "patience was None and is 3"),
        ({"fidelity": "full"}, "fidelity was auto and is full"),
    ],
)
def test_other_settings_on_the_same_folder_are_refused(
    options: dict[str, Any], difference: str, finished: Result
) -> None:
    with pytest.raises(RunConflict, match=difference):
        small(finished.folder, **options)
    assert small(finished.folder).summary == finished.summary


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunConflict, match=r"notes\.txt"):
        small(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("budget", "constraint"), [(Budget(max_params=5), "max_params"), (Budget(max_macs=3), "max_macs")]
)
def test_an_impossible_budget_is_refused_before_anything_is_written(
    budget: Budget, constraint: str, tmp_path: Path
) -> None:
    with pytest.raises(InfeasibleBudget) as refusal:
        small(tmp_path / "run", budget=budget)
    assert refusal.value.constraint == constraint
    assert refusal.value.smallest > refusal.value.limit
    assert list(tmp_path.iterdir()) == []


def test_the_smallest_budget_that_a_refusal_names_can_be_met(tmp_path: Path) -> None:
    with pytest.raises(InfeasibleBudget) as refusal:
        small(tmp_path / "run", budget=Budget(max_params=5))
    budget = Budget(max_params=int(refusal.value.smallest))
    assert small(tmp_path / "run", budget=budget, trials=2, epochs=2).summary["params"] <= refusal.value.smallest


@pytest.mark.parametrize("options", [{"trials": 0}, {"epochs": 0}, {"minutes": -1.0}, {"template": "cnn"}])
def test_arguments_that_make_no_sense_are_refused_before_anything_is_written(
    options: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(BadArgument):
        small(tmp_path / "run", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_number_is_predicted_in_its_own_units(tmp_path: Path) -> None:
    result = small(tmp_path / "run", data=numbers(), epochs=8)
    summary = result.summary
    assert summary["task"] == "regression"
    assert "error" not in summary
    x, y = waves()
    _, x_test, _, y_test = train_test_split(x, y, test_size=0.2, random_state=0)
    predicted = result.network.predict(x_test)
    assert summary["r2"]["test"] == pytest.approx(r2_score(y_test, predicted), rel=1e-4)
    assert summary["rmse"]["test"] == pytest.approx(root_mean_squared_error(y_test, predicted), rel=1e-4)
    assert summary["rmse"]["validation"] > 0
    assert summary["params"] <= 120


def test_images_are_told_apart(tmp_path: Path) -> None:
    result = small(tmp_path / "run", data=pictures(), budget=Budget(max_params=150, max_macs=20_000), trials=2)
    assert result.summary["params"] <= 150
    assert result.summary["macs"] <= 20_000


def test_the_global_search_alone_delivers_too(tmp_path: Path) -> None:
    result = small(tmp_path / "run", local=False, trials=2, epochs=2)
    assert result.summary["params"] <= 120
    assert [event["phase"] for event in events(result) if event["event"] == "PhaseStarted"] == PHASES[:3]
    assert json.loads((result.folder / "run.json").read_text())["kind"] == "search"


@pytest.mark.parametrize("minutes", [1e-4, 0.03])
def test_minutes_however_few_end_with_a_network_inside_the_budget(minutes: float, tmp_path: Path) -> None:
    result = small(tmp_path / "run", minutes=minutes, epochs=None)
    assert result.summary["params"] <= 120
    assert result.summary["trials"] >= 1


def test_data_without_test_rows_have_no_test_error(tmp_path: Path) -> None:
    data = dataset_from_arrays(*clouds(), hold_out=False)
    summary = small(tmp_path / "run", data=data, trials=1, epochs=1).summary
    assert summary["error"]["test"] is None
    assert summary["error"]["validation"] is not None


@pytest.mark.parametrize("factory", [perceptron, Branched])
def test_a_network_of_ones_own_is_refined_into_the_budget(factory: Callable[[], nn.Module], tmp_path: Path) -> None:
    budget = Budget(max_params=300)
    result = refine(OwnNetwork("mine.py:net", factory), DATA, budget=budget, epochs=4, out=tmp_path / "run")
    assert result.summary["params"] <= 300
    assert result.summary["baseline"] is None
    network = load_network(tmp_path / "run" / "network", factory=factory)
    assert torch.equal(network.scores(DATA.x_test), result.network.scores(DATA.x_test))


def test_a_network_of_ones_own_may_be_far_larger_than_the_budget(tmp_path: Path) -> None:
    def wide() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 400, bias=False), nn.Tanh(), nn.Linear(400, 3, bias=False))

    result = refine(OwnNetwork("wide", wide), DATA, budget=Budget(max_params=850), epochs=1, out=tmp_path / "a")
    assert result.summary["params"] <= 850
    with pytest.raises(InfeasibleBudget):
        refine(OwnNetwork("wide", wide), DATA, budget=Budget(max_params=1), epochs=1, out=tmp_path / "b")


class Tiny(Template):
    """One hidden layer; some widths cannot be built, or not trained."""

    name = "tiny"
    broken: tuple[int, ...] = ()

    def space(self, spec: TaskSpec) -> Space:
        return Space({"width": CategoricalDistribution((4, 6, 8, 10))})

    def build(self, values: Values, spec: TaskSpec) -> nn.Module:
        width = int(values["width"])
        if width in self.broken:
            raise ValueError(f"width {width} is unlucky")
        return nn.Sequential(nn.Linear(spec.input_shape[0], width), nn.ReLU(), nn.Linear(width, spec.outputs))

    def baseline(self, spec: TaskSpec) -> Values:
        return {"width": 4}

    def defaults(self, spec: TaskSpec) -> dict[str, Value]:
        return {"lr": 0.01, "batch_size": 16}


class Priced(Tiny):
    """Says what a candidate costs without building it."""

    def layers(self, values: Values, spec: TaskSpec) -> Sequence[LayerShape]:
        width = int(values["width"])
        sizes = [(spec.input_shape[0], width), (width, spec.outputs)]
        return [LayerShape(inputs * outputs, outputs, 1) for inputs, outputs in sizes]


def test_a_template_of_ones_own_is_searched(tmp_path: Path) -> None:
    result = small(tmp_path / "run", template=Tiny(), budget=Budget(max_params=60))
    assert result.summary["params"] <= 60
    assert json.loads((tmp_path / "run" / "run.json").read_text())["template"] == "tiny"
    assert small(tmp_path / "run", template=Tiny(), budget=Budget(max_params=60)).summary == result.summary


def test_a_candidate_that_cannot_be_built_is_a_failed_trial(tmp_path: Path) -> None:
    template = Priced()
    template.broken = (6, 8)
    result = small(tmp_path / "run", template=template, trials=4)
    failed = [event for event in events(result) if event["event"] == "TrialFailed"]
    assert len(failed) == 2
    assert all("unlucky" in event["reason"] for event in failed)
    assert result.summary["trials"] == 2
    assert result.summary["values"]["width"] in (4, 10)


def test_a_candidate_that_cannot_be_priced_is_passed_over(tmp_path: Path) -> None:
    template = Tiny()
    template.broken = (6, 8)
    result = small(tmp_path / "run", template=template, trials=4)
    assert result.summary["trials"] == 2


@pytest.mark.parametrize("kind", [Tiny, Priced])
def test_a_template_that_fails_throughout_says_why(kind: type[Tiny], tmp_path: Path) -> None:
    template = kind()
    template.broken = (4, 6, 8, 10)
    with pytest.raises(TrainingFailed, match="unlucky"):
        small(tmp_path / "run", template=template)


def test_patience_is_a_number_of_rounds(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="patience must be positive, got 0"):
        small(tmp_path / "run", patience=0)


def test_fidelity_is_auto_or_full(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="fidelity must be auto or full, got 'half'"):
        small(tmp_path / "run", fidelity="half")


def test_in_full_no_trial_rests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "RUNGS_FROM", 0)
    monkeypatch.setattr(fidelity, "LEAST", 4)
    monkeypatch.setattr(fidelity, "TRUST", -2.0)
    options: dict[str, Any] = {"trials": 14, "epochs": 20, "local": False}
    rested = []
    for how_far in ("full", "auto"):
        result = small(tmp_path / how_far, fidelity=how_far, **options)
        log = (result.folder / "events.jsonl").read_text()
        rested.append(log.count('"TrialStopped"'))
        assert log.count('"TrialFinished"') + rested[-1] >= 14 == result.summary["trials"]
        assert ("stopped early" in (result.folder / "report.html").read_text()) == (rested[-1] > 0)
    assert rested[0] == 0 < rested[1]


def test_a_published_network_is_the_baseline_and_its_cost_the_budget(tmp_path: Path) -> None:
    options: dict[str, Any] = {"like": "resnet20", "depth": 8, "trials": 2, "epochs": 2}
    result = synthesize(pictures(), **options, out=tmp_path / "run")
    baseline, budget = result.summary["baseline"], result.summary["budget"]
    assert (baseline["params"], baseline["macs"]) == (budget["max_params"], budget["max_macs"])
    assert result.summary["params"] <= budget["max_params"] and result.summary["macs"] <= budget["max_macs"]
    assert baseline["epochs"] == 2.0  # as long as what is delivered
    blocks = [result.summary["values"][f"blocks{stage}"] for stage in range(result.summary["values"]["stages"])]
    assert sum(blocks) in (2, 3)
    with pytest.raises(RunConflict, match="depth"):
        synthesize(pictures(), **{**options, "depth": 9}, out=tmp_path / "run")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"like": "resnet1"}, "no published network is called 'resnet1'"),
        ({"template": "cnn", "depth": 40}, "the nearest has"),
        ({"depth": 0}, "depth must be positive"),
    ],
)
def test_networks_that_are_not_there_are_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match=message):
        synthesize(pictures(), **options, epochs=1, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
