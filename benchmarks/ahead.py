"""Would a search gain by training trials in one stack? What that saves, and what it costs to propose so far ahead.

    python benchmarks/ahead.py [SECTION ...] [--seeds N]

Sections, both by default:

- stacked: seconds of the processor for 16 trials of the mlp template (feasible points of its Sobol sequence, pruned to
  the budget along the scheme of trials) one by one, four at a time and sixteen at a time. What is trained is the same.
- regret: what the search has found (regret of the best observation, in tables of architectures that others have
  trained) with 1, 4 and 16 trials under way, after ``TRIALS``; and how many trials the search with several needs for
  what one at a time has found by then, over ``TRIALS``. A stack pays where its speed is above that.

All that is measured is kept in ``results/ahead.rows.json``.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch
from common import SHARED, Measured, row, write
from nas_tables.data import UNBOUNDED, load
from nas_tables.trials import Task as TableTask

from steerage.cost.budget import Budget
from steerage.data.load import load_dataset
from steerage.events import TrialFinished
from steerage.search.evaluation import TrialOutcome
from steerage.search.run import open_study, search
from steerage.search.under_way import Workers
from steerage.space import Values
from steerage.synthesis.candidate import Bench, Trained, candidate_training
from steerage.synthesis.clock import RunClock
from steerage.synthesis.driving import side_by_side
from steerage.synthesis.feasible import violation_of
from steerage.synthesis.trial import TRIAL_SCHEME
from steerage.templates.registry import load_template
from steerage.training.split import validation_split

TABULAR = SHARED / "tabular"
TASKS: dict[str, tuple[str, int, int]] = {  # source, parameters at most, epochs
    "vowel": (f"{TABULAR}/vowel.csv.gz", 2_000, 40),
    "satellite": (f"{TABULAR}/satellite.csv.gz", 2_000, 8),
    "digits": ("digits", 2_000, 20),
    "letter": (f"{TABULAR}/letter.csv.gz", 20_000, 3),
}
TABLE = "fcnet_protein_structure"  # of feed-forward networks
SIZES = (1, 4, 16)
CANDIDATES, TRIALS, MOST = 16, 20, 32


def stacked(name: str) -> dict[str, Any]:
    """Seconds by the number of trials in a stack."""
    source, max_params, epochs = TASKS[name]
    dataset = load_dataset(source)
    rows, validation = validation_split(dataset, 0)
    bench = Bench(dataset, load_template("mlp"), Budget(max_params), rows, validation, RunClock())
    candidates = [*enumerate(points(bench))]
    errors: dict[int, list[float]] = {}

    def seconds(size: int, epochs: int) -> float:
        began, errors[size] = time.process_time(), []
        for first in range(0, CANDIDATES, size):
            trainings = [
                candidate_training(bench, values, name="", seed=seed, epochs=epochs, scheme=TRIAL_SCHEME, exact=False)
                for seed, values in candidates[first : first + size]
            ]
            ended = side_by_side(trainings, dataset, bench.clock)
            errors[size] += [one.scores.error if isinstance(one, Trained) else math.inf for one in ended]
        return time.process_time() - began

    seconds(CANDIDATES, 1)  # what a process does once
    found = {str(size): seconds(size, epochs) for size in SIZES}
    assert all(errors[size] == errors[1] for size in SIZES)
    return found


def points(bench: Bench) -> list[Values]:
    """Feasible candidates."""
    space, violation, found, skip = bench.template.space(bench.dataset.spec), violation_of(bench), list[Values](), 0
    while len(found) < CANDIDATES:
        found += [values for values in space.sample_sobol(64, seed=0, skip=skip) if violation(values) == 0.0]
        skip += 64
    return found[:CANDIDATES]


def regrets(seed: int, ahead: int) -> dict[str, Any]:
    """Regret of the best observation after each trial of one search."""
    table = load(SHARED / "nas" / f"{TABLE}.npz")
    task, shown = TableTask(table, seed, True, UNBOUNDED), list[tuple[float, int]]()

    def row_of(values: Values) -> int:
        found = table.row(values)
        assert found is not None
        return found

    for event in search(
        table.space,
        lambda number, values: TrialOutcome(-float(task.show(row_of(values)))),
        study=open_study(),
        n_trials=MOST,
        seed=seed,
        violation=lambda values: 1.0 if table.row(values) is None else 0.0,
        cost_features=table.log_costs,
        again=0.0,
        workers=Workers(ahead=ahead),
    ):
        if isinstance(event, TrialFinished):
            shown.append((event.error, row_of(event.values)))
    best = float(table.truth.max())
    return {"regrets": [best - float(table.truth[min(shown[: count + 1])[1]]) for count in range(len(shown))]}


def figures(measured: Measured, seeds: int) -> list[dict[str, Any]]:
    """Rows of the result file, of all that is measured."""
    rows = []
    for size in SIZES[1:]:
        for name in TASKS:
            if (times := measured.get(name, any_source=True)) is not None:
                label = f"{name}: speed of {size} trials at a time over one"
                rows.append(row(label, [times["1"] / times[str(size)]], unit="ratio", bar=None))
    found: dict[int, list[list[float]]] = {size: [] for size in SIZES}
    for seed in range(seeds):
        kept = {size: measured.get(f"{TABLE}-{size}-{seed}", any_source=True) for size in SIZES}
        for size, one in kept.items():
            if one is not None and None not in kept.values():
                found[size].append(one["regrets"])
    if len(found[1]) < 2:
        return rows
    for size in SIZES:
        after = [one[TRIALS - 1] for one in found[size]]
        label = f"{TABLE}: regret after {TRIALS} trials, {size} under way"
        rows.append(row(label, after, unit="accuracy", bar=None))
    alone = statistics.fmean(one[TRIALS - 1] for one in found[1])
    for size in SIZES[1:]:
        means = [statistics.fmean(after) for after in zip(*found[size], strict=True)]
        needed = next((count for count, mean in enumerate(means, 1) if mean <= alone), None)
        label = f"{TABLE}: trials that {size} under way need for what 1 finds in {TRIALS}, over {TRIALS}"
        label += "" if needed is not None else f" (more than {MOST})"
        rows.append(row(label, [(needed or MOST) / TRIALS], unit="ratio", bar=None))
    return rows


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("sections", nargs="*", metavar="SECTION", help="stacked, regret")
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args(words)
    sections = options.sections or ["stacked", "regret"]
    if unknown := [name for name in sections if name not in ("stacked", "regret")]:
        parser.error(f"sections are stacked, regret, got {', '.join(unknown)}")
    torch.set_num_threads(1)
    measured, began = Measured("ahead"), time.monotonic()
    for name in TASKS if "stacked" in sections else ():
        if measured.get(name) is None:
            measured.put(name, stacked(name))
            print(name, measured.get(name, any_source=True), flush=True)
    for seed in range(options.seeds if "regret" in sections else 0):
        for size in SIZES:
            if measured.get(key := f"{TABLE}-{size}-{seed}") is None:
                measured.put(key, regrets(seed, size))
                print(key, flush=True)
    rows = figures(measured, options.seeds)
    for one in rows:
        print(one["name"], one["value"])
    print(write("ahead", rows, command="python benchmarks/ahead.py", seconds=time.monotonic() - began))


if __name__ == "__main__":
    main()
