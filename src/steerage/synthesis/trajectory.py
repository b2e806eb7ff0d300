"""The way down as networks to choose from: one training through many sizes, and the best of them trained on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from steerage.cost.budget import Budget
from steerage.cost.count import dense_cost, least_cost
from steerage.errors import BadArgument
from steerage.growprune.schemes import Connections, Step
from steerage.space import Values
from steerage.synthesis.candidate import Bench

SIZES = 12  # on the way from the dense network to the smallest
SMALLEST = 400  # times smaller than the dense network the smallest one is, where the biases allow that
START, END = 0.15, 0.8  # of the training, in which the network becomes smaller
EXCHANGE = 0.1  # of the connections at each size are grown


@dataclass(frozen=True)
class Wanted:
    """What is wanted of the way down.

    ``max_loss``: the smallest network whose validation error is no more than that above the lowest that was seen, as
    a fraction in [0, 1); None for the most accurate inside the budget. ``front``: all sizes that nobody beats.

    Raises: BadArgument for a loss outside its range.
    """

    max_loss: float | None = None
    front: bool = False

    def __post_init__(self) -> None:
        if self.max_loss is not None and not 0.0 <= self.max_loss < 1.0:
            raise BadArgument(
                f"the tolerated loss must be from 0 to 100 points of error, got {100 * self.max_loss:g}; "
                "give 0.002 for 0.2"
            )

    @property
    def anything(self) -> bool:
        return self.front or self.max_loss is not None


def stairs(dense: int, least: int, *, through: int | None = None) -> tuple[Step, ...]:
    """From ``dense`` parameters to ``least`` in equal ratios, at equal distances of the training.

    ``through``: one of the sizes between, with equal ratios before it and after it.
    """
    steps: list[Step] = []
    for index, left in enumerate(sizes(dense, least, through=through)):
        exchange = EXCHANGE if index < SIZES - 1 else 0.0
        done = 1.0 if index == SIZES - 1 else (dense - left) / max(1, dense - least)
        steps.append(Connections(START + (END - START) * index / (SIZES - 1), min(1.0, done), exchange))
    return tuple(steps)


def sizes(dense: int, least: int, *, through: int | None = None) -> list[float]:
    """``SIZES`` sizes below ``dense``, the last of them ``least``."""
    if through is None or not least < through < dense:
        return [dense * (least / dense) ** (index / SIZES) for index in range(1, SIZES + 1)]
    share = math.log(dense / through) / math.log(dense / least)
    first = min(SIZES - 1, max(1, round(share * SIZES)))
    above = [dense * (through / dense) ** (index / first) for index in range(1, first + 1)]
    rest = SIZES - first
    return above + [through * (least / through) ** (index / rest) for index in range(1, rest + 1)]


def smallest_budget(bench: Bench, values: Values) -> Bench:
    """``bench`` with the budget at which the way down ends: far below the dense network, and its own budget.

    Where parameters are not bounded but MACs are, the way is one of parameters all the same; what is delivered is
    inside every bound.
    """
    spec, bound = bench.dataset.spec, bench.budget.max_params
    least, dense = least_cost(bench.template, values, spec).params, dense_cost(bench.template, values, spec).params
    bottom = min(dense, max(round(1.3 * least), dense // SMALLEST))
    return replace(bench, budget=Budget(max_params=bottom if bound is None else min(bound, bottom)))


class Asked:
    """How many equal parts what is left of the time has for the next of about ``total`` trainings."""

    def __init__(self, total: float) -> None:
        self._left = total

    def shares(self) -> float:
        now, self._left = self._left, self._left - 1.0
        return max(1.0, now)


T = TypeVar("T")


def smallest(candidates: Sequence[T], good: Callable[[T], bool]) -> T | None:
    """The first of ``candidates``, by rising size, that is ``good``, found by halves as if all after it were too."""
    low, high, found = 0, len(candidates) - 1, None
    while low <= high:
        middle = (low + high) // 2
        if good(candidates[middle]):
            found, high = candidates[middle], middle - 1
        else:
            low = middle + 1
    return found
