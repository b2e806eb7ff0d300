"""Upper bounds on what a network may cost."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import final

from steerage.cost.count import Cost
from steerage.errors import BadArgument

_SUFFIXES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
# Field of a cost that a bound is on.
BOUNDED: Mapping[str, str] = MappingProxyType(
    {f"max_{field}": field for field in ("params", "macs", "flash", "ram", "instructions")}
)


@final
@dataclass(frozen=True)
class Budget:
    """Bounds on parameters and MACs, masked weights not counted, and on generated code; ``None`` is none.

    ``max_flash``, ``max_ram``: bytes that the C code takes on a device (``steerage.cost.memory``);
    ``max_instructions``: those that it takes for a row, as estimated. A time becomes such a bound by the clock of a
    device (``Device.within``).
    Raises: BadArgument for a bound that is not a positive integer.
    """

    max_params: int | None = None
    max_macs: int | None = None
    max_flash: int | None = None
    max_ram: int | None = None
    max_instructions: int | None = None

    def __post_init__(self) -> None:
        for name, bound in self.to_json().items():
            if bound is not None and (not isinstance(bound, int) or isinstance(bound, bool) or bound < 1):
                raise BadArgument(f"{name} must be a positive integer, got {bound!r}; give a number such as 5000")

    @property
    def on_device(self) -> bool:
        """Whether there is a bound on code."""
        return any(bound is not None for bound in (self.max_flash, self.max_ram, self.max_instructions))

    @property
    def counted(self) -> Budget:
        """The bounds on parameters and MACs alone, which are counted without a look at the code."""
        return replace(self, max_flash=None, max_ram=None, max_instructions=None)

    def excess(self, cost: Cost) -> dict[str, float]:
        """Relative excess over each bound that ``cost`` breaks: 0.5 for half as much again as allowed.

        Raises: BadArgument where there is a bound on what ``cost`` does not say.
        """
        return {name: n / bound - 1.0 for name, n, bound in self._pairs(cost) if n > bound}

    def violation(self, cost: Cost) -> float:
        """Sum of the relative excesses; 0 inside the budget."""
        return sum(self.excess(cost).values())

    def expansion(self, cost: Cost) -> float:
        """How many times ``cost`` is the bound that it breaks most, or comes nearest to; 0 where nothing is bounded."""
        return max((n / bound for _, n, bound in self._pairs(cost)), default=0.0)

    def _pairs(self, cost: Cost) -> list[tuple[str, int, int]]:
        """Each bound by name, with what is used of it."""
        found = []
        for name, bound in self.to_json().items():
            if bound is not None:
                used: int | None = getattr(cost, BOUNDED[name])
                if used is None:
                    raise BadArgument(f"{name} is a bound on generated code, and this cost was counted without it")
                found.append((name, used, bound))
        return found

    def to_json(self) -> dict[str, int | None]:
        """Bounds by name; ``Budget(**json)`` restores them."""
        return dict(vars(self))  # all are plain numbers, and searches ask for it very often


def parse_size(text: str) -> int:
    """Number with an optional k, M or G (thousands), or Ki, Mi or Gi (1024): "20k" -> 20000, "32Ki" -> 32768.

    Raises: BadArgument for anything else, and for less than 1.
    """
    match = re.fullmatch(r"(\d[\d_]*(?:\.\d+)?(?:e\d+)?)((?:[kmg]i?)?)", text.strip().lower())
    size = float(match[1]) * _SUFFIXES[match[2]] if match else math.nan
    if not 1 <= size < 1e15:
        raise BadArgument(f"a size must be a number of at least 1, got {text!r}; write it as 1500, 20k, 1.5M or 32Ki")
    return round(size)
