"""Facts about the local search through many sizes: the smallest within a loss, and the front of all sizes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import steerage
from steerage import Budget, OwnNetwork, refine, synthesize
from steerage.cost import Cost, count
from steerage.errors import BadArgument
from steerage.growprune.schemes import Connections, checked
from steerage.store import read_json
from steerage.synthesis.candidate import Trained
from steerage.synthesis.main import Result
from steerage.synthesis.pareto import survivors
from steerage.synthesis.trajectory import SIZES, Wanted, sizes, smallest, stairs
from steerage.training.evaluate import Scores
from tasks import perceptron, table

DATA = table(300)


def own() -> OwnNetwork:
    def factory() -> nn.Module:
        torch.manual_seed(3)
        return perceptron()

    return OwnNetwork("net.py:perceptron", factory)


def refined(out: Path, **options: Any) -> Result:
    asked: dict[str, Any] = {"budget": Budget(), "epochs": 30, "seed": 1, **options}
    return refine(own(), DATA, out=out, **asked)


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return refined(tmp_path_factory.mktemp("runs") / "front", front=True)


def test_all_sizes_of_the_front_can_be_loaded(walked: Result) -> None:
    members = walked.summary["front"]
    assert len(members) >= 2
    sizes, errors = [], []
    for member in members:
        network = steerage.load(walked.folder / member["path"], factory=own().factory)
        assert count(network.model, (6,), masks=network.masks).params == member["params"]
        assert len(network.predict(DATA.x_test.numpy())) == len(DATA.x_test)
        sizes.append(member["params"])
        errors.append(member["error"]["validation"])
    assert sizes == sorted(set(sizes))
    assert errors == sorted(errors, reverse=True)


def test_without_a_tolerated_loss_the_most_accurate_is_delivered(walked: Result) -> None:
    assert walked.summary["params"] == walked.summary["front"][-1]["params"]


def test_each_step_down_says_what_the_error_was(walked: Result) -> None:
    lines = (walked.folder / "events.jsonl").read_text().splitlines()
    edits = [line for line in lines if '"NetworkEdited"' in line]
    assert len(edits) >= 8
    assert all('"error": null' not in line for line in edits)


def test_the_report_is_written(walked: Result) -> None:
    assert "front/01" in (walked.folder / "report.html").read_text()


@pytest.mark.parametrize("max_loss", [0.0, 0.1])
def test_the_smallest_within_a_loss(max_loss: float, tmp_path: Path) -> None:
    """A network that is trained already is the measure."""
    trained = steerage.grow_and_prune(perceptron(), DATA, budget=Budget(max_params=786), epochs=30).model
    given = OwnNetwork("net.py:trained", lambda: trained)
    result = refine(given, DATA, budget=Budget(), max_loss=max_loss, epochs=20, out=tmp_path / "run", seed=1)
    assert result.summary["params"] < 700
    before = [line for line in (result.folder / "events.jsonl").read_text().splitlines() if "polished" in line]
    assert before
    assert "front" not in result.summary
    asked = read_json(result.folder / "run.json")
    assert asked["max_loss"] == max_loss


def test_an_untrained_network_is_no_measure_of_loss(tmp_path: Path) -> None:
    result = refined(tmp_path / "run", max_loss=0.02, epochs=150)
    assert result.summary["error"]["validation"] < 0.2  # by chance it would be 0.67


@pytest.mark.parametrize("max_loss", [None, 0.5])
def test_a_budget_bounds_what_is_delivered_and_the_front_goes_on(max_loss: float | None, tmp_path: Path) -> None:
    result = refined(tmp_path / "run", budget=Budget(max_params=300), front=True, max_loss=max_loss)
    assert result.summary["params"] <= 300
    assert len(result.summary["front"]) > 1


def test_what_is_delivered_is_as_good_as_its_size_was(tmp_path: Path) -> None:
    """No size above the budget is cut down to be delivered."""
    result = synthesize("digits", budget=Budget(max_params=1500), front=True, epochs=20, trials=2, out=tmp_path / "run")
    front = {member["params"]: member for member in result.summary["front"]}
    assert result.summary["params"] <= 1500
    inside = [member["error"]["test"] for params, member in front.items() if params <= 1500]
    assert result.summary["error"]["test"] < min(inside) + 0.03


def test_the_budget_is_one_of_the_sizes() -> None:
    for through in (20, 100, 2_000, 9_000):
        found = sizes(10_000, 10, through=through)
        assert len(found) == SIZES and found == sorted(found, reverse=True)
        assert any(size == pytest.approx(through) for size in found)
        assert found[-1] == pytest.approx(10)


def test_it_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    straight = refined(tmp_path / "straight", front=True)

    class Stop(BaseException):
        pass

    def listener(event: object) -> None:
        if type(event).__name__ == "PhaseStarted" and getattr(event, "phase", "") == "polish":
            raise Stop

    with pytest.raises(Stop):
        refined(tmp_path / "stopped", front=True, listener=listener)
    again = refined(tmp_path / "stopped", front=True)
    assert again.summary["front"] == straight.summary["front"]
    assert again.summary["error"] == straight.summary["error"]


def test_a_synthesis_walks_down_as_well(tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = synthesize(DATA, trials=2, epochs=12, max_loss=0.2, front=True, out=out, template="mlp")
    assert result.summary["front"]
    assert result.summary["params"] < result.summary["after_search"]["params"]


def test_what_cannot_be_wanted_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="from 0 to 100 points"):
        refined(tmp_path, max_loss=1.0)
    with pytest.raises(BadArgument, match="local=True"):
        synthesize(DATA, front=True, local=False, out=tmp_path)
    with pytest.raises(BadArgument, match="a budget with a bound"):
        refined(tmp_path)
    with pytest.raises(BadArgument, match="there is no scheme"):
        refined(tmp_path, front=True, scheme="D")


def test_stairs_go_down_in_equal_ratios() -> None:
    scheme = stairs(10_000, 100)
    assert checked(scheme)
    left = [10_000 - step.done * 9_900 for step in scheme if isinstance(step, Connections)]
    ratios = [after / before for before, after in pairwise(left)]
    assert ratios == pytest.approx([ratios[0]] * len(ratios))
    assert left[-1] == 100


def network(params: int, error: float) -> Trained:
    cost = Cost(params, params, params, params)
    return Trained(nn.Identity(), {}, Scores(error, 0.0, 100), cost, (), 0.0, 0.0)


def test_nobody_on_the_front_is_beaten_by_a_smaller_one() -> None:
    networks = [network(50, 0.3), network(10, 0.5), network(20, 0.5), network(30, 0.2), network(90, 0.1)]
    assert survivors(networks, "params") == [1, 3, 4]


def test_the_smallest_good_one_is_found_by_halves() -> None:
    asked: list[int] = []

    def good(size: int) -> bool:
        asked.append(size)
        return size >= 7

    assert smallest(range(13), good) == 7
    assert len(asked) <= 4
    assert smallest(range(5), good) is None
    assert Wanted(max_loss=0.0).anything and not Wanted().anything
