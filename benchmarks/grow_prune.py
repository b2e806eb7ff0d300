"""Grow-and-prune against pruning, RigL and small dense networks: same start, data, recipe, epochs and parameters.

    python benchmarks/grow_prune.py [TASK ...] [--methods NAME ...] [--jobs N] [--kept]

Nothing is chosen, so all rows but the test rows are learnt from, and those are read once a run. Parameters are all that
remain: weights, biases, normalization. Runs are kept one by one in ``results/grow_prune.rows.jsonl``.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from typing import Any

from common import row, write
from nas_tables.kept import Kept, Run
from pruning.methods import METHODS
from pruning.tasks import COMPARED, bench_of

OURS = "ours"


def measure(run: Run) -> dict[str, Any]:
    """One training."""
    task, began = COMPARED[run.table], time.process_time()
    trained = METHODS[run.budget](task, run.seed)
    seconds = time.process_time() - began
    scores = bench_of(task)[0].test_scores(trained.model)
    return {"error": scores.error, "params": trained.cost.params, "seconds": round(seconds, 1)}


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Grow-and-prune against its baselines.")
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=", ".join(COMPARED))
    parser.add_argument("--methods", nargs="+", default=[*METHODS], choices=METHODS, metavar="NAME")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--kept", action="store_true", help="measure nothing, use what is there")
    asked = parser.parse_args(words)
    if unknown := [name for name in asked.tasks if name not in COMPARED]:
        parser.error(f"tasks are {', '.join(COMPARED)}, got {', '.join(unknown)}")
    kept, tasks = Kept("grow_prune", any_source=asked.kept), asked.tasks or [*COMPARED]

    def run_of(task: str, method: str, seed: int) -> Run:
        whose = OURS if method.startswith(OURS) else method
        return Run("grow and prune", task, method, whose, COMPARED[task].size, seed)

    wanted = [
        run_of(task, method, seed) for task in tasks for seed in range(COMPARED[task].seeds) for method in asked.methods
    ]
    if not asked.kept:
        kept.make(wanted, measure, jobs=asked.jobs, fresh=False)
    rows: list[dict[str, Any]] = []
    for task in tasks:
        found = {
            method: {seed: kept.found[one] for seed in range(COMPARED[task].seeds)
                     if (one := run_of(task, method, seed)) in kept.found}
            for method in METHODS
        }  # fmt: skip
        for method, runs in found.items():
            if not runs:
                continue
            errors = [one["error"] for one in runs.values()]
            most = max(one["params"] for one in runs.values())
            rows.append(row(f"{task}: {method}, test error", errors, unit="fraction", bar=None))
            rows[-1] |= {"parameters": most, "seconds": statistics.fmean(one["seconds"] for one in runs.values())}
            rows[-1]["commit"] = ", ".join(sorted({one["commit"] for one in runs.values()}))
            print(
                f"{task}: {method}: {100 * rows[-1]['value']:.2f} % ± "
                f"{100 * (rows[-1]['std'] or 0.0) / math.sqrt(len(errors)):.2f}, {most} parameters, "
                f"{rows[-1]['seconds']:.0f} s"
            )
        for method, runs in found.items():
            shared = [seed for seed in runs if seed in found[OURS]]
            if shared and method != OURS:
                gaps = [found[OURS][seed]["error"] - runs[seed]["error"] for seed in shared]
                rows.append(row(f"{task}: ours less {method}", gaps, unit="fraction", bar=0.0))
                rows[-1]["commit"] = ", ".join(sorted({found[OURS][seed]["commit"] for seed in shared}))
    seconds = sum(kept.found[one]["seconds"] for one in wanted if one in kept.found)
    if rows:
        print(write("grow_prune", rows, command=" ".join(["python benchmarks/grow_prune.py", *words]), seconds=seconds))


if __name__ == "__main__":
    main(sys.argv[1:])
