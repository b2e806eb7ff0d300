"""Grow-and-prune: against pruning, RigL and small dense networks; against fixed bars; piece by piece; its overhead.

    python benchmarks/grow_prune.py [SECTION ...] [--tasks NAME ...] [--methods NAME ...] [--jobs N] [--kept]

compared   same start, data, recipe, epochs and parameters for ours and the baselines
absolute   ours alone, at the sizes that the literature reports
ablation   schemes, scores and growth, on the tasks of ``compared`` that take seconds
overhead   time and memory of masks and edits, beside training the same network for as many epochs

Nothing is chosen, so all rows but the test rows are learnt from, and those are read once a run. Parameters are all that
remain: weights, biases, normalization. Runs are kept one by one in ``results/grow_prune.rows.jsonl``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

from common import row, write
from nas_tables.kept import Kept, Run
from pruning import overhead
from pruning.methods import ABLATION, METHODS
from pruning.tasks import ABLATED, ABSOLUTE, COMPARED, Task, bench_of

OURS = "ours"
SECTIONS = ("compared", "absolute", "ablation", "overhead")


def tasks_of(section: str) -> dict[str, Task]:
    return {"compared": COMPARED, "absolute": ABSOLUTE, "ablation": ABLATED}.get(section, {})


def measure(run: Run) -> dict[str, Any]:
    """One training."""
    if run.section == "overhead":
        return overhead.measure(run)
    task, began = tasks_of(run.section)[run.table], time.process_time()
    trained = {**METHODS, **ABLATION}[run.budget](task, run.seed)
    seconds = time.process_time() - began
    scores = bench_of(task)[0].test_scores(trained.model)
    return {"error": scores.error, "params": trained.cost.params, "seconds": round(seconds, 1)}


def runs_of(section: str, tasks: Sequence[str], methods: Sequence[str]) -> list[Run]:
    """All runs of a section, the quick tasks first."""
    if section == "overhead":
        return [run for run in overhead.runs() if not tasks or run.table in tasks]
    known = tasks_of(section)
    wanted = {"compared": [*METHODS], "absolute": [OURS], "ablation": [*ABLATION]}[section]
    return [
        Run(section, name, method, OURS if method.startswith(OURS) else method, known[name].size, seed)
        for name in known
        if not tasks or name in tasks
        for seed in range(known[name].seeds)
        for method in wanted
        if not methods or method in methods
    ]


def rows_of(section: str, found: dict[Run, dict[str, Any]]) -> list[dict[str, Any]]:
    """Figures of a section: mean error of each task and method, and what ours is better by, seed by seed."""
    if section == "overhead":
        return overhead.rows(found)
    rows = []
    for name, task in tasks_of(section).items():
        methods: dict[str, dict[int, dict[str, Any]]] = {}
        for run, one in found.items():
            if run.section == section and run.table == name:
                methods.setdefault(run.budget, {})[run.seed] = one
        ours = methods.get(OURS, {})
        for method, runs in methods.items():
            bar = task.bar if section == "absolute" else None
            errors = [one["error"] for one in runs.values()]
            rows.append(row(f"{section}: {name}: {method}, test error", errors, unit="fraction", bar=bar))
            rows[-1]["parameters"] = max(one["params"] for one in runs.values())
            rows[-1]["seconds"] = round(statistics.fmean(one["seconds"] for one in runs.values()), 1)
            rows[-1]["commit"] = ", ".join(sorted({one["commit"] for one in runs.values()}))
        for method, runs in methods.items():
            gaps = [ours[seed]["error"] - runs[seed]["error"] for seed in runs if seed in ours]
            if gaps and method != OURS:
                rows.append(row(f"{section}: {name}: ours less {method}", gaps, unit="fraction", bar=0.0))
                rows[-1]["commit"] = ", ".join(sorted({one["commit"] for one in ours.values()}))
    return rows


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Grow-and-prune, measured.")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--tasks", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--methods", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--kept", action="store_true", help="measure nothing, use what is there")
    asked = parser.parse_args(words)
    if unknown := [name for name in asked.sections if name not in SECTIONS]:
        parser.error(f"sections are {', '.join(SECTIONS)}, got {', '.join(unknown)}")
    kept, sections = Kept("grow_prune", any_source=asked.kept), asked.sections or [*SECTIONS]
    if not asked.kept:
        for section in sections:
            # Two trainings at once disturb each other's clock.
            jobs, alone = (1, True) if section == "overhead" else (asked.jobs, False)
            kept.make(runs_of(section, asked.tasks, asked.methods), measure, jobs=jobs, fresh=alone)
    current = {run: kept.found[run] for section in SECTIONS for run in runs_of(section, [], []) if run in kept.found}
    rows = [one for section in SECTIONS for one in rows_of(section, current)]
    for one in rows:
        spread = f" ± {100 * one['std']:.2f}" if one["std"] is not None else ""
        figure = f"{100 * one['value']:.2f} %{spread}" if one["unit"] == "fraction" else f"{one['value']:.3f}"
        print(f"{one['name']}: {figure} ({one['n']})" + ("" if one["holds"] is not False else "  MISSED"))
    seconds = sum(one["seconds"] for one in current.values())
    if rows:
        print(write("grow_prune", rows, command=" ".join(["python benchmarks/grow_prune.py", *words]), seconds=seconds))


if __name__ == "__main__":
    main(sys.argv[1:])
