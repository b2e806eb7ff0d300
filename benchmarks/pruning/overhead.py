"""Time and memory that masks and edits add to training the same network for as many epochs."""

from __future__ import annotations

import gc
import resource
import statistics
import time
from dataclasses import replace
from typing import Any

import torch
from common import row
from nas_tables.kept import Run

from pruning.tasks import COMPARED, bench_of, unbounded
from steerage.growprune.schemes import auto
from steerage.synthesis.candidate import synthesize_candidate

TASKS = {"letter 5000": 40, "digits-cnn 800": 60, "mnist-cnn 2700": 3}  # epochs
PAIRS = 5
MOST_TIME, MOST_MEMORY = 1.10, 1.20


def runs() -> list[Run]:
    """Pairs, the two of each in turns and each in a process of its own: what one remembers is no help to the next."""
    return [
        Run("overhead", task, method, "ours", epochs, pair)
        for task, epochs in TASKS.items()
        for pair in range(PAIRS if epochs > 1 else 3)
        for method in ("dense", "grow and prune")
    ]


def measure(run: Run) -> dict[str, Any]:
    """Seconds of a training on one thread, and the most memory that the process has needed, in MB.

    Seconds of the processor: those on the wall tell more of what else the machine does.
    """
    task = replace(COMPARED[run.table], epochs=run.size)
    bench, values = bench_of(task)
    dense = run.budget == "dense"
    small = replace(unbounded(bench) if dense else bench, validation_rows=bench.train_rows[:64])
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    torch.set_num_threads(1)
    began = time.process_time()
    synthesize_candidate(
        small, values, name=run.budget, seed=run.seed, epochs=task.epochs, scheme=None if dense else auto(10.0)
    )
    seconds = time.process_time() - began
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": round(seconds, 3), "megabytes": after / 1024, "of_training": (after - before) / 1024}


def rows(found: dict[Run, dict[str, Any]]) -> list[dict[str, Any]]:
    """Ratios of the two, pair by pair: the median of the times is what a busy neighbour disturbs least."""
    made = []
    for task in TASKS:
        pairs: dict[int, dict[str, dict[str, Any]]] = {}
        for run, one in found.items():
            if run.section == "overhead" and run.table == task:
                pairs.setdefault(run.seed, {})[run.budget] = one
        whole = [pair for pair in pairs.values() if len(pair) == 2]
        if not whole:
            continue
        for what, most in (("seconds", MOST_TIME), ("megabytes", MOST_MEMORY)):
            ratios = [pair["grow and prune"][what] / pair["dense"][what] for pair in whole]
            made.append(row(f"overhead: {task}: {what}, times dense training", ratios, unit="ratio", bar=most))
            made[-1] |= {"value": statistics.median(ratios), "holds": statistics.median(ratios) <= most}
            made[-1]["commit"] = ", ".join(sorted({pair["grow and prune"]["commit"] for pair in whole}))
    return made
