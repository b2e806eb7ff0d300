"""The game that every method plays: trainings of rows of a table, each with what it shows."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import final

import numpy as np

from nas_tables.data import UNBOUNDED, Array, Table
from steerage.seeds import child_seed


@final
@dataclass(frozen=True, eq=False)
class Task:
    """A table under a budget, and one draw of its noise: all methods see the same under the same seed.

    ``recorded``: a training shows one of the recorded repeats of its row, always the same. Otherwise each training
    shows the truth and fresh Gaussian noise.
    """

    table: Table
    seed: int
    recorded: bool = True
    budget: str = UNBOUNDED
    _drawn: dict[int, Array] = field(default_factory=dict, repr=False)

    @functools.cached_property
    def overruns(self) -> dict[str, Array]:
        """For each bounded cost (n,) how far it is above the bound, as a share of it; negative below."""
        return self.table.overruns(self.budget)

    @functools.cached_property
    def excess(self) -> Array:
        """(n,) sum of what is above the bounds; 0 = feasible."""
        zero = np.zeros(len(self.table))
        return np.asarray(sum((np.maximum(one, 0.0) for one in self.overruns.values()), start=zero))

    @functools.cached_property
    def feasible(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Rows inside the budget."""
        return np.flatnonzero(self.excess <= 0)

    def show(self, row: int, training: int = 0) -> float:
        """What the ``training``-th training of ``row`` shows, counted from 0."""
        if training not in self._drawn:
            self._drawn[training] = self._draw(training)
        return float(self._drawn[training][row])

    def _draw(self, training: int) -> Array:
        """(n,) one training of every row."""
        table = self.table
        rng = np.random.default_rng(child_seed(self.seed, "trainings", training))
        if not self.recorded:
            return np.asarray(table.truth + table.noise * rng.standard_normal(len(table)))
        if training:
            raise ValueError("a recorded row is trained once")
        there = ~np.isnan(table.shown)
        which = np.minimum((rng.random(len(table)) * there.sum(axis=1)).astype(int), there.sum(axis=1) - 1)
        place = np.argmax(np.cumsum(there, axis=1) == (which + 1)[:, None], axis=1)
        return np.asarray(table.shown[np.arange(len(table)), place])


@final
@dataclass
class Trials:
    """Trials made so far: ``shown`` maps each row that was trained to what it showed, in the order of the trials."""

    task: Task
    limit: int
    shown: dict[int, float] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        """Whether there is another trial to make, and a feasible row left for it."""
        return len(self.shown) < min(self.limit, len(self.task.feasible))

    def train(self, row: int) -> float:
        """What ``row`` shows. A row that was trained before shows the same again and is no trial."""
        if row not in self.shown:
            self.shown[row] = self.task.show(row)
        return self.shown[row]

    def unseen(self, rng: np.random.Generator) -> int:
        """Random feasible row that was not trained yet; there must be one."""
        while True:
            row = int(rng.choice(self.task.feasible))
            if row not in self.shown:
                return row
