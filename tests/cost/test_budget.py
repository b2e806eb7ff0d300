from __future__ import annotations

import json

import pytest

from steerage.cost import Budget, Cost, parse_size
from steerage.errors import BadArgument


def test_a_cost_on_the_bound_is_inside() -> None:
    assert Budget(max_params=10, max_macs=20).violation(Cost(10, 99, 20, 99)) == 0.0


def test_violation_is_the_sum_of_relative_excesses() -> None:
    budget = Budget(max_params=10, max_macs=20)
    assert budget.violation(Cost(15, 15, 25, 25)) == pytest.approx(0.5 + 0.25)
    assert budget.excess(Cost(15, 15, 20, 20)) == {"max_params": pytest.approx(0.5)}


def test_no_bound_is_never_broken() -> None:
    assert Budget().violation(Cost(10**9, 10**9, 10**12, 10**12)) == 0.0


@pytest.mark.parametrize("bound", [0, -3, 1.5, True])
def test_bounds_are_positive_integers(bound: int) -> None:
    with pytest.raises(BadArgument, match=f"max_macs must be a positive integer, got {bound}"):
        Budget(max_macs=bound)


def test_json_restores_budget_and_cost() -> None:
    budget, cost = Budget(max_params=10), Cost(1, 2, 3, 4)
    assert Budget(**json.loads(json.dumps(budget.to_json()))) == budget
    assert Cost(**json.loads(json.dumps(cost.to_json()))) == cost


@pytest.mark.parametrize(
    ("text", "size"),
    [("1500", 1500), ("20k", 20_000), (" 1.5M ", 1_500_000), ("20_000", 20_000), ("1e4", 10_000), ("32Ki", 32_768)],
)
def test_sizes_are_read_with_their_suffix(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "k", "-5", "0", "0.2", "20kb", "many", "nan", "1e99"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(BadArgument, match=r"20k, 1\.5M or 32Ki"):
        parse_size(text)
