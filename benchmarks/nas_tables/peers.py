"""Searches without a model, the peers that are a few lines each: random, regularized evolution, local search."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np

from nas_tables.trials import Trials

POPULATION, TOURNAMENT = 10, 5  # of the settings measured, the best at 30 and 60 trials
PATIENCE = 100  # infeasible or known children in a row, after which a random row is trained instead


def random(trials: Trials, rng: np.random.Generator) -> None:
    """Random feasible rows, each once."""
    while trials.open:
        trials.train(trials.unseen(rng))


def regularized_evolution(trials: Trials, rng: np.random.Generator) -> None:
    """Tournament selection, a change of one gene, and the oldest of the population dies (Real et al. 2019)."""
    population: deque[tuple[float, int]] = deque(maxlen=POPULATION)
    known = 0
    while trials.open:
        row = None
        if len(population) == POPULATION and known < PATIENCE:
            contestants = rng.choice(POPULATION, size=TOURNAMENT, replace=False)
            row = _mutant(trials, max(population[i] for i in contestants)[1], rng)
        if row is None:
            row = trials.unseen(rng)
        known = known + 1 if row in trials.shown else 0
        population.append((trials.train(row), row))


def _mutant(trials: Trials, row: int, rng: np.random.Generator) -> int | None:
    """Feasible row that differs from ``row`` in one gene; None if a bounded number of attempts has found none."""
    neighbours = list(_neighbours(trials, row))
    for _ in range(PATIENCE if neighbours else 0):
        mutant = neighbours[rng.integers(len(neighbours))]
        if trials.task.excess[mutant] <= 0:
            return mutant
    return None


def local_search(trials: Trials, rng: np.random.Generator) -> None:
    """First improvement (White et al. 2021): go to the first better neighbour, start anew where there is none."""
    while trials.open:
        row = trials.unseen(rng)
        trials.train(row)
        better: int | None = row
        while better is not None:
            row, better = better, None
            neighbours = list(_neighbours(trials, row))
            for at in rng.permutation(len(neighbours)):
                other = neighbours[at]
                if trials.task.excess[other] > 0:
                    continue
                if other not in trials.shown and not trials.open:
                    return
                if trials.train(other) > trials.shown[row]:
                    better = other
                    break


def _neighbours(trials: Trials, row: int) -> Iterator[int]:
    """Rows of the table that differ from ``row`` in one gene."""
    table = trials.task.table
    genes = table.genes[row].tolist()
    for place, gene in enumerate(table.space.genes):
        for value in range(gene.size):
            if value != genes[place]:
                found = table.index.get((*genes[:place], value, *genes[place + 1 :]))
                if found is not None:
                    yield found
