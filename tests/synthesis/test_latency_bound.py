"""The bound on latencies, with a machine whose latencies are a sum of what networks are made of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from steerage.bundle import Network
from steerage.cost.budget import Budget
from steerage.cost.count import dense_cost
from steerage.cost.latency import Latency
from steerage.errors import BadArgument, InfeasibleBudget, TrainingFailed, UnsupportedLayer
from steerage.synthesis import Result, latency, synthesize
from steerage.synthesis.candidate import Bench
from steerage.synthesis.clock import RunClock
from steerage.synthesis.feasible import check_latency, violation_of
from steerage.synthesis.latency import LatencyBound
from steerage.templates import TEMPLATES
from steerage.training.split import validation_split
from tasks import table

DATA = table()


class Machine:
    """Takes 5 us for a call and 1 ns for a MAC, ``alone`` times that for one that is measured alone.

    ``networks``: how many were measured.
    """

    def __init__(self, alone: float = 1.0) -> None:
        self.networks, self.alone = 0, alone

    def __call__(self, networks: Sequence[Network]) -> list[Latency]:
        self.networks += len(networks)
        slower = self.alone if len(networks) == 1 else 1.0
        return [told(slower * (0.005 + 1e-6 * network.cost.dense_macs)) for network in networks]


def told(milliseconds: float) -> Latency:
    return Latency(milliseconds, 0.9 * milliseconds, 1.1 * milliseconds, 100, True)


def bench(machine: Machine, max_ms: float, *, max_params: int | None = 500) -> Bench:
    rows, validation = validation_split(DATA, 0)
    bound = LatencyBound(max_ms, measure=machine)
    budget = Budget(max_params=max_params)
    return Bench(DATA, TEMPLATES["mlp"], budget, rows, validation, RunClock(), latency=bound)


def test_others_are_estimated_from_a_dozen_measured_candidates() -> None:
    machine = Machine()
    made = bench(machine, 0.008)
    check_latency(made, 0)
    assert made.latency is not None
    assert 8 <= machine.networks <= 16
    space = made.template.space(DATA.spec)
    for values in space.sample_sobol(40, seed=9):
        cost = 0.005 + 1e-6 * _macs(made, values)
        assert made.latency.estimate(made, values) == pytest.approx(cost, rel=1e-6)
    assert machine.networks <= 16


def _macs(made: Bench, values: Any) -> int:
    return dense_cost(made.template, values, DATA.spec).dense_macs


def test_what_is_expected_to_be_too_slow_violates_and_only_the_bound_decides() -> None:
    made = bench(Machine(), 0.008)
    check_latency(made, 0)
    free = violation_of(replace(made, latency=None))
    inside = [values for values in made.template.space(DATA.spec).sample_sobol(200, seed=3) if free(values) == 0]
    for values in inside:
        assert (violation_of(made)(values) == 0) == (_macs(made, values) <= 3000)
    assert len({_macs(made, values) <= 3000 for values in inside}) == 2


def test_each_candidate_is_measured_once_and_told_when_it_is_too_slow() -> None:
    machine = Machine()
    made = bench(machine, 0.0055)
    assert made.latency is not None
    big = made.template.baseline(DATA.spec)
    for _ in range(2):
        with pytest.raises(TrainingFailed, match=r"a row takes 0\.\d+ ms, and may take 0\.0055 ms"):
            made.latency.check(made, big)
    made.latency.check(made, {**big, "depth": 1, "width": 16, "taper": 1.0})
    assert machine.networks == 2


def test_a_bound_that_nothing_keeps_is_refused_with_the_least_latency() -> None:
    with pytest.raises(InfeasibleBudget, match=r"max_latency_ms=0\.005 cannot be met") as caught:
        check_latency(bench(Machine(), 0.005), 0)
    assert 0.005 < caught.value.smallest < 0.006


def test_what_was_measured_is_taken_over_and_gives_the_same_estimates(tmp_path: Path) -> None:
    first = bench(Machine(), 0.008)
    check_latency(first, 0)
    assert first.latency is not None
    first.latency.keep_in(tmp_path)
    first.latency.check(first, {**first.template.baseline(DATA.spec), "depth": 1, "width": 17})
    with open(tmp_path / latency.FILE, "a") as file:
        file.write('{"architecture": "cut')
    machine = Machine()
    second = bench(machine, 0.008)
    assert second.latency is not None
    second.latency.recall(tmp_path)
    check_latency(second, 0)
    assert machine.networks == 0
    for values in first.template.space(DATA.spec).sample_sobol(20, seed=5):
        assert first.latency.estimate(first, values) == second.latency.estimate(second, values)


def test_bounds_must_be_positive_and_of_onnx_runtime(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="max_latency_ms must be positive, got 0"):
        LatencyBound(0.0)
    asked: dict[str, Any] = {"data": DATA, "out": tmp_path / "run", "trials": 2, "epochs": 2}
    with pytest.raises(BadArgument, match="needs a device; give onnxruntime"):
        synthesize(**asked, max_latency_ms=1.0)
    with pytest.raises(BadArgument, match="needs a clock, and cortex-m4 has none"):
        synthesize(**asked, max_latency_ms=1.0, device="cortex-m4")
    with pytest.raises(BadArgument, match="are of a board's code"):
        synthesize(**asked, max_latency_ms=1.0, device="onnxruntime", budget=Budget(max_flash=9000))
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A run on a machine on which whatever is measured alone is slow."""
    machine = Machine(alone=10.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("steerage.export.measured.in_turns", lambda networks, rounds: machine(networks))
        return synthesize(
            DATA,
            budget=Budget(max_params=500),
            device="onnxruntime",
            max_latency_ms=0.008,
            template="mlp",
            trials=6,
            epochs=4,
            out=tmp_path_factory.mktemp("latency") / "run",
        )


def test_a_run_tells_median_and_quartiles_and_keeps_its_bound(finished: Result) -> None:
    summary = finished.summary
    assert summary["budget"]["max_latency_ms"] == 0.008
    assert summary["latency_ms"] <= 0.008
    assert summary["latency"]["low_ms"] < summary["latency"]["median_ms"] == summary["latency_ms"]
    assert summary["baseline"]["latency_ms"] > summary["latency_ms"]
    kept = [json.loads(line) for line in (finished.folder / latency.FILE).read_text().splitlines()]
    assert len({one["architecture"] for one in kept}) == len(kept) >= 9
    asked = json.loads((finished.folder / "run.json").read_text())
    assert (asked["device"], asked["budget"]["max_latency_ms"]) == ("onnxruntime", 0.008)
    assert "at most 500 parameters and 0.008 ms for a row" in (finished.folder / "report.html").read_text()


def test_candidates_that_prove_too_slow_are_not_trained(finished: Result) -> None:
    told = [json.loads(line) for line in (finished.folder / "events.jsonl").read_text().splitlines()]
    reasons = [one["reason"] for one in told if one["event"] == "TrialFailed"]
    assert reasons
    assert all("and may take 0.008 ms" in reason for reason in reasons)


def test_a_network_without_onnx_form_is_delivered_without_a_latency(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(networks: Sequence[Network], rounds: int) -> list[Latency]:
        raise UnsupportedLayer("the network has no ONNX form")

    monkeypatch.setattr("steerage.export.measured.in_turns", refuse)
    with pytest.warns(UserWarning, match="no latency was measured: the network has no ONNX form"):
        result = synthesize(DATA, device="onnxruntime", template="mlp", trials=1, epochs=1, out=tmp_path / "run")
    assert "latency_ms" not in result.summary


def test_without_a_bound_latencies_are_only_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine()
    monkeypatch.setattr("steerage.export.measured.in_turns", lambda networks, rounds: machine(networks))
    result = synthesize(DATA, device="onnxruntime", template="mlp", trials=2, epochs=2, out=tmp_path / "run")
    assert machine.networks == 3
    assert "max_latency_ms" not in result.summary["budget"]
    assert result.summary["latency_ms"] > 0.005
