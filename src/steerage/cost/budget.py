"""Upper bounds on what a network may cost."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import final

from steerage.cost.count import Cost
from steerage.errors import BadArgument

_SUFFIXES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


@final
@dataclass(frozen=True)
class Budget:
    """Bounds on parameters and MACs, masked weights not counted; ``None`` is no bound.

    Raises: BadArgument for a bound that is not a positive integer.
    """

    max_params: int | None = None
    max_macs: int | None = None

    def __post_init__(self) -> None:
        for name, bound in self.to_json().items():
            if bound is not None and (not isinstance(bound, int) or isinstance(bound, bool) or bound < 1):
                raise BadArgument(f"{name} must be a positive integer, got {bound!r}")

    def excess(self, cost: Cost) -> dict[str, float]:
        """Relative excess over each bound that ``cost`` breaks: 0.5 for half as much again as allowed."""
        used = {"max_params": cost.params, "max_macs": cost.macs}
        bounds = self.to_json()
        return {name: n / bound - 1.0 for name, n in used.items() if (bound := bounds[name]) is not None and n > bound}

    def violation(self, cost: Cost) -> float:
        """Sum of the relative excesses; 0 inside the budget."""
        return sum(self.excess(cost).values())

    def expansion(self, cost: Cost) -> float:
        """How many times ``cost`` is the bound that it breaks most, or comes nearest to; 0 where nothing is bounded."""
        used = {"max_params": cost.params, "max_macs": cost.macs}
        return max((used[name] / bound for name, bound in self.to_json().items() if bound is not None), default=0.0)

    def to_json(self) -> dict[str, int | None]:
        """Bounds by name; ``Budget(**json)`` restores them."""
        return dict(vars(self))  # all are plain numbers, and searches ask for it very often


def parse_size(text: str) -> int:
    """Number with an optional k, M or G (thousands): "20k" -> 20000, "1.5M" -> 1500000.

    Raises: BadArgument for anything else, and for less than 1.
    """
    match = re.fullmatch(r"(\d[\d_]*(?:\.\d+)?(?:e\d+)?)([kmg]?)", text.strip().lower())
    size = float(match[1]) * _SUFFIXES[match[2]] if match else math.nan
    if not 1 <= size < 1e15:
        raise BadArgument(f"a size must be a number of at least 1 such as 1500, 20k or 1.5M, got {text!r}")
    return round(size)
