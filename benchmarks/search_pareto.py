"""The front of error against parameters in tables of trained architectures: hypervolume against Optuna's samplers.

    python benchmarks/search_pareto.py [--seeds N] [--jobs N] [--tables NAME ...]

A trial shows one recorded training, drawn once per seed and row. What counts is the hypervolume, in error and
logarithm of the parameters, of the true means of the points that a method names as its front; it is measured from the
90th percentile of the table's errors and its largest network, as a share of what the table's own front has. Each run
is kept in ``results/search_pareto.rows.jsonl``: a peer's for good, one of ours until the package's source changes.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from common import RESULTS, SHARED, commit, row, same_source, write
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, TPESampler

from steerage.search.front import front, hypervolume
from steerage.search.propose import START, Observation
from steerage.search.propose_front import known_front, propose_front
from steerage.search.sampler import BATCH
from steerage.space import Space, Values

OURS, NSGA2, TPE = "ours", "NSGA-II", "TPE"
TRIALS = {OURS: (100,), NSGA2: (100, 200), TPE: (100, 200)}  # read off at so many
REFUSALS = 20  # known asks in a row, after which a random row is trained instead
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Rows = Sequence[int]
Named = Callable[[Rows], Sequence[int]]  # of the rows that were trained, those of the front


@dataclass(frozen=True)
class Table:
    """Architectures (n rows) with the errors of their recorded trainings (n, repeats; NaN where there was none)."""

    name: str
    space: Space
    rows: dict[tuple[int, ...], int]
    genes: NDArray[np.int64]
    shown: NDArray[np.float64]
    truth: NDArray[np.float64]  # mean error
    params: NDArray[np.float64]
    flops: NDArray[np.float64]

    def row(self, values: Values) -> int:
        """Row of a point."""
        return self.rows[tuple(int(values[name]) for name in self.space.names)]

    def values(self, at: int) -> dict[str, int]:
        """Point of a row."""
        return dict(zip(self.space.names, self.genes[at].tolist(), strict=True))

    def observed(self, seed: int) -> NDArray[np.float64]:
        """Error (n,) of the recorded training that a trial of each row shows."""
        known = np.isfinite(self.shown)
        nth = np.floor(np.random.default_rng(seed).random(len(known)) * known.sum(axis=1))
        place = np.argmax(np.cumsum(known, axis=1) == nth[:, None] + 1, axis=1)
        return np.asarray(self.shown[np.arange(len(known)), place])

    def score(self, named: Rows) -> float:
        """Hypervolume of the true errors of ``named``, as a share in [0, 1] of what the whole table has."""
        reference = float(np.percentile(self.truth, 90)), math.log(self.params.max())

        def volume(rows: Rows | slice) -> float:
            return hypervolume(self.truth[rows], np.log(self.params[rows]), reference)

        return volume(list(named)) / volume(slice(None))


@functools.cache
def load(path: Path) -> Table:
    """Table of a file; errors are in its own unit."""
    with np.load(path) as kept:
        genes, shown, truth = (
            kept["genes"].astype(int),
            -kept["acc_reps"].astype(float),
            -kept["acc_mean"].astype(float),
        )
        params, flops = kept["params"].astype(float), kept["flops"].astype(float)
        parts = zip(kept["gene_names"].tolist(), kept["cards"].tolist(), kept["ordinal"].tolist(), strict=True)
    distributions: dict[str, BaseDistribution] = {
        name: IntDistribution(0, size - 1) if ordinal else CategoricalDistribution(list(range(size)))
        for name, size, ordinal in parts
    }
    rows = {tuple(one): at for at, one in enumerate(genes.tolist())}
    return Table(path.stem, Space(distributions), rows, genes, shown, truth, params, flops)


def ours(table: Table, seed: int, trials: int) -> dict[str, float]:
    """Score of the front that ``known_front`` names, and with that of the plain observations."""
    observed, rows = table.observed(seed), list[int]()
    history: list[Observation] = []

    def cost(values: Values) -> float:
        return float(table.params[table.row(values)])

    def costs(values: Values) -> tuple[float, float]:
        at = table.row(values)
        return math.log(table.params[at]), math.log(table.flops[at])

    while len(history) < trials:
        room = min(BATCH if history else START, trials - len(history))
        batch = propose_front(table.space, history, n=room, seed=seed, cost=cost, cost_features=costs)
        rows += [table.row(values) for values in batch]
        history += [Observation(values, float(observed[table.row(values)]), costs(values)) for values in batch]
    named = known_front(table.space, history, cost, seed=seed, cost_features=costs)
    return {
        "score": table.score([rows[i] for i in named]),
        "by observations": table.score(_shown_front(table, observed, rows)),
        "all trained": table.score(rows),
    }


def optuna_peer(sampler: Callable[[int], BaseSampler], table: Table, seed: int, trials: int) -> dict[str, float]:
    """Score of the front of what was observed; a known ask is told what it showed before and is no trial."""
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    observed, rng = table.observed(seed), np.random.default_rng(seed)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler(seed))
    rows: dict[int, None] = {}
    refused = 0
    while len(rows) < trials:
        if refused >= REFUSALS:
            study.enqueue_trial(table.values(int(rng.choice([i for i in range(len(observed)) if i not in rows]))))
        trial = study.ask(dict(table.space.distributions))
        at = table.row(trial.params)
        refused = refused + 1 if at in rows else 0
        rows[at] = None
        study.tell(trial, [float(observed[at]), math.log(table.params[at])])
    return {"score": table.score(_shown_front(table, observed, list(rows))), "all trained": table.score(list(rows))}


def _shown_front(table: Table, observed: NDArray[np.float64], rows: Rows) -> list[int]:
    return [rows[i] for i in front(observed[list(rows)], table.params[list(rows)])]


METHODS: dict[str, Callable[[Table, int, int], dict[str, float]]] = {
    OURS: ours,
    NSGA2: functools.partial(optuna_peer, lambda seed: NSGAIISampler(seed=seed)),
    TPE: functools.partial(optuna_peer, lambda seed: TPESampler(seed=seed)),
}


@dataclass(frozen=True)
class Run:
    """One search: its score is read when all ``trials`` are made."""

    table: str
    method: str
    trials: int
    seed: int


def measure(folder: Path, run: Run) -> tuple[Run, dict[str, float]]:
    """Figures of one search, with the seconds of processor time it took."""
    import torch

    torch.set_num_threads(1)
    table, began = load(folder / f"{run.table}.npz"), time.process_time()
    figures = METHODS[run.method](table, run.seed, run.trials)
    return run, {**figures, "seconds": time.process_time() - began}


class Kept:
    """Runs in ``results/search_pareto.rows.jsonl``, appended one by one."""

    def __init__(self) -> None:
        self._path, self._commit = RESULTS / "search_pareto.rows.jsonl", commit()
        self.found: dict[Run, dict[str, float]] = {}
        valid = functools.cache(same_source)
        for line in self._path.read_text().splitlines() if self._path.is_file() else ():
            kept = json.loads(line)
            run = Run(**kept["run"])
            if run.method != OURS or valid(kept["commit"]):
                self.found[run] = kept["figures"]

    def put(self, run: Run, figures: dict[str, float]) -> None:
        """Keep what one search gave."""
        self.found[run] = figures
        RESULTS.mkdir(exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps({"run": vars(run), "figures": figures, "commit": self._commit}) + "\n")


def make(runs: Sequence[Run], folder: Path, jobs: int) -> dict[Run, dict[str, float]]:
    """Figures of ``runs``; those that are missing are made, ``jobs`` at a time."""
    kept = Kept()
    missing = [run for run in runs if run not in kept.found]
    if missing:
        # Read when numpy is imported, which a spawned process does after this.
        os.environ.update(dict.fromkeys(THREADS, "1"))
        with multiprocessing.get_context("spawn").Pool(min(jobs, len(missing))) as pool:
            for run, figures in pool.imap_unordered(functools.partial(measure, folder), missing, chunksize=1):
                kept.put(run, figures)
    return {run: kept.found[run] for run in runs}


def figures(tables: Sequence[str], seeds: int, found: dict[Run, dict[str, float]]) -> list[dict[str, Any]]:
    """Rows of the result file: every mean, and ours less each peer's, seed by seed, which is to be 0 or more."""
    rows = []
    for table in tables:
        scores = {
            (method, trials): [found[Run(table, method, trials, seed)]["score"] for seed in range(seeds)]
            for method, counts in TRIALS.items()
            for trials in counts
        }
        mine = [found[Run(table, OURS, TRIALS[OURS][0], seed)] for seed in range(seeds)]
        unit = "share of the table's hypervolume"
        for (method, trials), values in scores.items():
            rows.append(row(f"{table}: {method}, {trials} trials", values, unit=unit, bar=None))
        for name in ("by observations", "all trained"):
            values = [one[name] for one in mine]
            rows.append(row(f"{table}: {OURS}, {TRIALS[OURS][0]} trials, {name}", values, unit=unit, bar=None))
        for (method, trials), values in scores.items():
            if method != OURS:
                less = [a["score"] - b for a, b in zip(mine, values, strict=True)]
                name = f"{table}: {OURS} at {TRIALS[OURS][0]} less {method} at {trials}"
                rows.append(row(name, less, unit=unit, bar=0.0, at_least=True))
    return rows


def shown(one: dict[str, Any]) -> str:
    """A row with its standard error."""
    error = "" if one["std"] is None else f" ± {one['std'] / math.sqrt(one['n']):.4f}"
    return f"{one['name']}: {one['value']:.4f}{error}"


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Fronts of error against parameters, against Optuna's samplers.")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--tables", nargs="+", metavar="NAME")
    asked = parser.parse_args(words)
    folder = SHARED / "nas"
    tables = asked.tables or sorted(path.stem for path in folder.glob("*.npz"))
    runs = [
        Run(table, method, trials, seed)
        for seed in range(asked.seeds)
        for table in tables
        for method, counts in TRIALS.items()
        for trials in counts
    ]
    found = make(runs, folder, asked.jobs)
    rows = figures(tables, asked.seeds, found)
    print("\n".join(map(shown, rows)))
    seconds = sum(one["seconds"] for one in found.values())
    print(
        write("search_pareto", rows, command=" ".join(["python benchmarks/search_pareto.py", *words]), seconds=seconds)
    )


if __name__ == "__main__":
    main(sys.argv[1:])
