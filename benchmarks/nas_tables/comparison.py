"""Regrets of all methods side by side, and ours relative to the best peer in each table at each number of trials."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from common import row

from nas_tables.data import UNBOUNDED, load
from nas_tables.kept import OURS, Found, Run
from nas_tables.readings import COUNTS, by_observation, floor, name_best, regret, retrainings
from nas_tables.section import Figures, Options
from nas_tables.trials import Task, Trials

OBSERVED = "ours, best observation"  # instead of what the product's rule names
MEAN_BAR, CELL_BAR = 0.45, 1.0  # most that ours may be of the best peer: the geometric mean of cells, and each cell


@final
@dataclass(frozen=True)
class Cell:
    """Regrets by method and seed, after ``count`` trials in one table under one budget."""

    table: str
    budget: str
    count: int
    regrets: Mapping[str, Mapping[int, float]]
    floor: float
    share: float  # of the rows that are feasible
    exhausted: bool  # there are no more feasible rows than trials, so that nothing is left to choose

    @property
    def name(self) -> str:
        """Table, budget and count."""
        budget = "" if self.budget == UNBOUNDED else f", {self.budget} bounded ({self.share:.2%} feasible)"
        return f"{self.table}{budget}, {self.count} trials{' (all there are)' if self.exhausted else ''}"

    def mean(self, method: str) -> float:
        """Mean regret of a method."""
        return statistics.fmean(self.regrets[method].values())

    def best_peer(self) -> str | None:
        """Peer of the smallest mean regret."""
        return min((one for one in self.regrets if one not in (OURS, OBSERVED)), key=self.mean, default=None)

    def pairs(self, ours: str, peer: str) -> list[tuple[float, float]]:
        """Regrets of the two under the same seeds."""
        both = sorted(self.regrets[ours].keys() & self.regrets[peer].keys())
        return [(self.regrets[ours][seed], self.regrets[peer][seed]) for seed in both]

    def ratio(self, ours: str) -> float | None:
        """Mean regret of ours over that of the best peer, under the seeds of both; None where one is missing."""
        peer = self.best_peer()
        if ours not in self.regrets or peer is None or not (pairs := self.pairs(ours, peer)):
            return None
        means = [max(self.floor, statistics.fmean(values)) for values in zip(*pairs, strict=True)]
        return means[0] / means[1]


def task_of(options: Options, run: Run) -> Task:
    """What the run searches in."""
    return _task(options.path(run.table), run.seed, run.section != "simulated", run.budget)


@functools.lru_cache(maxsize=8)
def _task(path: Path, seed: int, recorded: bool, budget: str) -> Task:
    return Task(load(path), seed, recorded, budget)


def cells(options: Options, found: Found) -> list[Cell]:
    """One cell for each table, budget and count."""
    regrets: dict[tuple[str, str, int], dict[str, dict[int, float]]] = {}
    tasks: dict[tuple[str, str], Task] = {}
    for run, measured in sorted(found.items(), key=lambda pair: (pair[0].table, pair[0].budget, pair[0].seed)):
        task = tasks[run.table, run.budget] = task_of(options, run)
        for count in COUNTS:
            if count <= run.size:
                cell = regrets.setdefault((run.table, run.budget, count), {})
                for method, value in _regrets(task, run.method, measured, count).items():
                    cell.setdefault(method, {})[run.seed] = value
    made = []
    for (table, budget, count), values in regrets.items():
        task = tasks[table, budget]
        feasible = len(task.feasible)
        made.append(Cell(table, budget, count, values, floor(task), feasible / len(task.table), feasible <= count))
    return made


def _regrets(task: Task, method: str, measured: Mapping[str, Any], count: int) -> dict[str, float]:
    """Regret after ``count`` trials, of which the last may have trained rows again; of ours for both ways to name."""
    again = retrainings(count, recorded=task.recorded)
    rows = measured["rows"][: count - again]
    observed = by_observation(Trials(task, count, {one: task.show(one) for one in rows}), rows)
    orders = {method: observed}
    if method == OURS:
        orders = {OURS: measured["named"][str(count - again)], OBSERVED: observed}
    return {name: regret(task, name_best(task, order, again)) for name, order in orders.items()}


def report(section: str, cells: Sequence[Cell]) -> Figures:
    """All figures of a section, and a line for each cell."""
    rows: list[dict[str, Any]] = []
    lines = []
    for cell in cells:
        name = f"{section}: {cell.name}"
        rows += [
            row(f"{name}, {method}: regret", list(values.values()), unit="accuracy", bar=None)
            for method, values in cell.regrets.items()
        ]
        means = [f"{method} {_with_error(list(values.values()))}" for method, values in cell.regrets.items()]
        lines.append(f"{name}: {'; '.join(means)}")
        peer = cell.best_peer()
        for ours in (OURS, OBSERVED):
            if peer is None or (ratio := cell.ratio(ours)) is None:
                continue
            # A cell where nothing is left to choose tells of luck, and ours is judged by what it names.
            bar = CELL_BAR if ours == OURS and not cell.exhausted else None
            rows.append(row(f"{name}, {ours} over {peer}", [ratio], unit="ratio", bar=bar))
            differences = [mine - theirs for mine, theirs in cell.pairs(ours, peer)]
            rows.append(row(f"{name}, {ours} minus {peer}", differences, unit="accuracy", bar=None))
            lines.append(f"    {ours} over {peer}: {ratio:.3f}, paired difference {_with_error(differences)}")
    overall = _geometric_means(section, cells)
    return rows + overall, [*lines, *(f"{one['name']}: {one['value']:.3f}, bar {one['bar']}" for one in overall)]


def _geometric_means(section: str, cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """Geometric means of the ratios over the cells in which there is something to choose: by budget, and of all."""
    left = [cell for cell in cells if not cell.exhausted]
    budgets = list(dict.fromkeys(cell.budget for cell in left))
    groups = {f" {budget} bounded," if budget != UNBOUNDED else "": [budget] for budget in budgets}
    if len(budgets) > 1:
        groups[" all budgets,"] = budgets
    rows = []
    for label, chosen in groups.items():
        for ours in (OURS, OBSERVED):
            ratios = [cell.ratio(ours) for cell in left if cell.budget in chosen]
            logs = [math.log(ratio) for ratio in ratios if ratio is not None]
            if logs:
                name = f"{section}:{label} {ours} over the best peer, geometric mean of {len(logs)} cells"
                bar = MEAN_BAR if ours == OURS else None
                rows.append(row(name, [math.exp(statistics.fmean(logs))], unit="ratio", bar=bar))
    return rows


def _with_error(values: Sequence[float]) -> str:
    """Mean and standard error."""
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return f"{statistics.fmean(values):.4f} ± {error:.4f}"
