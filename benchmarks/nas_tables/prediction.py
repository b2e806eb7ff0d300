"""Section: rank correlation of the product's predictor with the truth, on all that it has not seen."""

from __future__ import annotations

import functools
import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import row

from nas_tables.data import Array, Table, load
from nas_tables.kept import OURS, Found, Run
from nas_tables.section import Figures, Options, Section
from nas_tables.trials import Task
from steerage.search import propose as product
from steerage.search.features import features
from steerage.search.predictor import Predictor
from steerage.search.propose import Observation
from steerage.seeds import child_seed

SIZES = (20, 50, 100, 200)
REPEATS = 20  # at most
BARS = {"macro_cifar10": dict(zip(SIZES, (0.75, 0.845, 0.875, 0.895), strict=True))}
CHUNK = 2000  # rows predicted at a time, for the memory of the distances


def runs(options: Options) -> list[Run]:
    """All repeats of every table and size."""
    return [
        Run("predictor", path.stem, "none", OURS, size, seed)
        for seed in range(min(options.seeds, REPEATS))
        for path in options.tables
        for size in SIZES
    ]


def measure(options: Options, run: Run) -> dict[str, Any]:
    """Fit to one training each of the first different Sobol points; Kendall's tau on the other rows."""
    from scipy.stats import kendalltau

    path = options.path(run.table)
    table, everything = load(path), _features(path)
    task, rows = Task(table, run.seed), _sobol_rows(table, run.size, run.seed)
    began = time.monotonic()
    seen = [Observation(table.values(one), -task.show(one)) for one in rows]
    layout, x, y = product.table(table.space, seen, table.log_costs)
    predictor = Predictor(layout).fit(x, y, np.random.default_rng(child_seed(run.seed, "predictor")))
    seconds = time.monotonic() - began
    unseen = np.setdiff1d(np.arange(len(table)), rows)
    predicted = [
        predictor.predict(everything[unseen[first : first + CHUNK]])[0] for first in range(0, len(unseen), CHUNK)
    ]
    tau = kendalltau(np.concatenate(predicted), table.truth[unseen]).statistic
    return {"seconds": round(seconds, 3), "tau": float(tau)}


@functools.lru_cache(maxsize=4)
def _features(path: Path) -> Array:
    """(n, columns) features of every row of the table."""
    table = load(path)
    points = [table.values(one) for one in range(len(table))]
    return features(table.space, points, [table.log_costs(point) for point in points])


def _sobol_rows(table: Table, n: int, seed: int) -> list[int]:
    """Rows of the first ``n`` different points of a Sobol sequence that the table has."""
    for doublings in itertools.count(1):
        points = table.space.sample_sobol(n << doublings, seed=child_seed(seed, "predictor"))
        rows = list(dict.fromkeys(found for point in points if (found := table.row(point)) is not None))
        if len(rows) >= n or n << doublings > 16 * len(table):
            return rows[:n]
    raise AssertionError("unreachable")


def figures(options: Options, found: Found) -> Figures:
    """Mean tau of every table and size."""
    rows, lines = [], []
    for path in options.tables:
        for size in SIZES:
            taus = [
                found[run]["tau"]
                for run in runs(options)
                if (run.table, run.size) == (path.stem, size) and run in found
            ]
            if taus:
                bar = BARS.get(path.stem, {}).get(size)
                name = f"predictor: {path.stem}, Kendall tau after {size} samples"
                rows.append(row(name, taus, unit="tau", bar=bar, at_least=True))
                lines.append(f"{name}: {rows[-1]['value']:.4f} (n = {len(taus)}), bar {bar}")
    return rows, lines


PREDICTOR = Section(runs, measure, figures)
